"""Pairs of images whose features point in nearly the same direction."""

import csv
import dataclasses
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ssl_tf.embedding.principal_components import principal_components
from ssl_tf.embedding.rows import Rows
from ssl_tf.files import write_text

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
    """Pairs of rows, the nearest first; of equal cosines the earlier rows.

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
        most: number of pairs to list.
        block: number of rows compared with as many others at a time.
    """
    found, total, listed = [], 0, 0
    for first, second, cosine in _pairs(unit, least_cosine, block):
        found.append((first, second, cosine))
        total += len(cosine)
        listed += len(cosine)
        if listed > 4 * most:
            found = [_nearest(found, most)]
            listed = most
    nothing = np.zeros([0], np.int64), np.zeros([0], np.int64), np.zeros([0], np.float32)
    return Pairs(*_nearest([nothing, *found], most), total)


def _pairs(
    unit: np.ndarray, least_cosine: float, block: int
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yields rows, other rows and cosines of the pairs within each two blocks."""
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
            rows, columns = np.nonzero(near)
            if not rows.size:
                continue
            used, row_places = np.unique(rows, return_inverse=True)
            others, column_places = np.unique(columns, return_inverse=True)
            exact = (unit[i + used] @ unit[j + others].T)[row_places, column_places]
            kept = exact >= least_cosine - _SLACK / 10
            yield i + rows[kept], j + columns[kept], np.minimum(exact[kept], 1)


def _nearest(
    found: list[tuple[np.ndarray, np.ndarray, np.ndarray]], most: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    first, second, cosine = (np.concatenate(parts) for parts in zip(*found))
    order = np.lexsort((second, first, -cosine))[:most]
    return first[order], second[order], cosine[order]


def write_pairs(output: Path, pairs: Pairs, rows: Rows) -> None:
    """Writes `near_duplicates.csv`: cosine, and index, id and single label of both images."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    columns = {"index": rows.index, "id": rows.id}
    if rows.label is not None and rows.label.ndim == 1:
        columns["label"] = rows.label
    sides = [f"{name}_{side}" for side in ("a", "b") for name in columns]
    writer.writerow(["cosine", *sides])
    for first, second, cosine in zip(pairs.first, pairs.second, pairs.cosine):
        both = (column[row] for row in (first, second) for column in columns.values())
        writer.writerow([f"{cosine:.6f}", *both])
    write_text(output / NEAR_DUPLICATES, text.getvalue())
