"""Classification by weighted nearest neighbours, without training."""

import sys

import numpy as np
import tensorflow as tf

from ssl_tf.data.source import Source
from ssl_tf.evaluation.features import (
    Encode,
    FeatureReader,
    warn_of_absent_classes,
)
from ssl_tf.evaluation.metrics import l2_normalized
from ssl_tf.networks.precision import full_float32
from ssl_tf.settings import NeighbourSettings

BLOCK = 1024


class NeighbourSearch:
    """Exact nearest neighbours in a bank that is read in parts and never kept in memory.

    The similarity is the cosine, in float32. Memory holds the queries, the best rows so far of each
    query and one block of the bank. For the 50,000 validation images of ImageNet, 2,048 features
    and k 200 that is 0.5 GiB; the 1.28 million rows of the bank would take 9.8 GiB.
    """

    def __init__(self, queries: np.ndarray, k: int, block: int = BLOCK):
        """
        Args:
            queries: [Q, D] real, rows of any norm.
            k: number of neighbours of a query.
            block: number of rows of bank and queries compared at a time.
        """
        self._k = k
        self._block = block
        self._queries = [_unit(queries[i : i + block]) for i in range(0, len(queries), block)]
        # For each block of queries: the largest cosines so far, descending, and their bank rows.
        self._best = [
            (tf.zeros([len(part), 0]), tf.zeros([len(part), 0], tf.int32)) for part in self._queries
        ]
        self._seen = 0
        self._pending: list[np.ndarray] = []

    def add(self, rows: np.ndarray) -> None:
        """Adds the next rows of the bank, [n, D] real."""
        self._pending.append(rows)
        if sum(map(len, self._pending)) >= self._block:
            self._flush()

    def neighbours(self) -> tuple[np.ndarray, np.ndarray]:
        """The k largest cosines, descending, and their bank rows: float64 and int32 [Q, k].

        Of equal cosines the earlier row comes first. If the bank has fewer than k rows, all are
        returned.
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
            # The best so far come first: top_k prefers the earlier of equal values.
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
    """The class scores of the queries from their neighbours: float64 [Q, C].

    A neighbour votes exp(similarity / temperature) for its class (Wu et al. 2018). A query's votes
    are divided by their sum, so that small temperatures do not overflow. Each vote stays above 0,
    so that exactly the classes without a vote score 0.

    Args:
        similarities: [Q, k], descending.
        neighbours: [Q, k], rows of the bank.
        bank_labels: [B] integer in [0, num_classes); or [B, C] of 0 and 1, and a neighbour votes
            for each of its classes.
        num_classes: C.
        temperature: above 0; published: 0.07 and 0.1.
        block: number of queries at a time.
    """
    scores = np.zeros((len(similarities), num_classes))
    for start in range(0, len(similarities), block):
        rows = slice(start, start + block)
        votes = np.exp((similarities[rows] - similarities[rows, :1]) / temperature)
        votes = np.maximum(votes, np.finfo(votes.dtype).tiny)
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
    """The class scores (see `vote`) of queries [Q, D] from a bank [B, D]: float64 [Q, C]."""
    search = NeighbourSearch(queries, k, block)
    search.add(bank)
    return vote(*search.neighbours(), np.asarray(bank_labels), num_classes, temperature, block)


def knn_scores(
    encode: Encode,
    train: Source,
    test: Source,
    image_size: int,
    settings: NeighbourSettings,
) -> tuple[np.ndarray, np.ndarray]:
    """The class scores of the test images, on which the train images vote, and their labels.

    The features of the train images are compared batch by batch and never kept in memory.

    Args:
        encode: uint8 [N, S, S, 3] -> float32 [N, D].
        train, test: labelled images of the same classes.
        image_size: S, in pixels.
        settings: k and temperature.

    Returns:
        Scores float64 [N, C], -inf for a class without a vote, and labels [N] or [N, C].

    Raises:
        UserError: a label is outside of the classes.
    """
    queries, labels = FeatureReader(encode, test, image_size).read()
    search = NeighbourSearch(queries, settings.knn_k)
    del queries  # the search has its own copy, of unit norm
    label_batches = []
    for features, batch_labels in FeatureReader(encode, train, image_size).batches():
        search.add(features)
        label_batches.append(batch_labels.astype(bool) if train.multi_label else batch_labels)
    bank_labels = np.concatenate(label_batches)
    warn_of_absent_classes(train, bank_labels, labels)
    scores = vote(*search.neighbours(), bank_labels, train.num_classes, settings.knn_temperature)
    # A class for which nobody voted is no answer, however few classes have votes.
    return np.where(scores > 0, scores, -np.inf), labels


def real_k(k: int, bank: Source) -> int:
    """The number of neighbours that vote: at most all images of the bank, which is told on stderr.

    Args:
        k: the number asked for.
        bank: the images that vote.
    """
    if k <= bank.size:
        return k
    print(
        f"--knn_k={k}: {bank.name} has {bank.size} images, all of which vote on every image",
        file=sys.stderr,
    )
    return bank.size


def search_bytes(queries: int, features: int, k: int, classes: int) -> int:
    """Bytes of memory that kNN takes in addition to the network; the bank's size does not matter.

    They hold the queries and their copies of unit norm, the best rows so far, the scores, and one
    block of similarities with its copies.
    """
    query_bytes = queries * (2 * 4 * features + 8 * k + 16 * k + 8 * classes)
    return query_bytes + BLOCK * (3 * 8 * features + 6 * 4 * (BLOCK + k))


def _unit(rows: np.ndarray) -> tf.Tensor:
    return tf.constant(l2_normalized(rows).astype(np.float32))
