"""Probabilistic Hough matching of the regions of two images (Cho et al. 2015), as in LOD.

Two similar regions vote for an offset and a scale from image A to image B. The score of a match is
its similarity times all votes for the offset and scale that it votes for.
"""

import functools
import math

import numpy as np

# Approximate number of cells over twice the image's sides, and smallest side of a cell in pixels.
_CELLS = 8000
_LEAST_CELL = 5.0
# Cells of the scale: log2 of the change of area, from -4 to 4.
_SCALES = 20
_SCALE_RANGE = 4.0
# Position of the point that is voted for, as a share of the sides.
_ANCHORS = {"corner": 1.0, "centre": 0.5}
# Regions do not match if the aspect ratio changes by this factor.
_ASPECT = 2.0
# A 5x5x5 Gaussian; its full width at half maximum is half of that.
_REACH = 2
_SIGMA = 5 / 2 / 2.354
# Its values at the middle and at each distance from it; over both sides their sum is 1.
_TAPS = np.exp(-0.5 * (np.arange(_REACH + 1) / _SIGMA) ** 2)
_TAPS = (_TAPS / (2 * _TAPS.sum() - _TAPS[0])).astype(np.float32)
# Slices of Hough space that stay in the processor's cache while they are smoothed.
_SLICES = 16
# Groups for each of the values that are sought; see `largest`.
_GROUPS = 4
# Scales the scores of a pair to one order of magnitude for any number of regions.
_SCORE = 1e6


def match_pair(
    similarity: np.ndarray,
    boxes_a: np.ndarray,
    boxes_b: np.ndarray,
    size_a: tuple[int, int],
    size_b: tuple[int, int],
    top_k: int,
    standout: bool = False,
    anchor: str = "corner",
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The best scores between the regions of two images.

    Args:
        similarity: float32 [A, B], inner products of the regions' descriptors.
        boxes_a, boxes_b: int [A, 4] and [B, 4].
        size_a, size_b: (height, width) of the images.
        top_k: scores to keep.
        standout: whether to subtract the best score of the regions around.
        anchor: point of an image that is voted for, see `vote_cells`.

    Returns:
        rows int32 [k], columns int32 [k] and positive scores float32 [k], in row-major order;
        k <= top_k. The pair (B, A) has the same scores at (column, row).
    """
    # Adding zero makes a negative zero positive, whose bits would sort last.
    similarity = np.maximum(similarity, 0) + np.float32(0)
    scores = hough_scores(similarity, boxes_a, boxes_b, size_a, size_b, anchor)
    scores += hough_scores(similarity.T, boxes_b, boxes_a, size_b, size_a, anchor).T
    scores *= _SCORE / scores.size
    if standout:
        scores = standout_scores(scores, boxes_a, boxes_b)
    flat = scores.ravel()
    best = largest(flat, top_k)
    best = best[flat[best] > 0]
    rows, columns = np.divmod(best, len(boxes_b))
    return rows.astype(np.int32), columns.astype(np.int32), flat[best]


def largest(values: np.ndarray, count: int) -> np.ndarray:
    """The sorted indices of the `count` largest values; of all, if there are no more.

    Of many groups of values the largest are taken first: the one that is number `count` among them
    leaves few candidates to choose from.

    Args:
        values: float [n].
        count: positive.
    """
    if len(values) <= count:
        return np.arange(len(values))
    size = max(1, len(values) // (_GROUPS * count))
    groups = values[: len(values) // size * size].reshape(size, -1).max(axis=0)
    least = np.partition(groups, -count)[-count] if len(groups) >= count else values.min()
    candidates = np.flatnonzero(values >= least)
    chosen = np.argpartition(values[candidates], -count)[-count:]
    return candidates[np.sort(chosen)]


def hough_scores(
    similarity: np.ndarray,
    boxes_a: np.ndarray,
    boxes_b: np.ndarray,
    size_a: tuple[int, int],
    size_b: tuple[int, int],
    anchor: str = "corner",
) -> np.ndarray:
    """The scores of all matches, similarity times smoothed votes: float32 [A, B].

    Of all votes of a region of A for a cell only the largest counts.
    """
    cells, shape = vote_cells(boxes_a, boxes_b, size_a, size_b, anchor)
    votes = hough_space(similarity, cells, math.prod(shape)).reshape(shape)
    smooth = smoothed(votes)
    # Votes outside of the space have the number after the last cell.
    support = np.append(smooth.ravel(), np.float32(0))
    return similarity * support.take(cells)


def vote_cells(
    boxes_a: np.ndarray,
    boxes_b: np.ndarray,
    size_a: tuple[int, int],
    size_b: tuple[int, int],
    anchor: str = "corner",
) -> tuple[np.ndarray, tuple[int, int, int]]:
    """The cell of Hough space for which each match votes.

    A match maps box to box, and with it a point of A to a point of B: the lower right corner (as
    published) or the centre. An error in a box's size moves the point in proportion to its distance
    from the box. Votes of boxes near the point therefore agree best, and these boxes score highest.

    Returns:
        The indices of the cells, int32 [A, B]; a discarded match has the number of cells.
        The numbers of cells (x, y, scale).
    """
    height, width = size_b
    side = max(math.sqrt(4 * width * height / _CELLS), _LEAST_CELL)
    # Halves up, as MATLAB rounds.
    shape = (
        max(1, math.floor(2 * width / side + 0.5)),
        max(1, math.floor(2 * height / side + 0.5)),
        _SCALES,
    )
    (ax, ay, a_half_x, a_half_y), (bx, by, b_half_x, b_half_y) = map(_geometry, (boxes_a, boxes_b))
    share = _ANCHORS[anchor]
    right = (np.float32(share * size_a[1]) - ax) / a_half_x
    lower = (np.float32(share * size_a[0]) - ay) / a_half_y
    # Cells span 1 to twice the sides for the corner, and the same extent around another point.
    left, top = 1 + (share - 1) * width, 1 + (share - 1) * height
    column = _cells_along(bx, right, b_half_x, left, shape[0] / (2 * width - 1))
    row = _cells_along(by, lower, b_half_y, top, shape[1] / (2 * height - 1))
    level = np.log2(b_half_x * b_half_y) - np.log2(a_half_x * a_half_y)[:, None]
    level += np.float32(_SCALE_RANGE)
    level *= np.float32(_SCALES / (2 * _SCALE_RANGE))
    np.floor(level, out=level)
    aspect = np.log2(b_half_x / b_half_y) - np.log2(a_half_x / a_half_y)[:, None]
    inside = np.abs(aspect, out=aspect) < math.log2(_ASPECT)
    for place, count in zip((column, row, level), shape):
        inside &= place >= 0
        inside &= place < count
    # All in place: the arrays of a pair fit the processor's cache.
    cells = column
    cells *= shape[1]
    cells += row
    cells *= _SCALES
    cells += level
    return np.where(inside, cells, np.float32(math.prod(shape))).astype(np.int32), shape


def _cells_along(
    centres: np.ndarray, distances: np.ndarray, halves: np.ndarray, first: float, scale: float
) -> np.ndarray:
    """The number of the cell of each vote along one axis, float32 [A, B], whole numbers.

    Args:
        centres, halves: float32 [B], of the boxes of B.
        distances: float32 [A], of the point from the centres of the boxes of A, in half extents.
        first: where the first cell begins.
        scale: cells a pixel.
    """
    place = distances[:, None] * halves
    place += centres
    place -= np.float32(first)
    place *= np.float32(scale)
    return np.floor(place, out=place)


def hough_space(similarity: np.ndarray, cells: np.ndarray, count: int) -> np.ndarray:
    """For each cell the sum, over the rows, of the row's largest similarity in it: float32 [count].

    Args:
        similarity: float32 [A, B], non-negative.
        cells: int32 [A, B]; `count` for no vote.
        count: number of cells.
    """
    # Non-negative floats sort like the integers of their bits. After one sort of (cell, similarity)
    # the largest similarity of a cell is the last in its run.
    bits = np.ascontiguousarray(similarity, np.float32).view(np.int32)
    keys = cells.astype(np.int64)
    keys <<= 32
    keys |= bits
    keys.sort(axis=1)
    cells = keys >> 32
    strongest = keys.astype(np.int32).view(np.float32)
    strongest[:, :-1] *= cells[:, 1:] != cells[:, :-1]
    votes = np.zeros(count + 1, np.float32)
    np.add.at(votes, cells.ravel(), strongest.ravel())
    return votes[:count]


def smoothed(votes: np.ndarray) -> np.ndarray:
    """The votes [x, y, scale] under a Gaussian of 5 cells a side, with zeros around them: float32.

    Along the first and the last axis it is a product with a band matrix, along the middle one a sum
    of moved copies. Some slices at a time stay in the cache, a third of the time of a general
    filter.
    """
    first, _, last = votes.shape
    along, across = _band(first), _band(last)
    partly, result = np.empty_like(votes), np.empty_like(votes)
    for start in range(0, first, _SLICES):
        part = votes[start : start + _SLICES]
        part = (part.reshape(-1, last) @ across).reshape(part.shape)
        total = partly[start : start + _SLICES]
        np.multiply(part, _TAPS[0], out=total)
        for step, tap in enumerate(_TAPS[1:], 1):
            moved = tap * part
            total[:, step:] += moved[:, :-step]
            total[:, :-step] += moved[:, step:]
    flat, into = partly.reshape(first, -1), result.reshape(first, -1)
    for start in range(0, first, _SLICES):
        stop = start + _SLICES
        near = slice(max(0, start - _REACH), stop + _REACH)
        np.matmul(along[start:stop, near], flat[near], out=into[start:stop])
    return result


@functools.lru_cache
def _band(count: int) -> np.ndarray:
    """The Gaussian along one axis as a matrix, float32 [count, count]."""
    distance = np.abs(np.subtract.outer(np.arange(count), np.arange(count)))
    return np.where(distance <= _REACH, _TAPS[np.minimum(distance, _REACH)], np.float32(0))


def standout_scores(scores: np.ndarray, boxes_a: np.ndarray, boxes_b: np.ndarray) -> np.ndarray:
    """Scores less the largest score between a region around the first and one around the second."""
    largest = np.zeros_like(scores)
    for child, parents in enumerate(_parents(boxes_a)):
        largest[child] = scores[parents].max(axis=0, initial=0)
    around = np.zeros_like(scores)
    for child, parents in enumerate(_parents(boxes_b)):
        around[:, child] = largest[:, parents].max(axis=1, initial=0)
    return np.maximum(scores - around, 0)


def _parents(boxes: np.ndarray) -> np.ndarray:
    """Whether the second box has over twice the area and over 80% of the first: bool [R, R]."""
    first, second = boxes[:, None].astype(np.float32), boxes[None].astype(np.float32)
    sides = np.minimum(first[..., 2:], second[..., 2:]) - np.maximum(
        first[..., :2], second[..., :2]
    )
    shared = np.maximum(sides + 1, 0).prod(axis=-1)
    area = (boxes[:, 2:] - boxes[:, :2] + 1.0).prod(axis=1)
    return (shared > 0.8 * area[:, None]) & (area > 2 * area[:, None])


def _geometry(boxes: np.ndarray) -> tuple[np.ndarray, ...]:
    """Centres x, y and half extents x, y of boxes, float32 [R] each."""
    x1, y1, x2, y2 = boxes.astype(np.float32).T
    return (x1 + x2) / 2, (y1 + y2) / 2, (x2 - x1) / 2, (y2 - y1) / 2
