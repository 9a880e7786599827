"""The colour jitter of BYOL, SimCLR and MoCo: four steps in random order, compiled as one.

Each step takes the planes of red, green and blue, float32 [3, 1, P] in [0, 1], and a scalar amount;
or a batch [N, 3, H, W] and amounts [N, 1, 1, 1].
"""

import itertools
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from ssl_tf.views.compilation import choose, compiled
from ssl_tf.views.layout import per_image, pixels, planes
from ssl_tf.views.photometric import to_float

_Step = Callable[..., tf.Tensor]

_ORDERS = np.array(list(itertools.permutations(range(4))), np.int32)


def jitter(
    image: tf.Tensor,
    uniform: tf.Tensor,
    strengths: tuple[float, float, float, float],
    brightness_kind: str,
) -> tf.Tensor:
    """Changes brightness, contrast, saturation and hue, each once, in one of the 24 orders.

    Source: Grill et al. 2020, appendix B; Chen et al. 2020, appendix A. Each step is clipped to
    [0, 1], as in the BYOL and SimCLR code, because a value above 1 would change the hue in a later
    step.

    Args:
        image: float32 [H, W, 3] in [0, 1] or uint8 [H, W, 3]; or a batch [N, H, W, 3].
        uniform: float32 [5] in [0, 1), the four amounts, then the order; [N, 5] for a batch.
        strengths: brightness b, contrast c, saturation s, hue h. Brightness adds U(-b, b) or
            multiplies by U(max(0, 1-b), 1+b). Contrast and saturation multiply by
            U(max(0, 1-c), 1+c). The hue turns by U(-h, h) of the circle, h <= 0.5.
        brightness_kind: "additive" (BYOL, SimCLR v1) or "multiplicative" (SimCLR v2, MoCo).

    Returns:
        float32 in [0, 1], with the shape of `image`.

    Raises:
        ValueError: another `brightness_kind`, a negative strength or a hue above 0.5.
    """
    amount, order = drawn(uniform, strengths, brightness_kind)
    steps = _jitter_additive if brightness_kind == "additive" else _jitter_multiplicative
    return pixels(steps(planes(image), amount, order), image)


def drawn(
    uniform: tf.Tensor, strengths: tuple[float, float, float, float], brightness_kind: str
) -> tuple[tf.Tensor, tf.Tensor]:
    """The amounts of the four steps, float32 [..., 4], and their order, int32 [..., 4].

    Arguments and errors are those of `jitter`.
    """
    if brightness_kind not in ("additive", "multiplicative"):
        raise ValueError(f"brightness_kind is additive or multiplicative, not {brightness_kind!r}")
    if min(strengths) < 0.0 or strengths[3] > 0.5:
        raise ValueError(f"strengths must not be negative, nor hue above 0.5: {strengths}")
    low, high = _bounds(strengths, brightness_kind == "additive")
    amount = low + uniform[..., :4] * (high - low)
    # The product of 24 and a float32 draw below 1 stays below 24, so the index is in range.
    return amount, tf.gather(_ORDERS, tf.cast(uniform[..., 4] * len(_ORDERS), tf.int32))


def described(
    uniform: np.ndarray, strengths: tuple[float, float, float, float], brightness_kind: str
) -> list[str]:
    """The steps that `jitter` takes with these numbers, in their order, as short lines.

    Args:
        uniform: float32 [5].
        strengths, brightness_kind: as in `jitter`.
    """
    additive = brightness_kind == "additive"
    low, high = _bounds(strengths, additive)
    amount = low + uniform[:4] * (high - low)
    told = [
        f"brightness {amount[0]:+.2f}" if additive else f"brightness x{amount[0]:.2f}",
        f"contrast x{amount[1]:.2f}",
        f"saturation x{amount[2]:.2f}",
        f"hue {amount[3]:+.3f}",
    ]
    return [told[step] for step in _ORDERS[int(uniform[4] * len(_ORDERS))]]


def _bounds(
    strengths: tuple[float, float, float, float], additive: bool
) -> tuple[np.ndarray, np.ndarray]:
    """The smallest and the largest amount of each step, float32 [4]."""
    brightness, contrast, saturation, hue = strengths
    low = [
        -brightness if additive else max(0.0, 1.0 - brightness),
        max(0.0, 1.0 - contrast),
        max(0.0, 1.0 - saturation),
        -hue,
    ]
    high = [brightness if additive else 1.0 + brightness, 1.0 + contrast, 1.0 + saturation, hue]
    return np.float32(low), np.float32(high)


def add_brightness(planes: tf.Tensor, delta: tf.Tensor) -> tf.Tensor:
    """`planes + delta`, as in BYOL and SimCLR v1 (`tf.image.random_brightness`)."""
    return _clip(planes + delta)


def scale_brightness(planes: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """`planes * factor`, as in SimCLR v2 and MoCo."""
    return _clip(planes * factor)


def adjust_contrast(planes: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Multiplies the distance from the channel mean by `factor` (`tf.image.adjust_contrast`)."""
    mean = tf.reduce_mean(planes, axis=[-2, -1], keepdims=True)
    return _clip(mean + factor * (planes - mean))


def adjust_saturation(planes: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Multiplies the HSV saturation by `factor`, up to 1 (`tf.image.adjust_saturation`)."""
    value, chroma = _value_and_chroma(planes)
    # The saturation, chroma / value, is at most 1.
    factor = tf.minimum(factor, value / tf.maximum(chroma, _TINY))
    return _clip(value - (value - planes) * factor)


def adjust_hue(planes: tf.Tensor, delta: tf.Tensor) -> tf.Tensor:
    """Turns the HSV hue by `delta` of the circle; grey stays (`tf.image.adjust_hue`)."""
    red, green, blue = tf.split(planes, 3, axis=-3)
    value, chroma = _value_and_chroma(planes)
    scale = 1.0 / tf.maximum(chroma, _TINY)
    sextant = tf.where(
        tf.equal(value, red),
        (green - blue) * scale,
        tf.where(tf.equal(value, green), 2.0 + (blue - red) * scale, 4.0 + (red - green) * scale),
    )
    turned = sextant + 6.0 * delta

    def channel(offset: float) -> tf.Tensor:
        """A channel: the value minus a part of the chroma, by the angle from the hue."""
        angle = turned + offset
        # This is floormod, which TensorFlow does not vectorize.
        angle -= 6.0 * tf.floor(angle * (1.0 / 6.0))
        return value - chroma * _clip(tf.minimum(angle, 4.0 - angle))

    return _clip(tf.concat([channel(5.0), channel(3.0), channel(1.0)], axis=-3))


# Smaller than any difference of two levels, with a finite inverse.
_TINY = 1e-12


def _clip(planes: tf.Tensor) -> tf.Tensor:
    return tf.clip_by_value(planes, 0.0, 1.0)


def _value_and_chroma(planes: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The largest channel and its distance from the smallest, one plane each."""
    red, green, blue = tf.split(planes, 3, axis=-3)
    value = tf.maximum(tf.maximum(red, green), blue)
    return value, value - tf.minimum(tf.minimum(red, green), blue)


def in_order(start: _Step, steps: tuple[_Step, ...]) -> _Step:
    """A function that changes planes by each of the steps once, compiled as one.

    Args:
        start: makes the planes those that the steps take.
        steps: planes and amounts to planes.

    Returns:
        A function of planes, amounts [..., S] of the S steps, and their order, int32 [..., S].
    """

    @compiled
    def changed(planes: tf.Tensor, amount: tf.Tensor, order: tf.Tensor) -> tf.Tensor:
        planes = start(planes)
        branches = [
            lambda planes, amount, step=step, index=index: step(
                planes, per_image(amount[..., index])
            )
            for index, step in enumerate(steps)
        ]
        for slot in range(len(steps)):
            planes = choose(order[..., slot], branches, planes, amount)
        return planes

    return changed


def _unit(planes: tf.Tensor) -> tf.Tensor:
    return to_float(planes) if planes.dtype == tf.uint8 else planes


_OTHERS = adjust_contrast, adjust_saturation, adjust_hue
_jitter_additive = in_order(_unit, (add_brightness, *_OTHERS))
_jitter_multiplicative = in_order(_unit, (scale_brightness, *_OTHERS))
