"""The crop rectangles of an image, in the scene or in one object, by the crop law of the flags."""

import tensorflow as tf

from ssl_tf.settings import ViewSettings
from ssl_tf.views import crops, regions

# Separate random streams, folded into the seed of the image; they change no other draw.
_REGION, _LAW = 1, 2


def scene_rectangles(
    settings: ViewSettings,
    height: tf.Tensor,
    width: tf.Tensor,
    uniform: tf.Tensor,
    seed: tf.Tensor,
    area: tuple[float, float],
) -> tf.Tensor:
    """Draws crops anywhere in one image.

    Args:
        settings: gives the crop law.
        height, width: int32 scalars, of the image.
        uniform: float32 [C, 4], the random numbers of C crops.
        seed: int32 or int64 [2], of the image, for laws that need more numbers.
        area: smallest and largest fraction of the image, for laws with an area.

    Returns:
        int32 [C, 4].
    """
    return _inside(settings, height, width, uniform, seed, area)


def object_rectangles(
    settings: ViewSettings,
    smallest_areas: tuple[float, float],
    height: tf.Tensor,
    width: tf.Tensor,
    boxes: tf.Tensor,
    uniform: tf.Tensor,
    seed: tf.Tensor,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Draws crops inside one box of an image, in turn in the box and in the dilated box.

    Args:
        settings: gives the regions and the crop law.
        smallest_areas: smallest area of random resized crops in boxes and in dilated boxes, as a
            fraction of the box.
        height, width: int32 scalars, of the image.
        boxes: float32 [n, 4]; an image with n = 0 gets scene crops, with the scene's area.
        uniform: float32 [C, 4], the random numbers of C crops.
        seed: int32 or int64 [2], of the image.

    Returns:
        The crops, int32 [C, 4], and the drawn box, float32 [4].
    """
    count, dilated = uniform.shape[0], int(settings.crops == "object_dilated")
    chance = tf.random.stateless_uniform([], fold_in(seed, _REGION))
    proposal = regions.choose_box(boxes, chance)
    around = regions.dilate(proposal, settings.dilation) if dilated else proposal
    if settings.min_crop:
        smallest = (settings.min_crop,) * 2
    else:
        smallest = tuple(tf.minimum(settings.image_size, side // 2) for side in (height, width))
    pair = regions.to_region(tf.stack([proposal, around]), height, width, smallest)
    kinds = [c % 2 for c in range(count)]
    corner, size = tf.split(tf.gather(pair, kinds), 2, axis=-1)
    area = settings.area
    if settings.crop_law == "random_resized":
        # Up to the whole box, as in the paper. An image without a proposal has scene crops.
        bounds = tf.constant([[smallest_areas[0], smallest_areas[dilated]], [1.0, 1.0]])
        scene = tf.constant(settings.area)[:, tf.newaxis]
        bounds = tf.where(tf.shape(boxes)[0] > 0, bounds, scene)
        area = tf.unstack(tf.gather(bounds, kinds, axis=1))
    inside = _inside(settings, size[:, 0], size[:, 1], uniform, seed, area)
    return inside + tf.pad(corner, [[0, 0], [0, 2]]), proposal


def fold_in(seed: tf.Tensor, domain: int) -> tf.Tensor:
    """Derives the seed of a separate random stream from the seed of an image, int64 [2]."""
    return tf.random.experimental.stateless_fold_in(seed, domain)


def _inside(
    settings: ViewSettings,
    height: tf.Tensor,
    width: tf.Tensor,
    uniform: tf.Tensor,
    seed: tf.Tensor,
    area: tuple,
) -> tf.Tensor:
    """Rectangles of the crop law, int32 [C, 4], in one region or, for heights [C], in C regions."""
    law, count = settings.crop_law, uniform.shape[0]
    if law == "uniform":
        return crops.uniform_crop(height, width, uniform[:, :3], settings.crop_ratio)
    if law == "byol":
        return crops.byol_crop(height, width, uniform, area)
    if law == "random_resized":
        numbers = [count, crops.RANDOM_RESIZED_DRAWS]
        more = tf.random.stateless_uniform(numbers, fold_in(seed, _LAW))
        return crops.random_resized_crop(height, width, more, area)
    heights, widths = (tf.unstack(tf.broadcast_to(side, [count])) for side in (height, width))
    if law == "inception":
        # The TF operation takes a seed instead of numbers, one for each crop.
        seeds = tf.random.experimental.stateless_split(seed, count)
        made = [crops.inception_crop(heights[c], widths[c], seeds[c], area) for c in range(count)]
    else:
        made = [crops.full_crop(heights[c], widths[c]) for c in range(count)]
    return tf.stack(made)
