"""The image operations of the augmentation policies, each equal to its Pillow reference.

An operation is a pure function from uint8 [H, W, 3] to uint8 [H, W, 3]. It takes any H and W >= 1,
keeps the static shape and draws nothing. `value` is a float32 scalar in the unit of the operation.
An operation also takes a batch [N, H, W, 3] with values [N], and changes each image as if it were
the only one.

`OPS` has one row an operation: the function, the level rule, whether the sign is drawn. A new
operation is one function and one row. `OP_INDEX` maps a name to the index in `OPS`.

Operations without a note on differences are the same in all published implementations.
"""

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from ssl_tf.views import geometry, jitter, level_rules, photometric
from ssl_tf.views.compilation import branch, choose, compiled
from ssl_tf.views.layout import gather_bytes, index_type, lines, per_image, pixels, planes, shaped


class Op(NamedTuple):
    """One row of `OPS`: an operation and what policies need to know about it.

    Attributes:
        name: the name in policies, reports and drawn operations.
        apply: `apply(image, value, fill, center)`; the arguments are those of `apply_op`.
        value_range: the level rule; maps a `level_rules.Level` to the value's range (low, high).
        signed: whether policies turn the sign of the value with a probability of 1/2.
    """

    name: str
    apply: Callable[[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]
    value_range: level_rules.LevelRule
    signed: bool = False

    @property
    def has_levels(self) -> bool:
        """Whether the range of the value depends on the level."""
        lowest, highest = (self.value_range(level_rules.Level(at)) for at in (0.0, 10.0))
        return lowest != highest


def identity(image: tf.Tensor, value: tf.Tensor) -> tf.Tensor:
    """The image itself. `value` is ignored."""
    return tf.identity(image)


def auto_contrast(image: tf.Tensor, value: tf.Tensor) -> tf.Tensor:
    """Stretches each channel to 0..255, keeps a channel of one grey level. `value` is ignored.

    Source: `PIL.ImageOps.autocontrast`, cutoff 0.
    """
    low, high = _extremes(image)
    low, high = tf.cast(low, tf.float64), tf.cast(high, tf.float64)
    # Double precision and Pillow's order of operations: the cast truncates, so one ulp is visible.
    scale = tf.where(high > low, 255.0 / tf.maximum(high - low, 1.0), 1.0)
    offset = tf.where(high > low, -low * scale, 0.0)
    levels = tf.range(256, dtype=tf.float64)
    table = scale[..., tf.newaxis] * levels + offset[..., tf.newaxis]
    # Grey levels that do not occur may get entries outside 0..255.
    return _look_up(image, tf.cast(tf.clip_by_value(table, 0.0, 255.0), tf.uint8))


def equalize(image: tf.Tensor, value: tf.Tensor) -> tf.Tensor:
    """Equalizes the histogram of each channel. `value` is ignored.

    A channel whose step is 0 is kept. Source: `PIL.ImageOps.equalize`; scikit-image differs.
    """
    alone = len(image.shape) == 3
    height, width = tf.unstack(tf.shape(image)[-3:-1])
    channels = tf.tile(tf.constant([0, 256, 512], index_type(image)), [width])
    index = tf.cast(lines(image), channels.dtype) + channels
    histogram = tf.raw_ops.DenseBincount(
        input=tf.reshape(index, [-1] if alone else [-1, height * width * 3]),
        size=tf.constant(3 * 256, index.dtype),
        weights=tf.zeros([0], tf.int32),
        binary_output=False,
    )
    histogram = tf.reshape(tf.cast(histogram, tf.int64), [3, 256] if alone else [-1, 3, 256])
    before = tf.cumsum(histogram, axis=-1, exclusive=True)
    # Pillow leaves out the highest occupied grey level; max(before) pixels are below it.
    step = tf.reduce_max(tf.where(histogram > 0, before, 0), axis=-1, keepdims=True) // 255
    even = (before + step // 2) // tf.maximum(step, 1)
    table = tf.where(step > 0, tf.minimum(even, 255), tf.range(256, dtype=tf.int64))
    return _look_up(image, tf.cast(table, tf.uint8))


def invert(image: tf.Tensor, value: tf.Tensor) -> tf.Tensor:
    """255 - x. `value` is ignored. Source: `PIL.ImageOps.invert`."""
    return tf.bitwise.invert(image)


def posterize(image: tf.Tensor, value: tf.Tensor) -> tf.Tensor:
    """Keeps the top int(value) bits of each grey level and sets the others to 0.

    value: bits kept, 0..8; 0 gives black. Source: `PIL.ImageOps.posterize`. The AutoAugment paper
    keeps 4..8 bits, its TF reference int(4 L / 10), its Pillow code 4 - int(4 L / 10), Fast
    AutoAugment int(4 + 4 m). TensorFlow clamps a shift to 7 bits, so its reference leaves two grey
    levels at 0 bits; this function does not.
    """
    bits = tf.cast(tf.clip_by_value(value, 0.0, 8.0), tf.int32)
    mask = tf.gather([256.0 - 2.0 ** (8 - kept) for kept in range(9)], bits)
    return tf.bitwise.bitwise_and(image, per_image(tf.cast(mask, tf.uint8)))


@compiled
def solarize(image: tf.Tensor, value: tf.Tensor) -> tf.Tensor:
    """255 - x where x >= value.

    value: threshold, 0..256; 256 inverts nothing, 0 everything. Source: `PIL.ImageOps.solarize`.
    The TF reference takes int(256 L / 10), weaker with the level, and lets 256 wrap to 0 in uint8.
    The Pillow code of AutoAugment takes 256 - int(256 L / 10), Fast AutoAugment 256 m.
    """
    # The computation stays on bytes. 256 does not fit into one and inverts nothing.
    threshold = per_image(tf.math.ceil(tf.clip_by_value(value, 0.0, 256.0)))
    flip = tf.cast(tf.where(threshold < 256.0, 255.0, 0.0), tf.uint8)
    above = tf.cast(image >= tf.cast(tf.minimum(threshold, 255.0), tf.uint8), tf.uint8)
    return tf.bitwise.bitwise_xor(image, above * flip)


@compiled
def solarize_add(image: tf.Tensor, value: tf.Tensor) -> tf.Tensor:
    """x + int(value), at most 255, where x < 128.

    value: grey levels added, 0..110; a negative value adds nothing. Source: the AutoAugment code of
    EfficientNet. The paper, Pillow, torchvision and Fast AutoAugment do not have it.
    """
    amount = per_image(tf.cast(tf.clip_by_value(value, 0.0, 255.0), tf.uint8))
    room = tf.bitwise.invert(image)
    return image + tf.cast(image < 128, tf.uint8) * tf.minimum(amount, room)


def color(image: tf.Tensor, value: tf.Tensor) -> tf.Tensor:
    """Blends the grey image (0) and the image (1); extrapolates above 1.

    value: factor, 0.1..1.9. Source: `PIL.ImageEnhance.Color`. The range of torchvision is 1 +- 0.9.
    """
    return _color(image, per_image(tf.cast(value, tf.float64)))


def contrast(image: tf.Tensor, value: tf.Tensor) -> tf.Tensor:
    """Blends the mean grey level (0) and the image (1); extrapolates above 1.

    value: factor, 0.1..1.9. Source: `PIL.ImageEnhance.Contrast`, which rounds the mean of the grey
    image to a whole level. The TF reference uses the number of pixels / 256 as the mean.
    """
    total = tf.reduce_sum(tf.cast(tf.reduce_sum(_grey(image), axis=-1), tf.int64), axis=-1)
    height, width = tf.unstack(tf.shape(image, tf.int64)[-3:-1])
    mean = tf.cast(tf.floor(total / (height * width) + 0.5), tf.float32)[..., tf.newaxis]
    levels = tf.range(256, dtype=tf.float32)
    table = tf.clip_by_value(mean + value[..., tf.newaxis] * (levels - mean), 0.0, 255.0)
    return _look_up(image, tf.cast(tf.stack([table] * 3, axis=-2), tf.uint8))


def brightness(image: tf.Tensor, value: tf.Tensor) -> tf.Tensor:
    """Blends black (0) and the image (1); extrapolates above 1.

    value: factor, 0.1..1.9. Source: `PIL.ImageEnhance.Brightness`.
    """
    brighter = tf.minimum(tf.cast(image, tf.float32) * per_image(value), 255.0)
    return tf.cast(brighter, tf.uint8)


def sharpness(image: tf.Tensor, value: tf.Tensor) -> tf.Tensor:
    """Blends the smoothed image (0) and the image (1); extrapolates above 1.

    value: factor, 0.1..1.9. Source: `PIL.ImageEnhance.Sharpness`. Its kernel is 3x3 with 5 at the
    centre and 1 around it, divided by 13. Its result is rounded, and it leaves the outermost rows
    and columns as they are.
    """
    inner = _sharpen(image, per_image(tf.cast(value, tf.float64), 2))
    whole = lines(image)
    middle = whole[..., 1:-1, :]
    # [1:][-1:] is empty for a single line, so sides of 1 and 2 pixels keep their size.
    middle = tf.concat([middle[..., :3], inner, middle[..., 3:][..., -3:]], axis=-1)
    top, bottom = whole[..., :1, :], whole[..., 1:, :][..., -1:, :]
    return shaped(tf.concat([top, middle, bottom], axis=-2), image)


def rand_brightness(image: tf.Tensor, value: tf.Tensor) -> tf.Tensor:
    """x + 255 value, clipped.

    value: added brightness in [0, 1] units, -0.8..0.8; policies draw it from U(-0.08 L, 0.08 L).
    Source: extended RandAugment of MA-SSRL; `tf.image.random_brightness`.
    """
    image = photometric.to_float(image)
    return photometric.to_uint8(photometric.add_brightness(image, value))


def rand_contrast(image: tf.Tensor, value: tf.Tensor) -> tf.Tensor:
    """Multiplies the distance of each channel from its mean by value.

    value: factor >= 0; policies draw it from U(1 - 0.08 L, 1 + 0.08 L). Source: extended
    RandAugment of MA-SSRL; `tf.image.adjust_contrast`. `contrast` uses one grey level for the three
    channels instead.
    """
    return photometric.to_uint8(photometric.adjust_contrast(photometric.to_float(image), value))


def rand_saturation(image: tf.Tensor, value: tf.Tensor) -> tf.Tensor:
    """Multiplies the HSV saturation by value.

    value: factor >= 0; policies draw it from U(1 - 0.08 L, 1 + 0.08 L). Source: extended
    RandAugment of MA-SSRL; `tf.image.adjust_saturation`.
    """
    return _on_planes(_saturate, image, value)


def rand_hue(image: tf.Tensor, value: tf.Tensor) -> tf.Tensor:
    """Turns the HSV hue by value.

    value: fraction of the circle, -0.5..0.5; policies draw it from U(-0.1 L, 0.1 L). Source:
    extended RandAugment of MA-SSRL; `tf.image.adjust_hue`.
    """
    return _on_planes(_turn_hue, image, value)


def rand_blur(image: tf.Tensor, value: tf.Tensor) -> tf.Tensor:
    """Gaussian blur with 2 int((W // 10) / 2) + 1 taps: 23 at 224 pixels, 1 (none) below 20.

    value: sigma in pixels; policies draw it from U(0.1, 2). Source: extended RandAugment of
    MA-SSRL. The authors pad with zeros and truncate the result to whole levels. Here the border is
    renormalised (`photometric.gaussian_blur`) and the result is rounded.
    """
    taps = photometric.blur_taps(image.shape[-2] or tf.shape(image)[-2])
    return photometric.to_uint8(photometric.gaussian_blur(photometric.to_float(image), value, taps))


def color_drop(image: tf.Tensor, value: tf.Tensor) -> tf.Tensor:
    """The grey image on all three channels. `value` is ignored.

    Weights and rounding are those of Pillow's "L". Source: extended RandAugment of MA-SSRL. The
    authors use `tf.image.rgb_to_grayscale` (weights 0.2989, 0.5870, 0.1140, truncated), which
    differs by at most 1 level.
    """
    return _grey_image(image)


def apply_op(
    image: tf.Tensor,
    op_index: tf.Tensor,
    value: tf.Tensor,
    fill: tf.Tensor,
    center: tf.Tensor,
) -> tf.Tensor:
    """Applies one operation of `OPS`, chosen at run time; only the chosen one is computed.

    Args:
        image: uint8 [H, W, 3]. For a batch [N, H, W, 3], all arguments below have a leading
            dimension N.
        op_index: int32 scalar, 0..len(OPS) - 1.
        value: float32 scalar in the unit of the operation.
        fill: scalar, grey level 0..255 of the pixels that shear, translation and rotation leave
            empty.
        center: float32 [2] in [0, 1), the centre of a cutout as fractions of width and height.

    Returns:
        uint8, with the static shape of `image`.
    """
    branches = _BRANCHES if len(image.shape) == 3 else _BATCH_BRANCHES
    result = choose(op_index, branches, image, value, fill, center)
    result.set_shape(image.shape)
    return result


def _plain(op: Callable) -> Callable:
    return lambda image, value, fill, center: op(image, value)


def _filled(op: Callable) -> Callable:
    return lambda image, value, fill, center: op(image, value, fill)


def _centred(op: Callable) -> Callable:
    return lambda image, value, fill, center: op(image, value, center)


# Policies draw an index into this table: append new rows, keep the order of the others.
OPS: tuple[Op, ...] = (
    Op("Identity", _plain(identity), level_rules.no_value),
    Op("AutoContrast", _plain(auto_contrast), level_rules.no_value),
    Op("Equalize", _plain(equalize), level_rules.no_value),
    Op("Invert", _plain(invert), level_rules.no_value),
    Op("Posterize", _plain(posterize), level_rules.posterize_bits),
    Op("Solarize", _plain(solarize), level_rules.solarize_threshold),
    Op("SolarizeAdd", _plain(solarize_add), level_rules.solarize_amount),
    Op("Color", _plain(color), level_rules.linear(0.1, 0.18)),
    Op("Contrast", _plain(contrast), level_rules.linear(0.1, 0.18)),
    Op("Brightness", _plain(brightness), level_rules.linear(0.1, 0.18)),
    Op("Sharpness", _plain(sharpness), level_rules.linear(0.1, 0.18)),
    Op("ShearX", _filled(geometry.shear_x), level_rules.linear(0.0, 0.03), signed=True),
    Op("ShearY", _filled(geometry.shear_y), level_rules.linear(0.0, 0.03), signed=True),
    Op("TranslateX", _filled(geometry.translate_x), level_rules.translation, signed=True),
    Op("TranslateY", _filled(geometry.translate_y), level_rules.translation, signed=True),
    Op("Rotate", _filled(geometry.rotate), level_rules.linear(0.0, 3.0), signed=True),
    # No policy gives Cutout a level; the rule spans the range of Fast AutoAugment.
    Op("Cutout", _centred(geometry.cutout), level_rules.linear(0.0, 0.02)),
    Op("rand_brightness", _plain(rand_brightness), level_rules.around(0.0, 0.08)),
    Op("rand_contrast", _plain(rand_contrast), level_rules.around(1.0, 0.08, lowest=0.0)),
    Op("rand_saturation", _plain(rand_saturation), level_rules.around(1.0, 0.08, lowest=0.0)),
    Op("rand_hue", _plain(rand_hue), level_rules.around(0.0, 0.1, lowest=-0.5, highest=0.5)),
    Op("rand_blur", _plain(rand_blur), level_rules.constant(0.1, 2.0)),
    Op("color_drop", _plain(color_drop), level_rules.no_value),
)

OP_INDEX: dict[str, int] = {op.name: index for index, op in enumerate(OPS)}

_BRANCHES = tuple(branch(op.apply) for op in OPS)

# Each is traced once for all views and slots, and inlined into the graph of a training step.
_BATCH_BRANCHES = tuple(tf.function(op.apply, autograph=False) for op in OPS)


def _extremes(image: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Lowest and highest level of each channel, float32 [..., 3] each."""
    # TensorFlow vectorizes reductions of float32, not of bytes.
    whole = tf.cast(lines(image), tf.float32)
    shape = tf.concat([tf.shape(image)[:-3], [-1, 3]], axis=0)
    low = tf.reshape(tf.reduce_min(whole, axis=-2), shape)
    high = tf.reshape(tf.reduce_max(whole, axis=-2), shape)
    return tf.reduce_min(low, axis=-2), tf.reduce_max(high, axis=-2)


@compiled
def _look_up(image: tf.Tensor, table: tf.Tensor) -> tf.Tensor:
    """Replaces each grey level by its entry in a table, uint8 [..., 3, 256], of the channel."""
    index = tf.cast(image, index_type(image)) + tf.constant([0, 256, 512], index_type(image))
    if len(image.shape) == 3:
        return tf.gather(tf.reshape(table, [-1]), index)
    index += 768 * per_image(tf.range(tf.shape(image, index.dtype)[0]))
    return gather_bytes(tf.reshape(table, [-1]), index)


@compiled
def _grey(image: tf.Tensor) -> tf.Tensor:
    """Pillow's "L", `index_type` [..., H, W]."""
    levels = tf.cast(image, index_type(image))
    total = 19595 * levels[..., 0] + 38470 * levels[..., 1] + 7471 * levels[..., 2] + 32768
    return tf.bitwise.right_shift(total, 16)


@compiled
def _grey_image(image: tf.Tensor) -> tf.Tensor:
    # A batch is broadcast before the cast: TensorFlow would broadcast bytes on the host.
    grey = _grey(image)[..., tf.newaxis]
    grey = tf.cast(grey, tf.uint8) if len(image.shape) == 3 else grey
    return tf.cast(tf.broadcast_to(grey, tf.shape(image)), tf.uint8)


@compiled
def _color(image: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    grey = _grey(image)[..., tf.newaxis]
    return _blend(grey, tf.cast(image, grey.dtype), factor)


@compiled
def _sharpen(image: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """The pixels that have eight neighbours, uint8 [..., H - 2, (W - 2) * 3]."""
    levels = tf.cast(lines(image), tf.float32)
    columns = levels[..., :-2, :] + levels[..., 1:-1, :] + levels[..., 2:, :]
    centre = levels[..., 1:-1, 3:-3]
    total = columns[..., :-6] + columns[..., 3:-3] + columns[..., 6:] + 4.0 * centre
    # total / 13 is never nearer to a half than 1/26, so float32 rounds as exact arithmetic does.
    return _blend(tf.floor(total * (1.0 / 13.0) + 0.5), centre, factor)


@compiled
def _saturate(levels: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Takes uint8 `planes`, returns float32 ones."""
    return jitter.adjust_saturation(photometric.to_float(levels), factor)


@compiled
def _turn_hue(levels: tf.Tensor, delta: tf.Tensor) -> tf.Tensor:
    """Takes uint8 `planes`, returns float32 ones."""
    return jitter.adjust_hue(photometric.to_float(levels), delta)


def _on_planes(step: Callable, image: tf.Tensor, value: tf.Tensor) -> tf.Tensor:
    # The channels are interleaved as floats: interleaving bytes takes five times as long.
    return photometric.to_uint8(pixels(step(planes(image), per_image(value)), image))


def _blend(degenerate: tf.Tensor, image: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """degenerate + factor * (image - degenerate), clipped and truncated to uint8.

    Float32 and the order of `PIL.Image.blend`, since truncation makes the last bit visible. Both
    images have whole levels, and `factor` is a float32 number given as float64. Their product is
    therefore exact in float64, and the cast is its only rounding, which no compiler can leave out.
    """
    product = tf.cast(factor * tf.cast(image - degenerate, tf.float64), tf.float32)
    return _cut(tf.clip_by_value(tf.cast(degenerate, tf.float32) + product, 0.0, 255.0))


def _cut(levels: tf.Tensor) -> tf.Tensor:
    """Truncates float32 to uint8, via int32, a conversion that XLA vectorizes."""
    return tf.cast(tf.cast(levels, tf.int32), tf.uint8)
