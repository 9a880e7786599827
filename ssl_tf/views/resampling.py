"""Pillow's `Image.resize` of RGB images, antialiased, to the byte.

Pillow resizes one axis after the other, the horizontal one first. A pixel of the result is a
weighted sum of pixels. The weights are computed in float64 and rounded to multiples of 2**-22, the
sum is one of integers, and each pass rounds to whole levels. All of that is reproduced. So the
order of the sums does not matter, and the result is the same on every device.
"""

import tensorflow as tf

from ssl_tf.views.compilation import compiled

# Bits behind the point of a weight.
_PRECISION = 22


def pillow_resize(image: tf.Tensor, size: int, interpolation: str) -> tf.Tensor:
    """Resizes to [size, size] as `Image.resize` does, with the whole image as its box.

    Where an axis is made shorter the kernel is as much wider, which antialiases.

    Args:
        image: uint8 [H, W, 3], any H and W >= 1.
        size: side of the result.
        interpolation: "bilinear" or "bicubic".

    Returns:
        uint8 [size, size, 3].
    """
    height, width = tf.unstack(tf.shape(image)[:2])
    # The matrices multiply from the left, so the axis of the sums comes first, and both transposed
    # arrays are matrices: TensorFlow transposes no other array as fast.
    lines = tf.cast(tf.reshape(image, [height, 3 * width]), tf.int32)
    columns = tf.reshape(tf.transpose(lines), [width, 3 * height])
    narrow = _whole_levels(_weighted_sums(columns, width, size, interpolation))
    rows = tf.transpose(tf.reshape(narrow, [3 * size, height]))
    sums = tf.ensure_shape(_weighted_sums(rows, height, size, interpolation), [size, 3 * size])
    return tf.reshape(_bytes(sums), [size, size, 3])


def _weighted_sums(
    values: tf.Tensor, length: tf.Tensor, size: int, interpolation: str
) -> tf.Tensor:
    """The sums of one pass, times 2**22: int32 [length, n] -> int32 [size, n]."""
    places, weights = _taps(length, size, interpolation)
    rows = tf.broadcast_to(tf.range(size, dtype=tf.int64)[:, tf.newaxis], tf.shape(places))
    return tf.raw_ops.SparseTensorDenseMatMul(
        a_indices=tf.reshape(tf.stack([rows, tf.cast(places, tf.int64)], axis=-1), [-1, 2]),
        a_values=tf.reshape(weights, [-1]),
        a_shape=tf.cast(tf.stack([size, length]), tf.int64),
        b=values,
    )


def _taps(length: tf.Tensor, size: int, interpolation: str) -> tuple[tf.Tensor, tf.Tensor]:
    """The pixels of which each pixel of the result is made, and their weights times 2**22.

    Both int32 [size, taps]. Superfluous taps have the weight 0.
    """
    kernel, support = KERNELS[interpolation]
    scale = tf.cast(length, tf.float64) / size
    stretch = tf.maximum(scale, 1.0)
    reach = support * stretch
    centre = ((tf.range(size, dtype=tf.float64) + 0.5) * scale)[:, tf.newaxis]
    # Casts round towards 0, like those of C.
    first = tf.maximum(tf.cast(centre - reach + 0.5, tf.int32), 0)
    end = tf.minimum(tf.cast(centre + reach + 0.5, tf.int32), length)
    place = first + tf.range(tf.cast(tf.math.ceil(2.0 * reach), tf.int32))
    distance = tf.abs((tf.cast(place, tf.float64) - centre + 0.5) * (1.0 / stretch))
    weight = tf.where(place < end, kernel(distance), 0.0)
    share = weight / tf.reduce_sum(weight, axis=1, keepdims=True) * float(1 << _PRECISION)
    rounded = tf.cast(share + 0.5 * tf.sign(share), tf.int32)
    return tf.minimum(place, length - 1), rounded


def _triangle(x: tf.Tensor) -> tf.Tensor:
    return tf.maximum(1.0 - x, 0.0)


def _cubic(x: tf.Tensor) -> tf.Tensor:
    """Keys's cubic convolution with a = -0.5 (ResizeBicubic has -0.5, too; PyTorch -0.75)."""
    near = (1.5 * x - 2.5) * x * x + 1.0
    far = (((x - 5.0) * x + 8.0) * x - 4.0) * -0.5
    return tf.where(x < 1.0, near, tf.where(x < 2.0, far, 0.0))


# Kernels of a distance >= 0, and how far they reach.
KERNELS = {"bilinear": (_triangle, 1.0), "bicubic": (_cubic, 2.0)}


def _whole_levels(sums: tf.Tensor) -> tf.Tensor:
    """Rounds to the nearest level, halves up, and clips to 0..255: int32."""
    levels = tf.bitwise.right_shift(sums + (1 << (_PRECISION - 1)), _PRECISION)
    return tf.clip_by_value(levels, 0, 255)


@compiled
def _bytes(sums: tf.Tensor) -> tf.Tensor:
    return tf.cast(_whole_levels(sums), tf.uint8)
