"""The scores of pixels from those of cells, by linear interpolation between the cells' centres."""

import tensorflow as tf


def upsample(scores: tf.Tensor, stride: int, height, width, scale: float = 1.0) -> tf.Tensor:
    """Scores of cells to scores of pixels.

    A `build_resnet` pads symmetrically, so the centre of cell k is pixel k * stride, and not the
    middle of a block of pixels, as a resize would have it. Behind the last cell its scores go on.

    Args:
        scores: float [N, h, w, C] of cells.
        stride: pixels between two cells.
        height, width: of the result.
        scale: side of the image that the cells are of, over that of the result.

    Returns:
        float [N, height, width, C].
    """
    rows = _weights(height, tf.shape(scores)[1], stride, scale, scores.dtype)
    columns = _weights(width, tf.shape(scores)[2], stride, scale, scores.dtype)
    tall = tf.einsum("yh,nhwc->nywc", rows, scores)
    return tf.einsum("xw,nywc->nyxc", columns, tall)


def _weights(pixels, cells: tf.Tensor, stride: int, scale: float, dtype: tf.DType) -> tf.Tensor:
    """The weight of each cell in each pixel, along one axis: [pixels, cells]."""
    centres = (tf.cast(tf.range(pixels), dtype) + 0.5) * scale - 0.5
    last = tf.cast(cells - 1, dtype)
    places = tf.clip_by_value(centres / stride, 0.0, last)[:, tf.newaxis]
    distances = tf.abs(places - tf.cast(tf.range(cells), dtype))
    return tf.nn.relu(1 - distances)
