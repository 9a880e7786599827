"""Crop rectangles: pure geometry from the size of an image and uniform random numbers.

A rectangle is int32 [4]: top, left, height, width in source pixels, inside the image, at least one
pixel in each direction.
"""

import math

import tensorflow as tf


def uniform_crop(
    height: tf.Tensor, width: tf.Tensor, uniform: tf.Tensor, ratio: tuple[float, float]
) -> tf.Tensor:
    """Both sides times one ratio r ~ U[ratio], at a uniform position (MA-SSRL section 3.1).

    Args:
        height, width: int32 scalars, source pixels.
        uniform: float32 [3] in [0, 1).
        ratio: smallest and largest r; the paper's is (0.5, 1).
    """
    r = ratio[0] + uniform[0] * (ratio[1] - ratio[0])
    return _place(
        tf.round(r * tf.cast(height, tf.float32)),
        tf.round(r * tf.cast(width, tf.float32)),
        height, width, uniform[1:3],
    )  # fmt: skip


def byol_crop(
    height: tf.Tensor, width: tf.Tensor, uniform: tf.Tensor, area: tuple[float, float]
) -> tf.Tensor:
    """Area ~ U[area], aspect log-uniform in 3/4..4/3, sides cut to the image (BYOL appendix B).

    Args:
        height, width: int32 scalars, source pixels.
        uniform: float32 [4] in [0, 1).
        area: smallest and largest fraction of the image.
    """
    pixels = tf.cast(height * width, tf.float32)
    target = pixels * (area[0] + uniform[0] * (area[1] - area[0]))
    aspect = tf.exp((2 * uniform[1] - 1) * math.log(4 / 3))
    return _place(
        tf.round(tf.sqrt(target / aspect)),
        tf.round(tf.sqrt(target * aspect)),
        height, width, uniform[2:4],
    )  # fmt: skip


def inception_crop(
    height: tf.Tensor, width: tf.Tensor, seed: tf.Tensor, area: tuple[float, float]
) -> tf.Tensor:
    """The TF box operation with aspect 3/4..4/3, at least 0.1 of the image, 100 attempts.

    As SimCLR and the MA-SSRL authors call it. It draws the aspect linearly and the height, not the
    area, uniformly.

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
    h = tf.clip_by_value(tf.cast(crop_height, tf.int32), 1, height)
    w = tf.clip_by_value(tf.cast(crop_width, tf.int32), 1, width)
    top = tf.cast(uniform[0] * tf.cast(height - h + 1, tf.float32), tf.int32)
    left = tf.cast(uniform[1] * tf.cast(width - w + 1, tf.float32), tf.int32)
    return tf.stack([tf.minimum(top, height - h), tf.minimum(left, width - w), h, w])


def crop_and_resize(
    image: tf.Tensor, rectangle: tf.Tensor, size: int, method: str = "bilinear"
) -> tf.Tensor:
    """Cuts the rectangle and resizes it to [size, size], without antialiasing as the papers' code.

    Args:
        image: uint8 [H, W, 3].
        rectangle: int32 [4], top, left, height, width.
        size: side of the result.
        method: "bilinear" or "bicubic".

    Returns:
        float32 [size, size, 3] in [0, 255]; bicubic overshoot is cut off.
    """
    top, left, h, w = tf.unstack(rectangle)
    window = image[top : top + h, left : left + w]
    resized = tf.image.resize(window, (size, size), method=method)
    if method == "bicubic":
        resized = tf.clip_by_value(resized, 0.0, 255.0)
    return tf.ensure_shape(resized, (size, size, 3))


def normalized(rectangle: tf.Tensor, height: tf.Tensor, width: tf.Tensor) -> tf.Tensor:
    """float32 [4]: ymin, xmin, ymax, xmax as fractions of the image."""
    top, left, h, w = tf.unstack(tf.cast(rectangle, tf.float32))
    height, width = tf.cast(height, tf.float32), tf.cast(width, tf.float32)
    return tf.stack([top / height, left / width, (top + h) / height, (left + w) / width])
