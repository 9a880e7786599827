"""Shear, translation, rotation and cutout on uint8 images, equal to Pillow's nearest sampling.

Every op takes and returns uint8 `[H, W, 3]` and keeps the static shape. An output pixel reads one
input pixel; what lies outside the image becomes `fill`, one grey level for the three channels
(Pillow's `fillcolor`; the published choices are 128, black and the image mean).

Pillow maps output to input coordinates at pixel centres: `Image.transform(AFFINE, (a, b, c, d, e,
f))` reads x' = a (x + 0.5) + b (y + 0.5) + c, y' = d (x + 0.5) + e (y + 0.5) + f, in 16.16 fixed
point whose six coefficients are rounded once; a pure shift is taken in double precision instead.
Both are reproduced for sides up to 16384 pixels.
"""

import math

import tensorflow as tf

CUTOUT_FILL = (125, 123, 114)


def shear_x(image: tf.Tensor, value: tf.Tensor, fill: tf.Tensor) -> tf.Tensor:
    """Row y reads from x + value * (y + 0.5), rounded: about the top-left corner.

    value: shear factor, -0.3..0.3, sign drawn by the caller. Source: AutoAugment. All published
    codes agree on the range; torchvision shears about the centre unless told otherwise.
    """
    offset = _shear_offset(value, tf.shape(image)[0])
    columns = tf.range(tf.shape(image)[1])[tf.newaxis, :] + offset[:, tf.newaxis]
    return _sample(image, tf.range(tf.shape(image)[0])[:, tf.newaxis], columns, fill)


def shear_y(image: tf.Tensor, value: tf.Tensor, fill: tf.Tensor) -> tf.Tensor:
    """Column x reads from y + value * (x + 0.5), rounded; otherwise as `shear_x`."""
    offset = _shear_offset(value, tf.shape(image)[1])
    rows = tf.range(tf.shape(image)[0])[:, tf.newaxis] + offset[tf.newaxis, :]
    return _sample(image, rows, tf.range(tf.shape(image)[1])[tf.newaxis, :], fill)


def translate_x(image: tf.Tensor, value: tf.Tensor, fill: tf.Tensor) -> tf.Tensor:
    """Pixel x reads from x + value * W: a positive value moves the content to the left.

    value: fraction of the width, -0.45..0.45 (AutoAugment: 150 of 331 pixels), sign drawn by the
    caller. The TF reference shifts by fixed pixels (100 or 250 at the top level) whatever the
    size, which at 224 pixels can push the whole image out; the caller divides by the width.
    """
    return _shift(image, value, 1, fill)


def translate_y(image: tf.Tensor, value: tf.Tensor, fill: tf.Tensor) -> tf.Tensor:
    """Pixel y reads from y + value * H: a positive value moves the content up."""
    return _shift(image, value, 0, fill)


def rotate(image: tf.Tensor, value: tf.Tensor, fill: tf.Tensor) -> tf.Tensor:
    """Turned counter-clockwise about the centre, size kept.

    value: degrees, -30..30, sign drawn by the caller. Source: AutoAugment. Pillow copies or
    transposes at multiples of 90 degrees (90 and 270 only for square images); the fixed-point
    arithmetic gives the same pixels there, so they are not special here.
    """
    height, width = tf.shape(image)[0], tf.shape(image)[1]
    centre_x = 0.5 * tf.cast(width, tf.float64)
    centre_y = 0.5 * tf.cast(height, tf.float64)
    degrees = tf.math.floormod(tf.cast(value, tf.float64), tf.constant(360.0, tf.float64))
    angle = -degrees * tf.constant(math.pi / 180.0, tf.float64)
    # Pillow rounds sine and cosine to 15 decimals, so that right angles are exact.
    cosine = tf.round(tf.cos(angle) * 1e15) / 1e15
    sine = tf.round(tf.sin(angle) * 1e15) / 1e15
    origin_x = cosine * -centre_x + sine * -centre_y + centre_x
    origin_y = -sine * -centre_x + cosine * -centre_y + centre_y
    y, x = tf.range(height)[:, tf.newaxis], tf.range(width)[tf.newaxis, :]
    columns = _fixed(origin_x + cosine * 0.5 + sine * 0.5) + _fixed(sine) * y + _fixed(cosine) * x
    rows = _fixed(origin_y - sine * 0.5 + cosine * 0.5) + _fixed(cosine) * y + _fixed(-sine) * x
    return _sample(image, _whole(rows), _whole(columns), fill)


def cutout(image: tf.Tensor, value: tf.Tensor, center: tf.Tensor) -> tf.Tensor:
    """A square of one colour, (125, 123, 114), over the image.

    value: side as a fraction of the WIDTH, 0..0.2; at 0 the image is kept.
    center: float32 [2] in [0, 1), the fractions u of the width and v of the height.

    Geometry of Fast AutoAugment: the left edge is int(max(0, u W - side / 2)), the right edge
    int(min(W, left + side)) and is painted too, so a square of side s covers int(s) + 1 pixels and
    keeps its size at the left and upper border. The AutoAugment code paints int(20 L / 10) pixels
    in (125, 122, 113), the TF reference twice int(40 L / 10) or int(100 L / 10) in 128.
    """
    height, width = tf.shape(image)[0], tf.shape(image)[1]
    side = tf.cast(value, tf.float64) * tf.cast(width, tf.float64)
    left, right = _covered(center[0], side, width)
    top, bottom = _covered(center[1], side, height)
    square = tf.broadcast_to(tf.constant(CUTOUT_FILL, tf.uint8), [bottom - top, right - left, 3])
    middle = image[top:bottom]
    middle = tf.concat([middle[:, :left], square, middle[:, right:]], axis=1)
    painted = tf.concat([image[:top], middle, image[bottom:]], axis=0)
    painted.set_shape(image.shape)
    return painted


def _covered(middle: tf.Tensor, side: tf.Tensor, length: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """First pixel of the cutout along an axis of `length` pixels, and the one after its last."""
    limit = tf.cast(length, tf.float64)
    start = tf.floor(tf.maximum(tf.cast(middle, tf.float64) * limit - side / 2.0, 0.0))
    last = tf.floor(tf.minimum(start + side, limit))
    stop = tf.where(side > 0.0, tf.minimum(last + 1.0, limit), start)
    return tf.cast(start, tf.int32), tf.cast(stop, tf.int32)


def _fixed(number: tf.Tensor) -> tf.Tensor:
    """float64 to 16.16 fixed point, as int32."""
    return tf.cast(tf.floor(number * 65536.0 + 0.5), tf.int32)


def _whole(fixed: tf.Tensor) -> tf.Tensor:
    """The integer part of 16.16 fixed point, rounded down."""
    return tf.bitwise.right_shift(fixed, 16)


def _shear_offset(value: tf.Tensor, length: tf.Tensor) -> tf.Tensor:
    """int32 [length]: by how many pixels each line is displaced."""
    factor = tf.cast(value, tf.float64)
    return _whole(_fixed(0.5 + factor * 0.5) + _fixed(factor) * tf.range(length))


def _shift(image: tf.Tensor, value: tf.Tensor, axis: int, fill: tf.Tensor) -> tf.Tensor:
    """Translation along one axis, by slicing and padding."""
    length = tf.shape(image)[axis]
    limit = tf.cast(length, tf.float64)
    pixels = tf.floor(tf.cast(value, tf.float64) * limit + 0.5)
    shift = tf.cast(tf.clip_by_value(pixels, -limit, limit), tf.int32)
    before, after = tf.maximum(-shift, 0), tf.maximum(shift, 0)
    if axis == 0:
        kept = image[after : length - before]
        paddings = [[before, after], [0, 0], [0, 0]]
    else:
        kept = image[:, after : length - before]
        paddings = [[0, 0], [before, after], [0, 0]]
    shifted = tf.pad(kept, paddings, constant_values=tf.cast(fill, tf.uint8))
    shifted.set_shape(image.shape)
    return shifted


def _sample(image: tf.Tensor, rows: tf.Tensor, columns: tf.Tensor, fill: tf.Tensor) -> tf.Tensor:
    """Pixels (rows, columns), both int32 and together of shape [H, W]; `fill` outside."""
    height, width = tf.shape(image)[0], tf.shape(image)[1]
    # A frame of one fill pixel takes every index from outside, without a mask.
    framed = tf.pad(image, [[1, 1], [1, 1], [0, 0]], constant_values=tf.cast(fill, tf.uint8))
    rows = tf.clip_by_value(rows + 1, 0, height + 1)
    columns = tf.clip_by_value(columns + 1, 0, width + 1)
    pixels = tf.gather(tf.reshape(framed, [-1, 3]), rows * (width + 2) + columns)
    pixels.set_shape(image.shape)
    return pixels
