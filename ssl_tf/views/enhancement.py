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
    # The channels are interleaved as floats: interleaving bytes takes five times as long.
    turned = _turned(planes(image), per_image(tf.cast(steps, tf.float32)))
    return tf.cast(pixels(turned, image), tf.uint8)


@compiled
def _turned(levels: tf.Tensor, steps: tf.Tensor) -> tf.Tensor:
    """Takes uint8 `planes`, returns float32 ones of whole levels.

    The types are those of Pillow's C code, in which the last bit decides what truncation keeps. A
    float32 product is computed in float64, where it is exact, and rounded by a cast, since a
    compiler may leave out any other rounding.
    """
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
    hue = tf.where(chroma > 0.0, hue, 0.0) + tf.cast(steps, tf.float64)
    hue = tf.where(hue >= 256.0, hue - 256.0, hue)

    position = hue * 6.0 / 255.0
    whole = tf.floor(position)
    part, share = _rounded(position - whole), _rounded(saturation / 255.0)
    bright = tf.cast(value, tf.float64)

    def mixed(amount: tf.Tensor) -> tf.Tensor:
        return tf.cast(tf.floor(bright * (1.0 - amount) + 0.5), tf.float32)

    low, falling = mixed(share), mixed(_rounded(share * part))
    rising = mixed(share * (1.0 - part))
    whole = tf.cast(tf.where(whole >= 6.0, whole - 6.0, whole), tf.int32)

    def channel(*sextants: tf.Tensor) -> tf.Tensor:
        made = sextants[5]
        for index in range(5):
            made = tf.where(tf.equal(whole, index), sextants[index], made)
        return made

    return tf.concat(
        [
            channel(value, falling, low, low, rising, value),
            channel(rising, value, value, falling, low, low),
            channel(low, low, rising, value, value, falling),
        ],
        axis=-3,
    )


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
