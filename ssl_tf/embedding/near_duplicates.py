"""Pairs of images whose features point in nearly the same direction."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ssl_tf.embedding.principal_components import principal_components
from ssl_tf.embedding.rows import Rows
from ssl_tf.files import write_csv

NEAR_DUPLICATES = "near_duplicates.csv"
# Pairs that are listed, the nearest first; all are counted.
MOST = 10_000
_BLOCK = 2048
# Coordinates in which rows are compared first.
_COMPONENTS = 32
# What rounding in float32 may hide.
_SLACK = 1e-5


@dataclasses.dataclass(frozen=True)
class Pairs:
    """Pairs of rows, the nearest first; of equal cosines the earlier rows first.

    Attributes:
        first, second: int64 [P], rows; first < second.
        cosine: float32 [P].
        total: number of pairs there are, listed or not.
    """

    first: np.ndarray
    second: np.ndarray
    cosine: np.ndarray
    total: int


def find_pairs(
    unit: np.ndarray, least_cosine: float, most: int = MOST, block: int = _BLOCK
) -> Pairs:
    """All pairs of rows with at least this cosine.

    Rows are compared in their first principal components, which takes a fraction of the time. Two
    rows of norm 1 have the squared distance 2 - 2 * cosine, and no part of their coordinates can be
    further apart than all of them. So only pairs that are near in a part are compared in full, and
    none is missed.

    Args:
        unit: float32 [N, D], rows of norm 1.
        least_cosine: in (0, 1].
        most: number of pairs to list. Of equal cosines at the end of the list, those are listed
            that are found first.
        block: number of rows compared with as many others at a time.
    """
    least = least_cosine - _SLACK / 10
    first, second, cosine = np.zeros([0], int), np.zeros([0], int), np.zeros([0], np.float32)
    total, floor = 0, -np.inf
    for rows, others, cosines in _near_blocks(unit, least_cosine, block):
        near = cosines >= least
        total += np.count_nonzero(near)
        # Where everything is alike, the pairs that cannot be listed any more are counted alone.
        a, b = np.nonzero(near & (cosines > floor))
        first = np.concatenate([first, rows[a]])
        second = np.concatenate([second, others[b]])
        cosine = np.concatenate([cosine, cosines[a, b]])
        if len(cosine) > most:
            order = np.lexsort((second, first, -cosine))[:most]
            first, second, cosine = first[order], second[order], cosine[order]
            floor = cosine[-1]
    order = np.lexsort((second, first, -cosine))
    return Pairs(first[order], second[order], np.minimum(cosine[order], 1), total)


def _near_blocks(
    unit: np.ndarray, least_cosine: float, block: int
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yields some rows, some others, and their cosines [rows, others] within each two blocks.

    A pair that is far apart in its part, or that comes twice, has the cosine -inf.
    """
    part = principal_components(unit, _COMPONENTS)
    half = (part**2).sum(axis=1, keepdims=True) / 2
    ones = np.ones_like(half)
    # The product of two such rows is -distance^2 / 2 in the part.
    left, right = np.hstack([part, -half, ones]), np.hstack([part, ones, -half])
    for i in range(0, len(unit), block):
        for j in range(i, len(unit), block):
            near = left[i : i + block] @ right[j : j + block].T >= least_cosine - 1 - _SLACK
            if i == j:
                near = np.triu(near, 1)
            rows, others = (np.flatnonzero(near.any(axis=axis)) for axis in (1, 0))
            if rows.size:
                cosines = unit[i + rows] @ unit[j + others].T
                cosines[~near[np.ix_(rows, others)]] = -np.inf
                yield i + rows, j + others, cosines


def write_pairs(output: Path, pairs: Pairs, rows: Rows) -> None:
    """Writes `near_duplicates.csv`: cosine, and index, id and single label of both images."""
    columns = {"index": rows.index, "id": rows.id}
    if rows.single_label is not None:
        columns["label"] = rows.single_label
    sides = [f"{name}_{side}" for side in ("a", "b") for name in columns]
    lines = (
        [f"{cosine:.6f}", *(column[row] for row in both for column in columns.values())]
        for *both, cosine in zip(pairs.first, pairs.second, pairs.cosine)
    )
    write_csv(output / NEAR_DUPLICATES, ["cosine", *sides], lines)
