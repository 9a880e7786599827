"""The scores of pixels from those of cells, by linear interpolation between the cells' centres."""

import tensorflow as tf


def upsample(scores: tf.Tensor, stride: int, height, width, scaled=None) -> tf.Tensor:
    """Scores of cells to scores of pixels.

    A `build_resnet` pads symmetrically, so the centre of cell k is pixel k * stride, and not the
    middle of a block of pixels, as a resize would have it. Behind the last cell its scores go on.

    Args:
        scores: float [N, h, w, C] of cells.
        stride: pixels between two cells.
        height, width: of the result.
        scaled: height and width of the image that the cells are of; None: those of the result.

    Returns:
        float [N, height, width, C].
    """
    tall, wide = (height, width) if scaled is None else tf.unstack(scaled)
    rows = _weights(height, tall, tf.shape(scores)[1], stride, scores.dtype)
    columns = _weights(width, wide, tf.shape(scores)[2], stride, scores.dtype)
    in_rows = tf.einsum("yh,nhwc->nywc", rows, scores)
    return tf.einsum("xw,nywc->nyxc", columns, in_rows)


def _weights(pixels, scaled, cells: tf.Tensor, stride: int, dtype: tf.DType) -> tf.Tensor:
    """The weight of each cell in each pixel, along one axis: [pixels, cells]."""
    # Sides are whole numbers, so that the two axes may be scaled a little otherwise.
    scale = tf.cast(scaled, dtype) / tf.cast(pixels, dtype)
    centres = (tf.cast(tf.range(pixels), dtype) + 0.5) * scale - 0.5
    last = tf.cast(cells - 1, dtype)
    places = tf.clip_by_value(centres / stride, 0.0, last)[:, tf.newaxis]
    distances = tf.abs(places - tf.cast(tf.range(cells), dtype))
    return tf.nn.relu(1 - distances)
