"""Crop rectangles: pure geometry from the size of an image and uniform random numbers.

A rectangle is int32 [4]: top, left, height, width in source pixels. It lies inside the image and is
at least one pixel high and wide. The rectangles have the leading dimensions of the random numbers.
Height and width may have the same dimensions, to draw each rectangle inside a different region.
"""

import math

import tensorflow as tf

from ssl_tf.views.resampling import pillow_resize

RANDOM_RESIZED_TRIES = 10
# Ten areas, ten aspects and two numbers for the place.
RANDOM_RESIZED_DRAWS = 2 * RANDOM_RESIZED_TRIES + 2


def uniform_crop(
    height: tf.Tensor, width: tf.Tensor, uniform: tf.Tensor, ratio: tuple[float, float]
) -> tf.Tensor:
    """Multiplies both sides by one ratio r ~ U[ratio], at a uniform place (MA-SSRL section 3.1).

    Args:
        height, width: int32 scalars, source pixels.
        uniform: float32 [..., 3] in [0, 1).
        ratio: smallest and largest r; (0.5, 1) in the paper.
    """
    r = ratio[0] + uniform[..., 0] * (ratio[1] - ratio[0])
    return _place(
        tf.round(r * tf.cast(height, tf.float32)),
        tf.round(r * tf.cast(width, tf.float32)),
        height, width, uniform[..., 1:3],
    )  # fmt: skip


def byol_crop(
    height: tf.Tensor, width: tf.Tensor, uniform: tf.Tensor, area: tuple[float, float]
) -> tf.Tensor:
    """Draws an area ~ U[area] and an aspect, log-uniform in 3/4..4/3 (BYOL appendix B).

    Sides longer than the image are cut.

    Args:
        height, width: int32 scalars, source pixels.
        uniform: float32 [..., 4] in [0, 1).
        area: smallest and largest fraction of the image.
    """
    pixels = tf.cast(height * width, tf.float32)
    target = pixels * (area[0] + uniform[..., 0] * (area[1] - area[0]))
    aspect = tf.exp((2 * uniform[..., 1] - 1) * math.log(4 / 3))
    return _place(
        tf.round(tf.sqrt(target / aspect)),
        tf.round(tf.sqrt(target * aspect)),
        height, width, uniform[..., 2:4],
    )  # fmt: skip


def random_resized_crop(
    height: tf.Tensor, width: tf.Tensor, uniform: tf.Tensor, area: tuple
) -> tf.Tensor:
    """Draws an area ~ U[area] and an aspect, log-uniform in 3/4..4/3, until they fit.

    This is torchvision's RandomResizedCrop, used by MoCo and by Object-Aware Cropping. It takes the
    first of ten draws that fits into the image. If none fits, it takes the largest centred crop
    with an aspect in 3/4..4/3.

    Args:
        height, width: int32 scalars or [...], source pixels.
        uniform: float32 [..., RANDOM_RESIZED_DRAWS] in [0, 1).
        area: smallest and largest fraction of height * width; floats or float32 [...].
    """
    tries = RANDOM_RESIZED_TRIES
    low, high = (tf.convert_to_tensor(bound)[..., tf.newaxis] for bound in area)
    sides = tf.cast(tf.stack([height, width], axis=-1), tf.float32)[..., tf.newaxis, :]
    target = (low + uniform[..., :tries] * (high - low)) * tf.reduce_prod(sides, axis=-1)
    aspect = tf.exp((2 * uniform[..., tries : 2 * tries] - 1) * math.log(4 / 3))
    drawn = tf.round(tf.stack([tf.sqrt(target / aspect), tf.sqrt(target * aspect)], axis=-1))
    fits = tf.reduce_all((drawn >= 1) & (drawn <= sides), axis=-1)
    first = tf.argmax(tf.cast(fits, tf.int32), axis=-1, output_type=tf.int32)
    chosen = tf.gather(drawn, first, axis=-2, batch_dims=first.shape.rank)
    # The image, with its longer side cut to the extreme aspect.
    whole = tf.minimum(sides, tf.round(tf.reverse(sides, [-1]) * (4 / 3)))[..., 0, :]
    found = tf.reduce_any(fits, axis=-1, keepdims=True)
    size = tf.where(found, chosen, whole)
    # Slightly below 0.5: of an odd margin, the smaller part is at the top and on the left.
    centre = tf.constant([0.49999, 0.49999])
    place = tf.where(found, uniform[..., 2 * tries :], centre)
    return _place(size[..., 0], size[..., 1], height, width, place)


def inception_crop(
    height: tf.Tensor, width: tf.Tensor, seed: tf.Tensor, area: tuple[float, float]
) -> tf.Tensor:
    """TensorFlow's distorted bounding box with the arguments of SimCLR and of the MA-SSRL authors.

    The aspect is 3/4..4/3, at least 0.1 of the image is covered, and there are 100 attempts. The
    operation draws the aspect and the height uniformly, not the area.

    Args:
        height, width: int32 scalars, source pixels.
        seed: int32 [2].
        area: smallest and largest fraction of the image.
    """
    begin, size, _ = tf.image.stateless_sample_distorted_bounding_box(
        tf.stack([height, width, 3]),
        tf.constant([[[0.0, 0.0, 1.0, 1.0]]]),
        seed=seed,
        min_object_covered=0.1,
        aspect_ratio_range=(3 / 4, 4 / 3),
        area_range=area,
        max_attempts=100,
        use_image_if_no_bounding_boxes=True,
    )
    return tf.concat([begin[:2], size[:2]], axis=0)


def full_crop(height: tf.Tensor, width: tf.Tensor) -> tf.Tensor:
    """The whole image."""
    return tf.stack([0, 0, height, width])


def _place(
    crop_height: tf.Tensor,
    crop_width: tf.Tensor,
    height: tf.Tensor,
    width: tf.Tensor,
    uniform: tf.Tensor,
) -> tf.Tensor:
    limit = tf.stack([height, width], axis=-1)
    wanted = tf.cast(tf.stack([crop_height, crop_width], axis=-1), tf.int32)
    size = tf.clip_by_value(wanted, 1, limit)
    free = limit - size
    # The product may round up to free + 1.
    corner = tf.minimum(tf.cast(uniform * tf.cast(free + 1, tf.float32), tf.int32), free)
    return tf.concat([corner, size], axis=-1)


def crop_and_resize(
    image: tf.Tensor,
    rectangle: tf.Tensor,
    size: int,
    method: str = "bilinear",
    library: str = "tensorflow",
) -> tf.Tensor:
    """Cuts the rectangle and resizes it to [size, size].

    TensorFlow's kernels do not antialias, like the code of BYOL, SimCLR and MA-SSRL; Pillow's do.

    Args:
        image: uint8 [H, W, 3].
        rectangle: int32 [4], top, left, height, width.
        size: side of the result.
        method: "bilinear" or "bicubic".
        library: "tensorflow" or "pillow".

    Returns:
        uint8 [size, size, 3], rounded, halves up; bicubic overshoot is clipped.
    """
    begin, extent = (
        tf.pad(rectangle[:2], [[0, 1]]),
        tf.pad(rectangle[2:], [[0, 1]], constant_values=3),
    )
    window = tf.slice(image, begin, extent)
    if library == "pillow":
        return pillow_resize(window, size, method)
    # Both kernels convert every byte that they read, the bicubic one sixteen for each that it
    # writes. On floats they take four fifths (bilinear) and six tenths (bicubic) of the time, this
    # cast included.
    floats = tf.cast(window, tf.float32)[tf.newaxis]
    resize = tf.raw_ops.ResizeBicubic if method == "bicubic" else tf.raw_ops.ResizeBilinear
    resized = resize(images=floats, size=(size, size), half_pixel_centers=True)[0]
    # QuantizeV2 clips, rounds and casts in one pass.
    levels = tf.raw_ops.QuantizeV2(
        input=resized, min_range=0.0, max_range=255.0, T=tf.quint8, mode="MIN_COMBINED"
    ).output
    return tf.ensure_shape(tf.bitcast(levels, tf.uint8), (size, size, 3))


def normalized(rectangle: tf.Tensor, height: tf.Tensor, width: tf.Tensor) -> tf.Tensor:
    """Converts a rectangle to float32 [..., 4]: ymin, xmin, ymax, xmax as fractions."""
    corner, size = rectangle[..., :2], rectangle[..., 2:]
    edges = tf.cast(tf.concat([corner, corner + size], axis=-1), tf.float32)
    return edges / tf.cast(tf.stack([height, width, height, width]), tf.float32)
