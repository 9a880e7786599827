"""Shear, translation, rotation and cutout on uint8 images, equal to Pillow's nearest sampling.

Every function takes and returns uint8 [H, W, 3], or a batch [N, H, W, 3] with parameters [N], and
keeps the static shape. An output pixel reads one input pixel. A pixel from outside the image
becomes `fill`, one grey level for the three channels (Pillow's `fillcolor`; the published choices
are 128, black and the image mean).

Pillow maps output to input coordinates at pixel centres: `Image.transform(AFFINE, (a, b, c, d, e,
f))` reads x' = a (x + 0.5) + b (y + 0.5) + c, y' = d (x + 0.5) + e (y + 0.5) + f, in 16.16 fixed
point whose six coefficients are rounded once. It computes a pure shift in double precision. Both
are reproduced for sides up to 16384 pixels.
"""

import math

import tensorflow as tf

from ssl_tf.views.compilation import compiled
from ssl_tf.views.layout import gather_bytes, index_type, lines, per_image, shaped

CUTOUT_FILL = (125, 123, 114)


def shear_x(image: tf.Tensor, value: tf.Tensor, fill: tf.Tensor) -> tf.Tensor:
    """Shears about the top-left corner: row y reads from x + value * (y + 0.5), rounded.

    value: shear factor, -0.3..0.3; policies draw its sign. Source: AutoAugment. All published codes
    agree on the range. The default of torchvision shears about the centre.
    """
    factor = tf.cast(value, tf.float64)
    return _transformed(image, fill, [1, factor, 0.5 + factor * 0.5], [0, 1, 0])


def shear_y(image: tf.Tensor, value: tf.Tensor, fill: tf.Tensor) -> tf.Tensor:
    """Column x reads from y + value * (x + 0.5), rounded; see `shear_x`."""
    factor = tf.cast(value, tf.float64)
    return _transformed(image, fill, [1, 0, 0], [factor, 1, 0.5 + factor * 0.5])


def translate_x(image: tf.Tensor, value: tf.Tensor, fill: tf.Tensor) -> tf.Tensor:
    """Pixel x reads from x + value * W: a positive value moves the content to the left.

    value: fraction of the width, -0.45..0.45 (AutoAugment: 150 of 331 pixels); policies draw its
    sign. The TF reference shifts by 100 or 250 pixels at the top level, whatever the size. At 224
    pixels that can move the whole image out of the frame.
    """
    return _shift(image, value, 1, fill)


def translate_y(image: tf.Tensor, value: tf.Tensor, fill: tf.Tensor) -> tf.Tensor:
    """Pixel y reads from y + value * H: a positive value moves the content up."""
    return _shift(image, value, 0, fill)


def rotate(image: tf.Tensor, value: tf.Tensor, fill: tf.Tensor) -> tf.Tensor:
    """Turns the image counter-clockwise about its centre and keeps the size.

    value: degrees, -30..30; policies draw its sign. Source: AutoAugment. Pillow copies or
    transposes at multiples of 90 degrees (90 and 270 only for square images). The fixed-point
    arithmetic gives the same pixels, so these angles need no special case here.
    """
    height, width = tf.unstack(tf.shape(image)[-3:-1])
    centre_x = 0.5 * tf.cast(width, tf.float64)
    centre_y = 0.5 * tf.cast(height, tf.float64)
    degrees = tf.math.floormod(tf.cast(value, tf.float64), tf.constant(360.0, tf.float64))
    angle = -degrees * tf.constant(math.pi / 180.0, tf.float64)
    # Pillow rounds sine and cosine to 15 decimals, which makes right angles exact.
    cosine = tf.round(tf.cos(angle) * 1e15) / 1e15
    sine = tf.round(tf.sin(angle) * 1e15) / 1e15
    origin_x = cosine * -centre_x + sine * -centre_y + centre_x
    origin_y = -sine * -centre_x + cosine * -centre_y + centre_y
    columns = [cosine, sine, origin_x + cosine * 0.5 + sine * 0.5]
    rows = [-sine, cosine, origin_y - sine * 0.5 + cosine * 0.5]
    return _transformed(image, fill, columns, rows)


def cutout(image: tf.Tensor, value: tf.Tensor, center: tf.Tensor) -> tf.Tensor:
    """Paints a square of one colour, (125, 123, 114), over the image.

    The geometry is that of Fast AutoAugment. The left edge is int(max(0, u W - side / 2)), the
    right edge int(min(W, left + side)), and the right edge is painted, too. So a square of side s
    covers int(s) + 1 pixels and keeps its size at the left and upper border. The AutoAugment code
    paints int(20 L / 10) pixels in (125, 122, 113), the TF reference twice int(40 L / 10) or
    int(100 L / 10) in 128.

    Args:
        image: uint8 [H, W, 3] or [N, H, W, 3].
        value: side as a fraction of the WIDTH, 0..0.2; 0 keeps the image.
        center: float32 [2] or [N, 2] in [0, 1), the fractions u of the width and v of the height.
    """
    height, width = tf.unstack(tf.shape(image)[-3:-1])
    side = tf.cast(value, tf.float64) * tf.cast(width, tf.float64)
    left, right = _covered(center[..., 0], side, width)
    top, bottom = _covered(center[..., 1], side, height)
    if len(image.shape) == 4:
        rows = _between(top, bottom, height)[:, :, tf.newaxis, tf.newaxis]
        columns = _between(left, right, width)[:, tf.newaxis, :, tf.newaxis]
        return tf.where(rows & columns, tf.constant(CUTOUT_FILL, tf.uint8), image)
    square = tf.broadcast_to(tf.constant(CUTOUT_FILL, tf.uint8), [bottom - top, right - left, 3])
    middle = image[top:bottom]
    middle = tf.concat([middle[:, :left], square, middle[:, right:]], axis=1)
    painted = tf.concat([image[:top], middle, image[bottom:]], axis=0)
    painted.set_shape(image.shape)
    return painted


def _covered(middle: tf.Tensor, side: tf.Tensor, length: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """First pixel of the cutout along an axis of `length` pixels, and the one after its last.

    Both are int32, with the shape of `middle` and `side`: scalar or [N].
    """
    limit = tf.cast(length, tf.float64)
    start = tf.floor(tf.maximum(tf.cast(middle, tf.float64) * limit - side / 2.0, 0.0))
    last = tf.floor(tf.minimum(start + side, limit))
    stop = tf.where(side > 0.0, tf.minimum(last + 1.0, limit), start)
    return tf.cast(start, tf.int32), tf.cast(stop, tf.int32)


def _between(start: tf.Tensor, stop: tf.Tensor, length: tf.Tensor) -> tf.Tensor:
    """bool [N, length], True from `start` to `stop`, exclusive; both are int32 [N]."""
    place = tf.range(length)
    return (place >= start[:, tf.newaxis]) & (place < stop[:, tf.newaxis])


def _shift(image: tf.Tensor, value: tf.Tensor, axis: int, fill: tf.Tensor) -> tf.Tensor:
    """Translates along axis 0 (H) or 1 (W).

    A single image is sliced and padded; in a batch each pixel is read from its source.
    """
    length = tf.shape(image)[-3:][axis]
    limit = tf.cast(length, tf.float64)
    pixels = tf.floor(tf.cast(value, tf.float64) * limit + 0.5)
    pixels = tf.clip_by_value(pixels, -limit, limit)
    if len(image.shape) == 4:
        across, down = (0, pixels) if axis == 0 else (pixels, 0)
        return _transformed(image, fill, [1, 0, across], [0, 1, down])
    # Whole lines are copied contiguously; a column takes three places in a line.
    shift = tf.cast(pixels, tf.int32) * (1, 3)[axis]
    before, after = tf.maximum(-shift, 0), tf.maximum(shift, 0)
    whole, nothing = lines(image), tf.constant([0, 0])
    end = tf.shape(whole)[axis] - before
    kept = whole[after:end] if axis == 0 else whole[:, after:end]
    around = tf.stack([before, after])
    paddings = tf.stack([around, nothing] if axis == 0 else [nothing, around])
    return shaped(tf.pad(kept, paddings, constant_values=tf.cast(fill, tf.uint8)), image)


def _transformed(image: tf.Tensor, fill: tf.Tensor, columns: list, rows: list) -> tf.Tensor:
    """Pixel (x, y) of the result is pixel (ax + by + c, dx + ey + f) of the image, or `fill`.

    columns, rows: a, b, c and d, e, f; each a number or float64, scalar or [N].
    """
    coefficients = [per_image(tf.cast(number, tf.float64), 2) for number in (*columns, *rows)]
    made = _transform(image, per_image(tf.cast(fill, tf.uint8)), *coefficients)
    made.set_shape(image.shape)
    return made


@compiled
def _transform(image: tf.Tensor, fill: tf.Tensor, *coefficients: tf.Tensor) -> tf.Tensor:
    whole = index_type(image)
    height, width = tf.unstack(tf.shape(image, whole)[-3:-1])
    # The coefficients are in 16.16 fixed point; the sums are rounded down.
    a, b, c, d, e, f = (tf.cast(tf.floor(65536.0 * n + 0.5), whole) for n in coefficients)
    y, x = tf.range(height)[:, tf.newaxis], tf.range(width)[tf.newaxis, :]
    columns = tf.bitwise.right_shift(a * x + b * y + c, 16)
    rows = tf.bitwise.right_shift(d * x + e * y + f, 16)
    inside = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
    place = tf.clip_by_value(rows, 0, height - 1) * width + tf.clip_by_value(columns, 0, width - 1)
    gather, flat = tf.gather, tf.reshape(image, [-1, 3])
    if len(image.shape) == 4:
        gather = gather_bytes
        place += height * width * per_image(tf.range(tf.shape(image, whole)[0]), 2)
    return tf.where(inside[..., tf.newaxis], gather(flat, place), fill)
