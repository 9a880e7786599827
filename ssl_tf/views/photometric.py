"""Colour and blur of the BYOL and SimCLR recipes, on float32 images in [0, 1].

Every function takes and returns float32 [H, W, 3] (any H and W >= 1), or a batch [N, H, W, 3] with
amounts [N], and keeps the static shape. Nothing here draws; the caller passes the random numbers.

Contrast is scaled about the mean of each channel and saturation in HSV, like in TensorFlow, SimCLR
and BYOL. Torchvision, and with it MoCo, blends with the mean of the grey image and with the grey
image instead (`enhancement`). The ranges of the factors are the same.
"""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from ssl_tf.views.compilation import compiled
from ssl_tf.views.layout import lines, per_image, shaped

# Slightly above 0.5: a half that is off in its last bits rounds up for every order of sums.
_HALF = 0.5 + 2.0**-12

GREY_WEIGHTS = (0.2989, 0.5870, 0.1140)


def to_float(image: tf.Tensor) -> tf.Tensor:
    """Converts uint8 in 0..255 to float32 in [0, 1]."""
    return tf.cast(image, tf.float32) * (1.0 / 255.0)


def to_uint8(image: tf.Tensor) -> tf.Tensor:
    """Converts float32 in [0, 1] to uint8, rounded to the nearest grey level (halves up).

    The caller clips values outside [0, 1].
    """
    return tf.cast(image * 255.0 + _HALF, tf.uint8)


def clip(image: tf.Tensor) -> tf.Tensor:
    """Clips values to [0, 1]."""
    return tf.clip_by_value(image, 0.0, 1.0)


def add_brightness(image: tf.Tensor, delta: tf.Tensor) -> tf.Tensor:
    """`image + delta`, clipped, as in BYOL and SimCLR v1 (`tf.image.random_brightness`)."""
    return clip(image + per_image(delta))


def adjust_contrast(image: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Multiplies the distance from the channel mean by `factor`, clipped.

    Source: `tf.image.adjust_contrast`.
    """
    levels = lines(image)
    columns = tf.reduce_mean(levels, axis=-2)
    channels = tf.concat([tf.shape(columns)[:-1], [-1, 3]], axis=0)
    mean = tf.reduce_mean(tf.reshape(columns, channels), axis=-2)
    offset = mean * (1.0 - per_image(factor, 1))
    offset = tf.tile(offset, [1] * (len(image.shape) - 3) + [tf.shape(image)[-2]])
    levels = levels * per_image(factor, 2) + offset[..., tf.newaxis, :]
    return shaped(clip(levels), image)


def grayscale(image: tf.Tensor) -> tf.Tensor:
    """0.2989 R + 0.5870 G + 0.1140 B on all three channels (BYOL, SimCLR)."""
    # A 3x3 product writes all three channels at once; an [H, W, 1] image would have to be tiled.
    weights = tf.constant(np.repeat(np.float32(GREY_WEIGHTS)[:, None], 3, axis=1))
    return shaped(tf.matmul(tf.reshape(image, [-1, 3]), weights), image)


# Largest distance of a tap from the centre, in pixels. The recipes draw sigma from 0.1..2 pixels,
# and taps beyond 4 sigma, each below 0.0004 of the centre, are left out.
_REACH = 8


def blur_taps(size: int) -> int:
    """Number of taps of the blur kernel: a tenth of the side, made odd; 23 at 224 pixels."""
    return 2 * (size // 20) + 1


def gaussian_blur(image: tf.Tensor, sigma: tf.Tensor, taps: tf.Tensor | int) -> tf.Tensor:
    """Separable Gaussian blur.

    At the border, weights that fall outside the image are dropped and the others are scaled to sum
    to one. (The BYOL, SimCLR and MA-SSRL code pads with zeros, which darkens the border.) Taps
    beyond 4 sigma are left out.

    Args:
        image: float32 [H, W, 3] or [N, H, W, 3].
        sigma: scalar or [N], in pixels, above 0 and at most 2.
        taps: odd kernel length >= 1, a number or a scalar int32; 23 at 224 pixels in BYOL.

    Returns:
        float32, with the shape of `image`.
    """
    sigma = tf.cast(sigma, tf.float32)
    reach = tf.cast(tf.math.ceil(4.0 * sigma), tf.int32)
    radius = tf.minimum(tf.cast(taps, tf.int32) // 2, reach)
    if len(image.shape) == 4:
        rows, columns = (_blur_matrices(tf.shape(image)[a], sigma, radius) for a in (1, 2))
        blurred = tf.einsum("nij,njwc->niwc", rows, image)
        return shaped(tf.einsum("nij,nhjc->nhic", columns, blurred), image)
    margin = min(taps // 2, _REACH) if isinstance(taps, int) else _REACH

    def blur(margin: int) -> tf.Tensor:
        offsets = tf.range(-margin, margin + 1)
        kernel = tf.where(tf.abs(offsets) <= radius, _gaussian(offsets, sigma), 0.0)
        down, across = (_inverse_sums(kernel, offsets, tf.shape(image)[axis]) for axis in (0, 1))
        # Padding happens before the compiled passes, in which every tap would test for padding.
        padded = tf.pad(lines(image), [[margin, margin], [3 * margin, 3 * margin]])
        blurred = _blur_across(_blur_down(padded, kernel, down), kernel, tf.repeat(across, 3))
        return shaped(blurred, image)

    # Half of all sigmas need only half the margin.
    near = margin // 2
    return tf.cond(radius <= near, lambda: blur(near), lambda: blur(margin))


def _inverse_sums(kernel: tf.Tensor, offsets: tf.Tensor, length: tf.Tensor) -> tf.Tensor:
    """float32 [length]: for each place of a line, 1 / the sum of the weights inside the image."""
    places = tf.range(length)[:, tf.newaxis] + offsets
    inside = tf.cast((places >= 0) & (places < length), tf.float32)
    return 1.0 / tf.linalg.matvec(inside, kernel)


def _gaussian(offsets: tf.Tensor, sigma: tf.Tensor) -> tf.Tensor:
    return tf.exp(-0.5 * tf.square(tf.cast(offsets, tf.float32) / sigma))


def _blur_matrices(length: tf.Tensor, sigma: tf.Tensor, radius: tf.Tensor) -> tf.Tensor:
    """float32 [N, length, length] with rows that sum to one; `sigma` and `radius` are [N].

    Most entries are 0, but on a GPU a batched matrix product is faster than a convolution of each
    image with a different kernel. (On GPUs that round factors to TF32, grey levels change by less
    than one.)
    """
    places = tf.range(tf.cast(length, tf.float32))
    distance = tf.abs(places[:, tf.newaxis] - places)
    near = distance <= per_image(tf.cast(radius, tf.float32), 2)
    weights = tf.where(near, _gaussian(distance, per_image(sigma, 2)), 0.0)
    return weights / tf.reduce_sum(weights, axis=-1, keepdims=True)


@compiled
def _blur_down(padded: tf.Tensor, kernel: tf.Tensor, scale: tf.Tensor) -> tf.Tensor:
    """Blurs `lines` [H + taps - 1, W * 3] along H and multiplies by `scale` [H]."""
    height = tf.size(scale)
    return _weighted(lambda tap: padded[tap : tap + height], kernel) * scale[:, tf.newaxis]


@compiled
def _blur_across(padded: tf.Tensor, kernel: tf.Tensor, scale: tf.Tensor) -> tf.Tensor:
    """Blurs `lines` [H, (W + taps - 1) * 3] along W and multiplies by `scale` [W * 3]."""
    width = tf.size(scale)
    return _weighted(lambda tap: padded[:, 3 * tap : 3 * tap + width], kernel) * scale


def _weighted(shifted: Callable[[int], tf.Tensor], kernel: tf.Tensor) -> tf.Tensor:
    """Sums the shifted images, weighted by a symmetric kernel of static length."""
    last = kernel.shape[0] - 1
    total = kernel[last // 2] * shifted(last // 2)
    for tap in range(last // 2):
        total += kernel[tap] * (shifted(tap) + shifted(last - tap))
    return total


def solarize(image: tf.Tensor, threshold: float = 0.5) -> tf.Tensor:
    """`1 - image` where a value is at least `threshold` (the second view of BYOL)."""
    above = tf.cast(image >= threshold, tf.float32)
    return image + above * (1.0 - 2.0 * image)
