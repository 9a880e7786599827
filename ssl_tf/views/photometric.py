"""Colour and blur of the BYOL, SimCLR and MoCo recipes, on float32 images in [0, 1].

Every function takes and returns float32 `[H, W, 3]` (any H and W >= 1) and keeps the static shape.
Nothing here draws: random numbers come from the caller.

Contrast is stretched about the mean of each channel and saturation is scaled in HSV, as TensorFlow
(and so SimCLR and BYOL) has it; torchvision, and so MoCo, blends with the mean of the grey image
and with the grey image instead. The ranges of the factors are the same.
"""

import numpy as np
import tensorflow as tf

GREY_WEIGHTS = (0.2989, 0.5870, 0.1140)


def to_float(image: tf.Tensor) -> tf.Tensor:
    """uint8 in 0..255 as float32 in [0, 1]."""
    return tf.cast(image, tf.float32) * (1.0 / 255.0)


def to_uint8(image: tf.Tensor) -> tf.Tensor:
    """float32 in [0, 1] as uint8, rounded to the nearest grey level (halves up).

    Values outside [0, 1] must be clipped before.
    """
    return tf.cast(image * 255.0 + 0.5, tf.uint8)


def clip(image: tf.Tensor) -> tf.Tensor:
    """Values cut to [0, 1]."""
    return tf.clip_by_value(image, 0.0, 1.0)


def add_brightness(image: tf.Tensor, delta: tf.Tensor) -> tf.Tensor:
    """`image + delta`, clipped: BYOL, SimCLR v1 (`tf.image.random_brightness`)."""
    return clip(image + delta)


def adjust_contrast(image: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Distance from each channel's mean times `factor`, clipped (`tf.image.adjust_contrast`)."""
    shape = tf.shape(image)
    # With the channels in the lines a vector of W * 3 broadcasts much faster than one of 3.
    lines = tf.reshape(image, [shape[0], shape[1] * 3])
    mean = tf.reduce_mean(tf.reshape(tf.reduce_mean(lines, axis=0), [-1, 3]), axis=0)
    lines = lines * factor + tf.tile(mean * (1.0 - factor), [shape[1]])
    return _shaped(clip(lines), image)


def adjust_saturation(image: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """HSV saturation times `factor` (at most 1 afterwards); grey pixels stay as they are."""
    return clip(tf.image.adjust_saturation(image, factor))


def adjust_hue(image: tf.Tensor, delta: tf.Tensor) -> tf.Tensor:
    """HSV hue turned by `delta` in [-1, 1], a fraction of the full circle."""
    return clip(tf.image.adjust_hue(image, delta))


def grayscale(image: tf.Tensor) -> tf.Tensor:
    """0.2989 R + 0.5870 G + 0.1140 B on all three channels (BYOL, SimCLR)."""
    # A 3x3 product writes all three channels at once; a [H, W, 1] grey would have to be tiled.
    weights = tf.constant(np.repeat(np.float32(GREY_WEIGHTS)[:, None], 3, axis=1))
    return _shaped(tf.matmul(tf.reshape(image, [-1, 3]), weights), image)


def gaussian_blur(image: tf.Tensor, sigma: tf.Tensor, taps: tf.Tensor | int) -> tf.Tensor:
    """Separable Gaussian blur.

    At the border the weights that fall outside the image are dropped and the others scaled up to
    sum to one. (The BYOL, SimCLR and MA-SSRL code pads with zeros, which darkens the border.)
    Taps beyond 4 sigma, each below 0.0004 of the centre, are left out.

    Args:
      image: float32 [H, W, 3].
      sigma: scalar > 0, in pixels.
      taps: odd kernel length >= 1, a number or a scalar int32; 23 at 224 pixels in BYOL.
    """
    sigma = tf.cast(sigma, tf.float32)
    reach = tf.cast(tf.math.ceil(4.0 * sigma), tf.int32)
    radius = tf.minimum(tf.cast(taps, tf.int32) // 2, reach)
    offsets = tf.cast(tf.range(-radius, radius + 1), tf.float32)
    kernel = tf.exp(-0.5 * tf.square(offsets / sigma))
    # Each pass blurs along the first axis and exchanges the two.
    return _shaped(_blur_columns(_blur_columns(image, kernel), kernel), image)


def _blur_columns(image: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """[H, W, 3] blurred along H, as [W, H, 3]."""
    shape = tf.shape(image)
    # A whole line taken for the channels of one tall column lets the convolution work in vectors.
    column = tf.reshape(image, [1, shape[0], 1, shape[1] * 3])
    weights = tf.tile(kernel[:, None, None, None], [1, 1, shape[1] * 3, 1])
    blurred = tf.nn.depthwise_conv2d(column, weights, [1, 1, 1, 1], "SAME")
    inside = tf.nn.conv1d(tf.ones([1, shape[0], 1]), kernel[:, None, None], 1, "SAME")
    blurred = tf.reshape(blurred, [shape[0], -1]) / inside[0]
    return tf.transpose(tf.reshape(blurred, shape), [1, 0, 2])


def solarize(image: tf.Tensor, threshold: float = 0.5) -> tf.Tensor:
    """`1 - image` where a value is at or above `threshold` (BYOL's second view)."""
    above = tf.cast(image >= threshold, tf.float32)
    return image + above * (1.0 - 2.0 * image)


def _shaped(pixels: tf.Tensor, image: tf.Tensor) -> tf.Tensor:
    """`pixels` in the shape of `image`, known statically as far as that of `image` is."""
    shaped = tf.reshape(pixels, tf.shape(image))
    shaped.set_shape(image.shape)
    return shaped
