"""The colour jitter of torchvision on PIL images, to the byte; each step rounds to whole levels."""

import tensorflow as tf

from ssl_tf.views import jitter, ops
from ssl_tf.views.compilation import branch, choose, compiled
from ssl_tf.views.layout import per_image, pixels, planes


def pillow_jitter(
    image: tf.Tensor, uniform: tf.Tensor, strengths: tuple[float, float, float, float]
) -> tf.Tensor:
    """Changes brightness, contrast, saturation and hue, each once, in one of the 24 orders.

    Brightness blends with black, contrast with the mean level of the grey image, saturation with
    the grey image (`PIL.ImageEnhance`); the hue is turned in Pillow's HSV. `transforms.ColorJitter`
    draws the factors as `jitter.jitter` does its multiplicative ones.

    Args:
        image: uint8 [H, W, 3] or [N, H, W, 3].
        uniform, strengths: as in `jitter.jitter`.

    Returns:
        uint8, with the shape of `image`.
    """
    amount, order = jitter.drawn(uniform, strengths, "multiplicative")
    branches = _BRANCHES if len(image.shape) == 3 else _BATCH_BRANCHES
    for slot in range(4):
        image = choose(order[..., slot], branches, image, amount)
    return image


def turn_hue(image: tf.Tensor, delta: tf.Tensor) -> tf.Tensor:
    """Turns the hue by int(255 delta) of 256 steps, as torchvision does by Pillow's HSV.

    Pillow's hue has 255 steps a circle and its HSV is truncated to bytes, so that even 0 changes
    colours by a few levels.

    Args:
        image: uint8 [H, W, 3] or [N, H, W, 3].
        delta: part of the circle, -0.5..0.5; float32 scalar or [N].
    """
    steps = tf.cast(255.0 * tf.cast(delta, tf.float64), tf.int32) % 256
    hue, saturation, value = _to_hsv(planes(image))
    hue += per_image(tf.cast(steps, tf.float32))
    mixed = _mixed(tf.where(hue >= 256.0, hue - 256.0, hue), saturation, value)
    turned = _chosen(value, *mixed)
    # The channels are interleaved as floats: interleaving bytes takes five times as long.
    return tf.cast(pixels(turned, image), tf.uint8)


# Both conversions have the types of Pillow's C code, in which the last bit decides what truncation
# keeps. A float32 product is computed in float64, where it is exact, and rounded by a cast, since a
# compiler may leave out any other rounding.


@compiled
def _to_hsv(levels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """uint8 `planes` to hue, saturation and value: float32, whole, 0..255, one plane each."""
    red, green, blue = tf.split(tf.cast(levels, tf.float32), 3, axis=-3)
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
    hue = tf.where(chroma > 0.0, hue, 0.0)
    return tf.cast(hue, tf.float32), tf.cast(saturation, tf.float32), value


@compiled
def _mixed(
    hue: tf.Tensor, saturation: tf.Tensor, value: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
    """What channels are made of beside the value: lowest, falling and rising level, and sextant.

    float32, whole, one plane each.
    """
    position = tf.cast(hue, tf.float64) * 6.0 / 255.0
    whole = tf.floor(position)
    part = _rounded(position - whole)
    share = _rounded(tf.cast(saturation, tf.float64) / 255.0)
    value = tf.cast(value, tf.float64)

    def level(missing: tf.Tensor) -> tf.Tensor:
        return tf.cast(tf.floor(value * (1.0 - missing) + 0.5), tf.float32)

    falling, rising = level(_rounded(share * part)), level(share * (1.0 - part))
    return level(share), falling, rising, tf.cast(whole, tf.float32)


@compiled
def _chosen(
    value: tf.Tensor, low: tf.Tensor, falling: tf.Tensor, rising: tf.Tensor, sextant: tf.Tensor
) -> tf.Tensor:
    """Red, green and blue, float32 planes."""
    # Green follows red by four sextants, blue by two. The hue 255 is that of 0.
    sextant += tf.reshape(tf.constant([0.0, 4.0, 2.0]), [3, 1, 1])
    sextant = tf.where(sextant >= 6.0, sextant - 6.0, sextant)
    # From sextant 0 on red is the value, falls, is low twice, rises, and is the value.
    between = tf.where(
        tf.equal(sextant, 1.0), falling, tf.where(tf.equal(sextant, 4.0), rising, low)
    )
    full = tf.equal(sextant, 0.0) | tf.equal(sextant, 5.0)
    return tf.where(full, value, between)


def _rounded(x: tf.Tensor) -> tf.Tensor:
    """float64 rounded to float32 precision."""
    return tf.cast(tf.cast(x, tf.float32), tf.float64)


def _step(index: int, function):
    return lambda image, amount: function(image, amount[..., index])


_STEPS = [
    _step(index, function)
    for index, function in enumerate((ops.brightness, ops.contrast, ops.color, turn_hue))
]
_BRANCHES = [branch(step) for step in _STEPS]
_BATCH_BRANCHES = [tf.function(step, autograph=False) for step in _STEPS]
