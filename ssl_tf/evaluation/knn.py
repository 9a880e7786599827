"""Weighted nearest neighbours: what the features know without any training."""

import numpy as np
import tensorflow as tf

from ssl_tf.evaluation.metrics import l2_normalized, mean_average_precision, top_k_accuracy


def weighted_knn(
    bank: np.ndarray,
    bank_labels: np.ndarray,
    queries: np.ndarray,
    num_classes: int,
    k: int = 200,
    temperature: float = 0.1,
    block: int = 1024,
) -> np.ndarray:
    """Class scores of the queries by their k most similar bank rows: [Q, C] float64.

    Similarity is the cosine, each neighbour votes exp(similarity / temperature) for its class
    (Wu et al. 2018), and a query's votes are divided by their sum, which keeps small temperatures
    from overflowing. The search is exact, in float32, and of equal neighbours the earlier row
    wins. At most block x block similarities are held at a time.

    Args:
        bank: [B, D] real, any length of rows.
        bank_labels: [B] integer in [0, num_classes); or [B, C] of 0 and 1, where a neighbour votes
            for each class that it has.
        queries: [Q, D] real.
        num_classes: C.
        k: neighbours; the whole bank, where it is smaller.
        temperature: above 0; published: 0.07 and 0.1.
        block: rows of bank and queries taken at a time.
    """
    bank_labels = np.asarray(bank_labels)
    k = min(k, len(bank))
    scores = np.zeros((len(queries), num_classes))
    for start in range(0, len(queries), block):
        rows = slice(start, start + block)
        similarities, neighbours = _nearest(bank, queries[rows], k, block)
        votes = np.exp((similarities - similarities[:, :1]) / temperature)
        votes /= votes.sum(axis=1, keepdims=True)
        if bank_labels.ndim == 2:
            for vote, neighbour in zip(votes.T, neighbours.T):
                scores[rows] += vote[:, None] * bank_labels[neighbour]
            continue
        count = len(votes)
        cells = np.arange(count)[:, None] * num_classes + bank_labels[neighbours]
        scores[rows] = np.bincount(
            cells.ravel(), votes.ravel(), minlength=count * num_classes
        ).reshape(count, num_classes)
    return scores


def knn_accuracy(
    bank: np.ndarray,
    bank_labels: np.ndarray,
    queries: np.ndarray,
    query_labels: np.ndarray,
    num_classes: int,
    k: int = 200,
    temperature: float = 0.1,
) -> float:
    """Top-1 accuracy of `weighted_knn`, in [0, 1]. query_labels: [Q] integer."""
    scores = weighted_knn(bank, bank_labels, queries, num_classes, k, temperature)
    return top_k_accuracy(scores, query_labels)


def knn_map(
    bank: np.ndarray,
    bank_labels: np.ndarray,
    queries: np.ndarray,
    query_labels: np.ndarray,
    num_classes: int,
    k: int = 200,
    temperature: float = 0.1,
) -> float:
    """Mean average precision of `weighted_knn`, in [0, 1]. bank_labels, query_labels: multi-hot."""
    scores = weighted_knn(bank, bank_labels, queries, num_classes, k, temperature)
    return mean_average_precision(scores, query_labels)


def _nearest(
    bank: np.ndarray, queries: np.ndarray, k: int, block: int
) -> tuple[np.ndarray, np.ndarray]:
    """The k largest cosines of each query, descending, and their bank rows: two [Q, k]."""
    queries = l2_normalized(queries).astype(np.float32)
    best = tf.zeros([len(queries), 0])
    best_rows = tf.zeros([len(queries), 0], tf.int32)
    for start in range(0, len(bank), block):
        rows = l2_normalized(bank[start : start + block]).astype(np.float32)
        similarity = tf.matmul(queries, rows, transpose_b=True)
        indices = tf.range(start, start + len(rows))
        # The running best stand first: top_k prefers the earlier of equal values.
        best = tf.concat([best, similarity], axis=1)
        best_rows = tf.concat([best_rows, tf.broadcast_to(indices, similarity.shape)], axis=1)
        best, columns = tf.math.top_k(best, min(k, best.shape[1]))
        best_rows = tf.gather(best_rows, columns, batch_dims=1)
    return best.numpy().astype(np.float64), best_rows.numpy()
