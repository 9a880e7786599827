"""Descriptors of regions: a region's part of a feature map, pooled to a 7x7 grid."""

import numpy as np
import tensorflow as tf

# Region max-pooling as of Faster R-CNN: twice the grid is sampled, and the largest of 2x2 samples
# taken. LOD's own takes the largest of all cells of a bin, which large regions score higher by.
_GRID = 7
_SAMPLED = 2 * _GRID
_BATCH = 256


def describe_regions(
    features: tf.Tensor, boxes: np.ndarray, height: int, width: int, projection: np.ndarray | None
) -> np.ndarray:
    """The descriptors of an image's regions, float16 [R, 7 * 7 * C].

    Before the projection their largest value is 1.

    Args:
        features: float32 [h, w, D], non-negative.
        boxes: int [R, 4] in pixels.
        height, width: of the image in pixels.
        projection: float32 [D, C] that multiplies every cell; None keeps all channels.
    """
    if not len(boxes):
        channels = features.shape[-1] if projection is None else projection.shape[1]
        return np.zeros([0, _GRID * _GRID * channels], np.float16)
    x1, y1, x2, y2 = np.asarray(boxes, np.float32).T
    sides = np.stack([(y1 - 1) / height, (x1 - 1) / width, y2 / height, x2 / width], axis=1)
    parts = [
        _pooled(features, tf.constant(sides[start : start + _BATCH]))
        for start in range(0, len(boxes), _BATCH)
    ]
    pooled = tf.concat(parts, axis=0)
    pooled /= tf.maximum(tf.reduce_max(pooled), 1e-12)
    if projection is not None:
        pooled = tf.tensordot(pooled, projection, axes=1)
    return tf.reshape(pooled, [len(boxes), -1]).numpy().astype(np.float16)


def make_projection(channels: int, dimension: int, seed: int) -> np.ndarray | None:
    """A Gaussian matrix [channels, dimension] that keeps mean inner products; None if 0."""
    if not dimension:
        return None
    random = np.random.default_rng([seed, channels, dimension])
    return (random.standard_normal([channels, dimension]) / np.sqrt(dimension)).astype(np.float32)


def _pooled(features: tf.Tensor, sides: tf.Tensor) -> tf.Tensor:
    """The pooled boxes, float32 [R, 7, 7, D]; sides: ymin, xmin, ymax, xmax in [0, 1]."""
    cells = tf.cast(tf.shape(features)[:2], tf.float32)
    first, last = sides[:, :2], sides[:, 2:]
    # Sample points are the centres of 14x14 equal parts. A map's values lie at the centres of its
    # cells, and `crop_and_resize` takes positions as shares of the way from the first to the last.
    half = (last - first) / (2 * _SAMPLED)
    steps = tf.maximum(cells - 1, 1)
    corners = [(edge * cells - 0.5) / steps for edge in (first + half, last - half)]
    sampled = tf.image.crop_and_resize(
        features[None],
        tf.clip_by_value(tf.concat(corners, axis=1), 0.0, 1.0),
        tf.zeros([tf.shape(sides)[0]], tf.int32),
        [_SAMPLED, _SAMPLED],
    )
    return tf.nn.max_pool2d(sampled, 2, 2, "VALID")
