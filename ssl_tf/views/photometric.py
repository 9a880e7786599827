"""Colour and blur of the BYOL, SimCLR and MoCo recipes, on float32 images in [0, 1].

Every function takes and returns float32 `[H, W, 3]` (any H and W >= 1), or a batch `[N, H, W, 3]`
with amounts `[N]`, and keeps the static shape.
Nothing here draws: random numbers come from the caller.

Contrast is stretched about the mean of each channel and saturation is scaled in HSV, as TensorFlow
(and so SimCLR and BYOL) has it; torchvision, and so MoCo, blends with the mean of the grey image
and with the grey image instead. The ranges of the factors are the same.
"""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from ssl_tf.views.compilation import compiled
from ssl_tf.views.layout import lines, per_image, shaped

# A little more, so that what is a half but for the last bits goes up whatever the order of sums.
_HALF = 0.5 + 2.0**-12

GREY_WEIGHTS = (0.2989, 0.5870, 0.1140)


def to_float(image: tf.Tensor) -> tf.Tensor:
    """uint8 in 0..255 as float32 in [0, 1]."""
    return tf.cast(image, tf.float32) * (1.0 / 255.0)


def to_uint8(image: tf.Tensor) -> tf.Tensor:
    """float32 in [0, 1] as uint8, rounded to the nearest grey level (halves up).

    Values outside [0, 1] must be clipped before.
    """
    return tf.cast(image * 255.0 + _HALF, tf.uint8)


def clip(image: tf.Tensor) -> tf.Tensor:
    """Values cut to [0, 1]."""
    return tf.clip_by_value(image, 0.0, 1.0)


def add_brightness(image: tf.Tensor, delta: tf.Tensor) -> tf.Tensor:
    """`image + delta`, clipped: BYOL, SimCLR v1 (`tf.image.random_brightness`)."""
    return clip(image + per_image(delta))


def adjust_contrast(image: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Distance from each channel's mean times `factor`, clipped (`tf.image.adjust_contrast`)."""
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
    # A 3x3 product writes all three channels at once; a [H, W, 1] grey would have to be tiled.
    weights = tf.constant(np.repeat(np.float32(GREY_WEIGHTS)[:, None], 3, axis=1))
    return shaped(tf.matmul(tf.reshape(image, [-1, 3]), weights), image)


# The recipes draw sigma from 0.1..2 pixels. Taps beyond 4 sigma, each below 0.0004 of the centre,
# are left out, so none lies further out than this.
_REACH = 8


def blur_taps(size: int) -> int:
    """Taps of the blur kernel: a tenth of the side, made odd; 23 at 224 pixels."""
    return 2 * (size // 20) + 1


def gaussian_blur(image: tf.Tensor, sigma: tf.Tensor, taps: tf.Tensor | int) -> tf.Tensor:
    """Separable Gaussian blur.

    At the border the weights that fall outside the image are dropped and the others scaled up to
    sum to one. (The BYOL, SimCLR and MA-SSRL code pads with zeros, which darkens the border.)
    Taps beyond 4 sigma are left out.

    Args:
      image: float32 [H, W, 3] or [N, H, W, 3].
      sigma: scalar or [N], in pixels, above 0 and at most 2.
      taps: odd kernel length >= 1, a number or a scalar int32; 23 at 224 pixels in BYOL.
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
        # Padded outside of the compiled passes, where every tap would look whether it hits padding.
        padded = tf.pad(lines(image), [[margin, margin], [3 * margin, 3 * margin]])
        blurred = _blur_across(_blur_down(padded, kernel, down), kernel, tf.repeat(across, 3))
        return shaped(blurred, image)

    # Half of all sigmas reach half as far.
    near = margin // 2
    return tf.cond(radius <= near, lambda: blur(near), lambda: blur(margin))


def _inverse_sums(kernel: tf.Tensor, offsets: tf.Tensor, length: tf.Tensor) -> tf.Tensor:
    """float32 [length]: 1 / the sum of those weights that fall inside, at each place of a line."""
    places = tf.range(length)[:, tf.newaxis] + offsets
    inside = tf.cast((places >= 0) & (places < length), tf.float32)
    return 1.0 / tf.linalg.matvec(inside, kernel)


def _gaussian(offsets: tf.Tensor, sigma: tf.Tensor) -> tf.Tensor:
    return tf.exp(-0.5 * tf.square(tf.cast(offsets, tf.float32) / sigma))


def _blur_matrices(length: tf.Tensor, sigma: tf.Tensor, radius: tf.Tensor) -> tf.Tensor:
    """float32 [N, length, length], rows that sum to one, from a sigma and a radius [N] an image.

    Most of each is 0, but a GPU multiplies a batch of matrices sooner than it convolves every image
    with a kernel of its own. (Where it rounds factors to TF32, levels move by less than one.)
    """
    places = tf.range(tf.cast(length, tf.float32))
    distance = tf.abs(places[:, tf.newaxis] - places)
    near = distance <= per_image(tf.cast(radius, tf.float32), 2)
    weights = tf.where(near, _gaussian(distance, per_image(sigma, 2)), 0.0)
    return weights / tf.reduce_sum(weights, axis=-1, keepdims=True)


@compiled
def _blur_down(padded: tf.Tensor, kernel: tf.Tensor, scale: tf.Tensor) -> tf.Tensor:
    """`lines` [H + taps - 1, W * 3] blurred along H, times `scale` [H]."""
    height = tf.size(scale)
    return _weighted(lambda tap: padded[tap : tap + height], kernel) * scale[:, tf.newaxis]


@compiled
def _blur_across(padded: tf.Tensor, kernel: tf.Tensor, scale: tf.Tensor) -> tf.Tensor:
    """`lines` [H, (W + taps - 1) * 3] blurred along W, times `scale` [W * 3]."""
    width = tf.size(scale)
    return _weighted(lambda tap: padded[:, 3 * tap : 3 * tap + width], kernel) * scale


def _weighted(shifted: Callable[[int], tf.Tensor], kernel: tf.Tensor) -> tf.Tensor:
    """The sum over taps of a symmetric kernel, of known length, times the image shifted to each."""
    last = kernel.shape[0] - 1
    total = kernel[last // 2] * shifted(last // 2)
    for tap in range(last // 2):
        total += kernel[tap] * (shifted(tap) + shifted(last - tap))
    return total


def solarize(image: tf.Tensor, threshold: float = 0.5) -> tf.Tensor:
    """`1 - image` where a value is at or above `threshold` (BYOL's second view)."""
    above = tf.cast(image >= threshold, tf.float32)
    return image + above * (1.0 - 2.0 * image)
