"""The colour jitter of torchvision on PIL images, to the byte; each step rounds to whole levels.

A step takes `planes` of whole levels, float32 [3, 1, P] in 0..255, and a scalar amount; or a batch
[N, 3, H, W] and amounts [N, 1, 1, 1]. Its types are those of Pillow's C code, in which the last bit
decides what truncation keeps. A product is computed in float64, where it is exact, and rounded to
float32 by a cast, since a compiler may leave out any other rounding.
"""

import tensorflow as tf

from ssl_tf.views import jitter
from ssl_tf.views.layout import pixels, planes


def pillow_jitter(
    image: tf.Tensor, uniform: tf.Tensor, strengths: tuple[float, float, float, float]
) -> tf.Tensor:
    """Changes brightness, contrast, saturation and hue, each once, in one of the 24 orders.

    `transforms.ColorJitter` draws the amounts as `jitter.jitter` does its multiplicative ones.

    Args:
        image: uint8 [H, W, 3] or [N, H, W, 3].
        uniform, strengths: as in `jitter.jitter`.

    Returns:
        uint8, with the shape of `image`.
    """
    amount, order = jitter.drawn(uniform, strengths, "multiplicative")
    # The channels are interleaved as floats: interleaving bytes takes five times as long.
    return tf.cast(pixels(_jittered(planes(image), amount, order), image), tf.uint8)


def scale_brightness(planes: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Blends with black (`PIL.ImageEnhance.Brightness`)."""
    return tf.floor(tf.minimum(planes * factor, 255.0))


def adjust_contrast(planes: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Blends with the mean level of the grey image, rounded (`PIL.ImageEnhance.Contrast`)."""
    mean = tf.reduce_mean(tf.cast(_grey(planes), tf.float64), axis=[-2, -1], keepdims=True)
    # A compiler may multiply by the inverse of the number of pixels. Then a half may fall short by
    # its last bit, and nothing else is as near to one.
    rounded = tf.floor(mean + (0.5 + 1e-9))
    return _blend(tf.cast(rounded, tf.float32), planes, factor)


def adjust_saturation(planes: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Blends with the grey image (`PIL.ImageEnhance.Color`)."""
    return _blend(_grey(planes), planes, factor)


def turn_hue(planes: tf.Tensor, delta: tf.Tensor) -> tf.Tensor:
    """Turns the hue by int(255 delta) of 256 steps, as torchvision does in Pillow's HSV.

    Pillow's hue has 255 steps a circle and its HSV is truncated to bytes, so that even 0 changes
    colours by a few levels.
    """
    hue, saturation, value = _to_hsv(planes)
    turn = 255.0 * tf.cast(delta, tf.float64)
    turn = tf.where(turn < 0.0, 256.0 - tf.floor(-turn), tf.floor(turn))
    hue += turn
    return _to_rgb(tf.where(hue >= 256.0, hue - 256.0, hue), saturation, value)


def _to_hsv(planes: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Hue and saturation, float64, and value, float32: whole, 0..255, one plane each."""
    red, green, blue = tf.split(planes, 3, axis=-3)
    value = tf.maximum(tf.maximum(red, green), blue)
    chroma = value - tf.minimum(tf.minimum(red, green), blue)
    scale = tf.maximum(chroma, 1.0)
    # Of the three one is 0, that of the largest channel, and one is 1.
    far_red, far_green, far_blue = (
        tf.cast((value - channel) / scale, tf.float64) for channel in (red, green, blue)
    )
    sextant = tf.where(
        tf.equal(value, red),
        far_blue - far_green,
        tf.where(tf.equal(value, green), 2.0 + far_red - far_blue, 4.0 + far_green - far_red),
    )
    circle = _rounded(sextant) / 6.0 + 1.0
    hue = tf.floor(_rounded(circle - tf.floor(circle)) * 255.0)
    saturation = tf.floor(255.0 * tf.cast(chroma / tf.maximum(value, 1.0), tf.float64))
    return tf.where(chroma > 0.0, hue, tf.zeros_like(hue)), saturation, value


def _to_rgb(hue: tf.Tensor, saturation: tf.Tensor, value: tf.Tensor) -> tf.Tensor:
    """The inverse of `_to_hsv`."""
    position = hue * 6.0 / 255.0
    whole = tf.floor(position)
    part, share = _rounded(position - whole), _rounded(saturation / 255.0)
    bright = tf.cast(value, tf.float64)

    def level(missing: tf.Tensor) -> tf.Tensor:
        return tf.cast(tf.floor(bright * (1.0 - missing) + 0.5), tf.float32)

    low, falling, rising = level(share), level(_rounded(share * part)), level(share * (1.0 - part))
    # Green follows red by four sextants, blue by two. The hue 255 is that of 0.
    sextant = tf.cast(whole, tf.float32) + tf.reshape(tf.constant([0.0, 4.0, 2.0]), [3, 1, 1])
    sextant = tf.where(sextant >= 6.0, sextant - 6.0, sextant)
    # From sextant 0 on red is the value, falls, is low twice, rises, and is the value.
    between = tf.where(
        tf.equal(sextant, 1.0), falling, tf.where(tf.equal(sextant, 4.0), rising, low)
    )
    return tf.where(tf.equal(sextant, 0.0) | tf.equal(sextant, 5.0), value, between)


def _grey(planes: tf.Tensor) -> tf.Tensor:
    """Pillow's "L" in 16 bits, one plane; float32 holds the sums exactly."""
    red, green, blue = tf.split(planes, 3, axis=-3)
    total = 19595.0 * red + 38470.0 * green + 7471.0 * blue + 32768.0
    return tf.floor(total * 2.0**-16)


def _blend(degenerate: tf.Tensor, planes: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """degenerate + factor * (planes - degenerate), clipped and truncated (`PIL.Image.blend`)."""
    difference = tf.cast(planes - degenerate, tf.float64)
    product = tf.cast(tf.cast(factor, tf.float64) * difference, tf.float32)
    return tf.floor(tf.clip_by_value(degenerate + product, 0.0, 255.0))


def _rounded(x: tf.Tensor) -> tf.Tensor:
    """float64 rounded to float32 precision."""
    return tf.cast(tf.cast(x, tf.float32), tf.float64)


# Takes uint8 planes, returns float32 ones of whole levels.
_jittered = jitter.in_order(
    lambda planes: tf.cast(planes, tf.float32),
    (scale_brightness, adjust_contrast, adjust_saturation, turn_hue),
)
