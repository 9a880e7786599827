"""Nearest images by the cosine of their descriptors, exact."""

import numpy as np
import tensorflow as tf

from ssl_tf.networks.precision import full_float32

_BLOCK_FLOATS = 2**26


def nearest_images(descriptors: np.ndarray, count: int) -> np.ndarray:
    """The nearest other images of each image, int64 [N, min(count, N - 1)].

    Args:
        descriptors: float32 [N, D]; a row of zeros has similarity 0 to all images.
        count: number of neighbours.
    """
    size = len(descriptors)
    count = min(count, size - 1)
    if count < 1:
        return np.zeros([size, 0], np.int64)
    unit = tf.math.l2_normalize(tf.constant(descriptors, tf.float32), axis=1)
    rows = max(1, _BLOCK_FLOATS // size)
    nearest = []
    for start in range(0, size, rows):
        with full_float32():
            block = tf.matmul(unit[start : start + rows], unit, transpose_b=True)
        # No image is its own neighbour.
        block = tf.linalg.set_diag(block, tf.fill([len(block)], -2.0), k=start)
        nearest.append(tf.math.top_k(block, count).indices.numpy())
    return np.concatenate(nearest).astype(np.int64)


def unordered_pairs(neighbours: np.ndarray) -> np.ndarray:
    """The pairs of neighbours without repetition: int64 [P, 2], i < j, sorted."""
    size, count = neighbours.shape
    first = np.repeat(np.arange(size), count)
    second = neighbours.ravel()
    low, high = np.minimum(first, second), np.maximum(first, second)
    return np.stack(np.divmod(np.unique(low * size + high), max(1, size)), axis=1)


def owners(pairs: np.ndarray) -> np.ndarray:
    """The owner of each pair, the image in whose shard it is matched: int64 [P].

    The parity of the sum decides, so that the first images do not own most of the pairs.
    """
    even = (pairs.sum(axis=1) % 2) == 0
    return np.where(even, pairs[:, 0], pairs[:, 1])
