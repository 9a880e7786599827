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
    weights = [per_image(tf.cast(w, index_type(image)), 2) for w in _weights(sigma)]
    for one_pass in (_across, _down):
        for _ in range(_PASSES):
            image = one_pass(image, *weights)
    return image


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


def _along(place: Callable[[int], tuple], edge: int) -> Callable[..., tf.Tensor]:
    """One pass along an axis of `lines`, [..., H, W * 3].

    Args:
        place: the index of what lies from a start to a stop along the axis.
        edge: how many numbers a pixel takes there: 3 along the rows, 1 along the columns.
    """

    def one_pass(
        image: tf.Tensor, centre: tf.Tensor, beside: tf.Tensor, far: tf.Tensor
    ) -> tf.Tensor:
        # Around 0, so that sums of 8 + 24 bits fit into 32.
        levels = tf.cast(lines(image), centre.dtype) - 128
        axis = -2 if edge == 1 else -1
        first, last = levels[place(0, edge)], levels[place(-edge, None)]
        padded = tf.concat([first, first, levels, last, last], axis)
        length = tf.shape(levels)[axis]

        def at(distance: int) -> tf.Tensor:
            start = edge * (2 + distance)
            return padded[place(start, start + length)]

        total = centre * at(0) + beside * (at(-1) + at(1)) + far * (at(-2) + at(2))
        # The weights may sum to 2**24 - 1, of which 128 levels lack as many units.
        missing = (1 << _PRECISION) - centre - 2 * (beside + far)
        half = (1 << (_PRECISION - 1)) - 128 * missing
        rounded = tf.bitwise.right_shift(total + half, _PRECISION) + 128
        return shaped(tf.cast(rounded, tf.uint8), image)

    return one_pass


_across = compiled(_along(lambda start, stop: (..., slice(start, stop)), edge=3))
_down = compiled(_along(lambda start, stop: (..., slice(start, stop), slice(None)), edge=1))
