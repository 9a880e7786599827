"""Weighted nearest neighbours: what the features know without any training."""

import numpy as np
import tensorflow as tf

from ssl_tf.data.source import Source
from ssl_tf.evaluation.features import (
    Encode,
    FeatureReader,
    warn_of_absent_classes,
)
from ssl_tf.evaluation.metrics import (
    l2_normalized,
    mean_average_precision,
    score_figures,
    top_k_accuracy,
)
from ssl_tf.networks.precision import full_float32
from ssl_tf.settings import NeighbourSettings

BLOCK = 1024
_FEATURE_BATCH = 250


class NeighbourSearch:
    """The exact nearest rows of a bank that passes by in pieces and is never held.

    Similarity is the cosine, in float32. Kept are the queries, the running best of each and one
    block of the bank: for the 50,000 validation images of ImageNet at 2,048 features and k 200 that
    is 0.5 GiB, where the 1.28 million bank rows would be 9.8 GiB.
    """

    def __init__(self, queries: np.ndarray, k: int, block: int = BLOCK):
        """
        Args:
            queries: [Q, D] real, any length of rows.
            k: neighbours of each.
            block: rows of bank and queries compared at a time.
        """
        self._k = k
        self._block = block
        self._queries = [_unit(queries[i : i + block]) for i in range(0, len(queries), block)]
        # Of each block of queries: the largest cosines so far, descending, and their bank rows.
        self._best = [
            (tf.zeros([len(part), 0]), tf.zeros([len(part), 0], tf.int32)) for part in self._queries
        ]
        self._seen = 0
        self._pending: list[np.ndarray] = []

    def add(self, rows: np.ndarray) -> None:
        """Takes up the next rows of the bank, [n, D] real."""
        self._pending.append(rows)
        if sum(map(len, self._pending)) >= self._block:
            self._flush()

    def neighbours(self) -> tuple[np.ndarray, np.ndarray]:
        """The k largest cosines, descending, and their bank rows: float64 and int32 [Q, k].

        Of equal cosines the earlier row comes first. k is the whole bank, where that is smaller.
        """
        self._flush()
        similarities, rows = zip(*self._best)
        return tf.concat(similarities, 0).numpy().astype(np.float64), tf.concat(rows, 0).numpy()

    def _flush(self) -> None:
        rows = np.concatenate(self._pending) if self._pending else ()
        self._pending = []
        for start in range(0, len(rows), self._block):
            self._compare(_unit(rows[start : start + self._block]))

    def _compare(self, bank: tf.Tensor) -> None:
        indices = tf.range(self._seen, self._seen + len(bank))
        self._seen += len(bank)
        for part, queries in enumerate(self._queries):
            with full_float32():
                similarity = tf.matmul(queries, bank, transpose_b=True)
            best, best_rows = self._best[part]
            # The running best stand first: top_k prefers the earlier of equal values.
            best = tf.concat([best, similarity], axis=1)
            best_rows = tf.concat([best_rows, tf.broadcast_to(indices, similarity.shape)], axis=1)
            best, columns = tf.math.top_k(best, min(self._k, best.shape[1]))
            self._best[part] = best, tf.gather(best_rows, columns, batch_dims=1)


def vote(
    similarities: np.ndarray,
    neighbours: np.ndarray,
    bank_labels: np.ndarray,
    num_classes: int,
    temperature: float,
    block: int = BLOCK,
) -> np.ndarray:
    """Class scores of the queries by their neighbours: [Q, C] float64.

    Each neighbour votes exp(similarity / temperature) for its class (Wu et al. 2018), and a query's
    votes are divided by their sum, which keeps small temperatures from overflowing.

    Args:
        similarities: [Q, k] descending.
        neighbours: [Q, k] rows of the bank.
        bank_labels: [B] integer in [0, num_classes); or [B, C] of 0 and 1, where a neighbour votes
            for each class that it has.
        num_classes: C.
        temperature: above 0; published: 0.07 and 0.1.
        block: queries taken at a time.
    """
    scores = np.zeros((len(similarities), num_classes))
    for start in range(0, len(similarities), block):
        rows = slice(start, start + block)
        votes = np.exp((similarities[rows] - similarities[rows, :1]) / temperature)
        votes /= votes.sum(axis=1, keepdims=True)
        if bank_labels.ndim == 2:
            for weight, neighbour in zip(votes.T, neighbours[rows].T):
                scores[rows] += weight[:, None] * bank_labels[neighbour]
            continue
        count = len(votes)
        cells = np.arange(count)[:, None] * num_classes + bank_labels[neighbours[rows]]
        scores[rows] = np.bincount(
            cells.ravel(), votes.ravel(), minlength=count * num_classes
        ).reshape(count, num_classes)
    return scores


def weighted_knn(
    bank: np.ndarray,
    bank_labels: np.ndarray,
    queries: np.ndarray,
    num_classes: int,
    k: int = 200,
    temperature: float = 0.1,
    block: int = BLOCK,
) -> np.ndarray:
    """`vote` by `NeighbourSearch`, of a bank [B, D] in memory: [Q, C] float64."""
    search = NeighbourSearch(queries, k, block)
    search.add(bank)
    return vote(*search.neighbours(), np.asarray(bank_labels), num_classes, temperature, block)


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


def evaluate_knn(
    encode: Encode,
    train: Source,
    test: Source,
    image_size: int,
    settings: NeighbourSettings,
) -> dict[str, float]:
    """`score_figures` of weighted kNN: the train images vote on the test images.

    The features of the train images are compared as they come and never held.

    Args:
        encode: uint8 [N, S, S, 3] -> float32 [N, D].
        train, test: labelled, with the same classes.
        image_size: S.

    Raises:
        UserError: a label is outside of the classes.
    """
    how = image_size, _FEATURE_BATCH
    queries, labels = FeatureReader(encode, test, *how).read()
    search = NeighbourSearch(queries, settings.knn_k)
    del queries  # the search has its own, at unit length
    kept = []
    for features, bank in FeatureReader(encode, train, *how).blocks():
        search.add(features)
        kept.append(bank.astype(bool) if train.multi_label else bank)
    bank_labels = np.concatenate(kept)
    warn_of_absent_classes(train, bank_labels, labels)
    scores = vote(*search.neighbours(), bank_labels, train.num_classes, settings.knn_temperature)
    return score_figures(scores, labels)


def search_bytes(queries: int, features: int, k: int, classes: int) -> int:
    """Memory that kNN takes beside the network, whatever the size of the bank, in bytes.

    Queries as they come and at unit length, the running best, the scores, one block of similarities
    with its copies.
    """
    held = queries * (2 * 4 * features + 8 * k + 16 * k + 8 * classes)
    return held + BLOCK * (3 * 8 * features + 6 * 4 * (BLOCK + k))


def _unit(rows: np.ndarray) -> tf.Tensor:
    return tf.constant(l2_normalized(rows).astype(np.float32))
