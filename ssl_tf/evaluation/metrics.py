"""Metrics of predictions and of embeddings; NumPy, float64."""

import math

import numpy as np

from ssl_tf.errors import UserError

# Rows whose pairs with all others are in memory at once.
_ROWS_AT_ONCE = 1024


def l2_normalized(x: np.ndarray) -> np.ndarray:
    """The rows of [N, D] at norm 1, float64; a row of zeros stays zero."""
    x = np.asarray(x, np.float64)
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)


def top_k_accuracy(scores: np.ndarray, labels: np.ndarray, k: int = 1) -> float:
    """Share of rows whose label is among the k largest scores, in [0, 1]; see `in_top_k`."""
    return float(np.mean(in_top_k(scores, labels, k)))


def in_top_k(scores: np.ndarray, labels: np.ndarray, k: int = 1) -> np.ndarray:
    """Whether the label of each row is among its k largest scores, bool [N].

    Among equal scores the lower class comes first, so that constant scores give chance and not 1.
    A label whose score is NaN or -inf counts as missed.

    Args:
        scores: [N, C] real; -inf: the class is no answer at all.
        labels: [N] integer in [0, C).
        k: at least 1; at most the number of classes counts.
    """
    scores = np.asarray(scores)
    labels = np.asarray(labels)
    own = np.take_along_axis(scores, labels[:, None], axis=1)
    is_lower_class = np.arange(scores.shape[1]) < labels[:, None]
    # "Not smaller" in place of "larger": every class is then ahead of a NaN.
    is_ahead = np.where(is_lower_class, ~(scores < own), ~(scores <= own))
    is_answer = (own > -np.inf)[:, 0]
    return is_answer & (is_ahead.sum(axis=1) < min(k, scores.shape[1]))


def mean_per_class_accuracy(predictions: np.ndarray, labels: np.ndarray) -> float:
    """Mean over the classes present in `labels` of the share classified correctly.

    The metric of the unbalanced transfer sets (BYOL Table 10). predictions, labels: [N] integer.
    """
    predictions = np.asarray(predictions)
    labels = np.asarray(labels)
    return float(np.mean([np.mean(predictions[labels == c] == c) for c in np.unique(labels)]))


def average_precision(scores: np.ndarray, relevant: np.ndarray) -> float:
    """Sum over the distinct scores, descending, of precision times the gain in recall.

    At each score all examples of at least this score are retrieved. There is no interpolation, as
    in scikit-learn's `average_precision_score`.

    Args:
        scores: [N] real.
        relevant: [N], 1 for the positives, of which there must be one.
    """
    descending = np.argsort(-np.asarray(scores), kind="stable")
    scores, relevant = np.asarray(scores)[descending], np.asarray(relevant)[descending] > 0
    last_of_equals = np.append(scores[1:] != scores[:-1], True)
    true_positives = np.cumsum(relevant)[last_of_equals]
    retrieved = np.flatnonzero(last_of_equals) + 1
    return float(
        np.sum(np.diff(true_positives, prepend=0) * true_positives / retrieved) / true_positives[-1]
    )


def mean_average_precision(scores: np.ndarray, labels: np.ndarray) -> float:
    """Mean of `average_precision` over the classes that have a positive, in [0, 1].

    scores: [N, C] real. labels: [N, C], 1 where the class is present; NaN where no class is.
    """
    present = np.flatnonzero(np.any(labels, axis=0))
    if not len(present):
        return float("nan")
    return float(np.mean([average_precision(scores[:, c], labels[:, c]) for c in present]))


def batchwise_mean_average_precision(
    scores: np.ndarray, labels: np.ndarray, batch_size: int
) -> float:
    """`mean_average_precision` of batches of consecutive rows, averaged by their numbers of rows.

    The released code of Object-Aware Cropping reports this figure. With few positives among few
    rows a class ranks high by chance, so the figure grows as the batch shrinks. It must be reported
    with its batch size. Batches without a positive are left out. The last batch may be smaller.
    """
    starts = range(0, len(scores), batch_size)
    means = [
        mean_average_precision(scores[i : i + batch_size], labels[i : i + batch_size])
        for i in starts
    ]
    rows = np.array([len(scores[i : i + batch_size]) for i in starts])
    known = ~np.isnan(means)
    return float(np.average(np.array(means)[known], weights=rows[known]))


def score_figures(scores: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """The figures that fit the labels, in [0, 1].

    Args:
        scores: [N, C] real.
        labels: [N] integer, for "top1", "top5" (with more than five classes) and
            "mean_per_class"; or [N, C] of 0 and 1, for "map".

    Raises:
        UserError: no image has any of several labels, so that there is no "map".
    """
    if labels.ndim == 2:
        if not np.any(labels):
            raise UserError("no image to report on shows any class; give others")
        return {"map": mean_average_precision(scores, labels)}
    ks = (1, 5) if scores.shape[1] > 5 else (1,)
    return {
        **{f"top{k}": top_k_accuracy(scores, labels, k) for k in ks},
        "mean_per_class": mean_per_class_accuracy(np.argmax(scores, axis=1), labels),
    }


def embedding_std(z: np.ndarray) -> float:
    """Standard deviation over the batch of l2-normalized embeddings, averaged over dimensions.

    About 1 / sqrt(D) for spread out embeddings, 0 for collapsed ones (SimSiam 4.1). z: [N, D].
    """
    return float(np.mean(np.std(l2_normalized(z), axis=0)))


def rankme(features: np.ndarray) -> float:
    """Effective rank: exp of the entropy of the normalized singular values, in [1, min(N, D)].

    RankMe (Garrido et al. 2023, Eq. 1): p = singular values / their sum + 1e-7. The features are
    taken as they are, neither centred nor normalized. features: [N, D].
    """
    singular = np.linalg.svd(np.asarray(features, np.float64), compute_uv=False)
    p = singular / max(singular.sum(), np.finfo(np.float64).tiny) + 1e-7
    return float(np.exp(-np.sum(p * np.log(p))))


def alignment(x: np.ndarray, y: np.ndarray) -> float:
    """Mean of |x - y|^2 over positive pairs, l2-normalized; 0 is perfect (Wang & Isola 2020).

    x, y: [N, D], row by row two views of one image.
    """
    distance = np.linalg.norm(l2_normalized(x) - l2_normalized(y), axis=1)
    return float(np.mean(distance**2))


def uniformity(x: np.ndarray) -> float:
    """Log of the mean of exp(-2 |a - b|^2) over all pairs of distinct rows, l2-normalized.

    Wang & Isola 2020; 0 for collapsed embeddings, near -4 for spread out ones. x: [N, D], N at
    least 2.

    Raises:
        ValueError: there are fewer than two rows.
    """
    x = l2_normalized(x)
    count = len(x)
    if count < 2:
        raise ValueError("uniformity needs two embeddings or more")
    total = 0.0
    for start in range(0, count, _ROWS_AT_ONCE):
        potential = np.exp(-2 * np.maximum(2 - 2 * (x[start : start + _ROWS_AT_ONCE] @ x.T), 0))
        np.fill_diagonal(potential[:, start:], 0)
        total += float(potential.sum())
    return math.log(total / (count * (count - 1)))
