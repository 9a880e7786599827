"""The crops of a training on label maps: random scale, place and mirror image."""

import tensorflow as tf

from ssl_tf.data.annotations.annotated_source import IGNORED
from ssl_tf.networks.normalization import MEAN

Tensors = dict[str, tf.Tensor]


def random_crop(
    example: Tensors, seed: tf.Tensor, size: int, scale_range: tuple[float, float]
) -> Tensors:
    """Scales an image with its label map, crops a square at a random place, and mirrors half.

    Where the scaled image is smaller than the crop, the mean colour and ignored labels follow.

    Args:
        example: "image" uint8 [H, W, 3], "label_map" int32 [H, W] and "readable".
        seed: int64 [2], of the image in the epoch.
        size: side of the crop, in pixels.
        scale_range: smallest and largest scale, drawn uniformly.

    Returns:
        "image" uint8 [size, size, 3] and "label_map" int32 [size, size].
    """
    image = example["image"]
    sides = tf.shape(image)[:2]
    # Of an unreadable image, which is replaced, there is no map.
    labels = tf.cond(
        example["readable"], lambda: example["label_map"], lambda: tf.fill(sides, IGNORED)
    )
    uniform = tf.random.stateless_uniform([4], seed)
    scale = scale_range[0] + uniform[0] * (scale_range[1] - scale_range[0])
    scaled = tf.maximum(tf.cast(tf.round(tf.cast(sides, tf.float32) * scale), tf.int32), 1)
    image = tf.image.resize(image, scaled, antialias=True)
    image = tf.cast(tf.clip_by_value(tf.round(image), 0, 255), tf.uint8)
    labels = tf.image.resize(labels[..., tf.newaxis], scaled, method="nearest")
    room = tf.maximum(scaled - size, 0)
    corner = tf.cast(tf.floor(uniform[1:3] * tf.cast(room + 1, tf.float32)), tf.int32)
    corner = tf.minimum(corner, room)
    image = _cut(image, corner, size, tf.constant([round(255 * mean) for mean in MEAN], tf.uint8))
    labels = _cut(labels, corner, size, tf.constant([IGNORED]))
    is_mirrored = uniform[3] < 0.5
    image, labels = (tf.where(is_mirrored, x[:, ::-1], x) for x in (image, labels))
    return {"image": image, "label_map": labels[..., 0]}


def _cut(pixels: tf.Tensor, corner: tf.Tensor, size: int, filling: tf.Tensor) -> tf.Tensor:
    """A square from a corner on, filled up at the bottom and on the right."""
    cut = pixels[corner[0] : corner[0] + size, corner[1] : corner[1] + size]
    rows, columns = size - tf.shape(cut)[0], size - tf.shape(cut)[1]
    inside = tf.pad(tf.ones(tf.shape(cut)[:2], tf.bool), [[0, rows], [0, columns]])
    padded = tf.pad(cut, [[0, rows], [0, columns], [0, 0]])
    filled = tf.where(inside[..., tf.newaxis], padded, filling)
    return tf.ensure_shape(filled, [size, size, pixels.shape[-1]])
