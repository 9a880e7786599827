"""Bootstrap intervals of figures: how far they would move with other test images (Efron 1979)."""

from collections.abc import Callable, Iterator

import numpy as np

from ssl_tf.evaluation.metrics import in_top_k

_DRAWS = 1000
_SEED = 0
_PERCENT = 95
# Numbers in a block of draws.
_BLOCK_NUMBERS = 2**22

# Lower and upper bound.
Interval = tuple[float, float]
# How often each image is drawn, [draws, N], to the figure of each draw, [draws].
_Figure = Callable[[np.ndarray], np.ndarray]


def score_intervals(scores: np.ndarray, labels: np.ndarray) -> dict[str, Interval]:
    """The 95 % intervals of the figures of `metrics.score_figures`, under the same names.

    The images are drawn with replacement, as many as there are, a thousand times. The interval
    holds the middle 95 % of the figures of the draws. It tells how much depends on the choice of
    test images, and nothing of what another seed of the training would change.

    Args:
        scores: [N, C] real; -inf: the class is no answer at all.
        labels: [N] integer, or [N, C] of 0 and 1.

    Returns:
        Name of a figure -> its bounds, in [0, 1].
    """
    scores, labels = np.asarray(scores), np.asarray(labels)
    figures = _figures(scores, labels)
    values: dict[str, list[np.ndarray]] = {name: [] for name in figures}
    for counts in _draws(len(labels)):
        for name, figure in figures.items():
            values[name].append(figure(counts))
    tails = (50 - _PERCENT / 2, 50 + _PERCENT / 2)
    # A draw without any positive has no figure.
    bounds = {n: np.nanpercentile(np.concatenate(parts), tails) for n, parts in values.items()}
    return {name: (float(low), float(high)) for name, (low, high) in bounds.items()}


def _figures(scores: np.ndarray, labels: np.ndarray) -> dict[str, _Figure]:
    if labels.ndim == 2:
        return {"map": _mean_average_precision(scores, labels)}
    ks = (1, 5) if scores.shape[1] > 5 else (1,)
    right = np.argmax(scores, axis=1) == labels
    return {
        **{f"top{k}": _mean(in_top_k(scores, labels, k)) for k in ks},
        "mean_per_class": _mean_per_class(right, labels),
    }


def _draws(size: int) -> Iterator[np.ndarray]:
    """Blocks of draws: how often each image is drawn, float64 [draws, size]."""
    # Of NumPy's generators this one alone promises the same numbers in all versions.
    random = np.random.RandomState(_SEED)
    block = max(1, _BLOCK_NUMBERS // size)
    for start in range(0, _DRAWS, block):
        draws = min(block, _DRAWS - start)
        chosen = random.randint(size, size=(draws, size)) + size * np.arange(draws)[:, None]
        counts = np.bincount(chosen.ravel(), minlength=draws * size)
        yield counts.reshape(draws, size).astype(np.float64)


def _mean(values: np.ndarray) -> _Figure:
    return lambda counts: counts @ values / len(values)


def _mean_per_class(right: np.ndarray, labels: np.ndarray) -> _Figure:
    """The mean over the classes that a draw holds of the share classified correctly."""
    by_class = np.argsort(labels, kind="stable")
    _, starts = np.unique(labels[by_class], return_index=True)
    right = right[by_class]

    def figure(counts: np.ndarray) -> np.ndarray:
        counts = counts[:, by_class]
        drawn = np.add.reduceat(counts, starts, axis=1)
        correct = np.add.reduceat(counts * right, starts, axis=1)
        shares = correct / np.maximum(drawn, 1)
        return shares.sum(axis=1) / (drawn > 0).sum(axis=1)

    return figure


def _mean_average_precision(scores: np.ndarray, labels: np.ndarray) -> _Figure:
    """The mean of `metrics.average_precision` over the classes with a positive in the draw."""
    present = np.flatnonzero(np.any(labels, axis=0))

    def of_class(counts: np.ndarray, own: np.ndarray, relevant: np.ndarray) -> np.ndarray:
        descending = np.argsort(-own, kind="stable")
        own, counts = own[descending], counts[:, descending]
        last_of_equals = np.append(own[1:] != own[:-1], True)
        relevant = relevant[descending] > 0
        true_positives = np.cumsum(counts * relevant, axis=1)[:, last_of_equals]
        retrieved = np.cumsum(counts, axis=1)[:, last_of_equals]
        precision = true_positives / np.maximum(retrieved, 1)
        gains = np.diff(true_positives, prepend=0, axis=1)
        positives = true_positives[:, -1]
        positives[positives == 0] = np.nan
        return (gains * precision).sum(axis=1) / positives

    def figure(counts: np.ndarray) -> np.ndarray:
        total, classes = np.zeros(len(counts)), np.zeros(len(counts))
        for c in present:
            values = of_class(counts, scores[:, c], labels[:, c])
            classes += np.isfinite(values)
            total += np.nan_to_num(values)
        classes[classes == 0] = np.nan
        return total / classes

    return figure
