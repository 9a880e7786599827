"""Crops of a batch, cut and resized on the device by products of matrices.

A resized row is a weighted sum of pixels. So a crop of an image is W_y image W_x', where the rows
of the two matrices hold the weights of the kernel and are zero outside the crop. All crops of a
batch are then two batched products, whatever their sizes, and antialiasing costs nothing.

The sums are those of `crops.crop_and_resize` in another order, so a pixel is at most one grey level
from that of the host where its sum lies between two levels.
"""

import tensorflow as tf

from ssl_tf.views.resampling import KERNELS

# ResizeBicubic rounds the place between two pixels to one of so many steps.
_BICUBIC_STEPS = 1024.0


def columns_of(canvases: tf.Tensor) -> tf.Tensor:
    """The canvases with their columns as rows, for `crop_batch`: uint8 [N, H, W, 3] -> float32."""
    shape = canvases.shape
    columns = tf.cast(tf.transpose(canvases, [0, 2, 1, 3]), tf.float32)
    return tf.reshape(columns, [-1, shape[2], shape[1] * 3])


def crop_batch(
    columns: tf.Tensor, rectangles: tf.Tensor, size: int, interpolation: str, library: str
) -> tf.Tensor:
    """Cuts one rectangle out of each image and resizes it, as `crops.crop_and_resize` does.

    Args:
        columns: float32 [N, W, 3 * H], from `columns_of`.
        rectangles: [N, 4] of whole numbers, top, left, height, width in pixels.
        size: side of the results.
        interpolation: "bilinear" or "bicubic".
        library: "tensorflow", without antialiasing, or "pillow", with it.

    Returns:
        float32 [N, size, size, 3] of whole levels 0..255.
    """
    width, height = columns.shape[1], columns.shape[2] // 3
    top, left, tall, wide = tf.unstack(tf.cast(rectangles, tf.float32), axis=1)
    kernel = (size, interpolation, library)
    narrow = tf.matmul(_weights(left, wide, width, *kernel), columns)
    if library == "pillow":
        # Pillow stores whole levels between its two passes.
        narrow = _whole_levels(narrow)
    rows = tf.transpose(tf.reshape(narrow, [-1, size, height, 3]), [0, 2, 1, 3])
    rows = tf.reshape(rows, [-1, height, 3 * size])
    resized = tf.matmul(_weights(top, tall, height, *kernel), rows)
    return tf.reshape(_whole_levels(resized), [-1, size, size, 3])


def _weights(
    start: tf.Tensor, length: tf.Tensor, side: int, size: int, interpolation: str, library: str
) -> tf.Tensor:
    """The weights of `side` pixels for `size` pixels of the result: float32 [N, size, side].

    Args:
        start, length: float32 [N], the stretch of the axis that is resized.
    """
    start, length = start[:, tf.newaxis, tf.newaxis], length[:, tf.newaxis, tf.newaxis]
    scale = length / size
    centre = (tf.range(size, dtype=tf.float32)[:, tf.newaxis] + 0.5) * scale
    pixel = tf.range(side, dtype=tf.float32) - start
    kernel = KERNELS[interpolation][0]
    if library == "pillow":
        distance = tf.abs(pixel + 0.5 - centre) / tf.maximum(scale, 1.0)
    elif interpolation == "bilinear":
        # Beyond the outermost centres there is the outermost pixel alone.
        return kernel(tf.abs(pixel - tf.clip_by_value(centre - 0.5, 0.0, length - 1.0)))
    else:
        place = centre - 0.5
        whole = tf.floor(place)
        step = tf.round((place - whole) * _BICUBIC_STEPS) / _BICUBIC_STEPS
        distance = tf.abs(pixel - (whole + step))
    weights = tf.where((pixel >= 0.0) & (pixel < length), kernel(distance), 0.0)
    return weights / tf.reduce_sum(weights, axis=-1, keepdims=True)


def _whole_levels(values: tf.Tensor) -> tf.Tensor:
    return tf.clip_by_value(tf.floor(values + 0.5), 0.0, 255.0)
