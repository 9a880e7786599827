"""Pillow's Gaussian blur of RGB images (`ImageFilter.GaussianBlur`), to the byte.

It is three box blurs along each axis (Gwosdek et al. 2011). A box has whole pixels around its
centre and a part of one more on either side. Every pass rounds to whole levels. The border repeats
the outermost pixels.
"""

from collections.abc import Callable

import tensorflow as tf

from ssl_tf.views.compilation import compiled
from ssl_tf.views.layout import index_type, lines, per_image, shaped

_PASSES = 3
# Bits behind the point of a weight.
_PRECISION = 24


def pillow_blur(image: tf.Tensor, sigma: tf.Tensor) -> tf.Tensor:
    """Blurs, first along the rows, then along the columns.

    Args:
        image: uint8 [H, W, 3] or [N, H, W, 3].
        sigma: Pillow's radius, the standard deviation in pixels, above 0 and at most 2; float32
            scalar or [N].

    Returns:
        uint8, with the shape of `image`.
    """
    kind, blurred = index_type(image), lines(image)
    weights = [tf.cast(weight, kind) for weight in _weights(sigma)]
    if len(image.shape) == 4:
        # A batch keeps its rank, by which `compiled` knows it.
        blurred = blurred[:, tf.newaxis]
        weights = [per_image(weight) for weight in weights]
    for one_pass, axis, edge in ((_across, -1, 3), (_down, -2, 1)):
        for _ in range(_PASSES):
            # Padding happens before the compiled pass, in which every tap would test for it.
            blurred = one_pass(_padded(blurred, axis, edge), *weights)
    return shaped(blurred, image)


def _padded(levels: tf.Tensor, axis: int, edge: int) -> tf.Tensor:
    """Repeats the first and the last `edge` numbers along an axis twice."""
    behind = (slice(None),) * (-1 - axis)
    first, last = (levels[(..., part, *behind)] for part in (slice(edge), slice(-edge, None)))
    return tf.concat([first, first, levels, last, last], axis)


def _weights(sigma: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Weights of a pixel 0, 1 and 2 places from the centre of a box, times 2**24, int64.

    In float32 and in Pillow's order, since the last bits of the radius decide on the weights.
    """
    sigma = tf.cast(sigma, tf.float32)
    variance = sigma * sigma / _PASSES
    length = tf.cast(tf.sqrt(12.0 * tf.cast(variance, tf.float64) + 1.0), tf.float32)
    whole = tf.floor((length - 1.0) / 2.0)
    part = (2.0 * whole + 1.0) * (whole * (whole + 1.0) - 3.0 * variance)
    part /= 6.0 * (variance - (whole + 1.0) * (whole + 1.0))
    radius = whole + part
    # A sigma of 2 has the radius 1.375, so there are no more than five pixels in a box.
    wide = radius >= 1.0
    inner = tf.cast(float(1 << _PRECISION) / (radius * 2.0 + 1.0), tf.int64)
    outer = ((1 << _PRECISION) - tf.where(wide, 3 * inner, inner)) // 2
    return inner, tf.where(wide, inner, outer), tf.where(wide, outer, 0)


def _weighted(padded: tf.Tensor, weights: tuple, at: Callable[[int], tuple]) -> tf.Tensor:
    """One pass over padded `lines`, [..., H, W * 3].

    Args:
        padded: uint8.
        weights: of a pixel 0, 1 and 2 places from the centre.
        at: the index of all pixels so many places from the centres.
    """
    centre, beside, far = weights
    # Around 0, so that sums of 8 + 24 bits fit into 32.
    levels = tf.cast(padded, centre.dtype) - 128
    total = centre * levels[at(0)]
    total += beside * (levels[at(-1)] + levels[at(1)]) + far * (levels[at(-2)] + levels[at(2)])
    # The weights may sum to 2**24 - 1, of which 128 levels lack as many units.
    missing = (1 << _PRECISION) - centre - 2 * (beside + far)
    half = (1 << (_PRECISION - 1)) - 128 * missing
    return tf.cast(tf.bitwise.right_shift(total + half, _PRECISION) + 128, tf.uint8)


@compiled
def _across(padded: tf.Tensor, *weights: tf.Tensor) -> tf.Tensor:
    width = padded.shape[-1] or tf.shape(padded)[-1]
    return _weighted(padded, weights, lambda d: (..., slice(3 * (2 + d), width - 3 * (2 - d))))


@compiled
def _down(padded: tf.Tensor, *weights: tf.Tensor) -> tf.Tensor:
    height = padded.shape[-2] or tf.shape(padded)[-2]
    return _weighted(padded, weights, lambda d: (..., slice(2 + d, height - (2 - d)), slice(None)))
