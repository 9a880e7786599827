"""Probabilistic Hough matching of the regions of two images (Cho et al. 2015), as in LOD.

Two similar regions vote for an offset and a scale from image A to image B. The score of a match is
its similarity times all votes for the offset and scale that it votes for.
"""

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
    if flat.size > top_k:
        best = np.sort(np.argpartition(flat, flat.size - top_k)[-top_k:])
        best = best[flat[best] > 0]
    else:
        best = np.flatnonzero(flat > 0)
    rows, columns = np.divmod(best, len(boxes_b))
    return rows.astype(np.int32), columns.astype(np.int32), flat[best]


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
    return similarity * support[cells]


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
    x = bx + right[:, None] * b_half_x
    y = by + lower[:, None] * b_half_y
    scale = np.log2(b_half_x * b_half_y) - np.log2(a_half_x * a_half_y)[:, None]
    aspect = np.log2(b_half_x / b_half_y) - np.log2(a_half_x / a_half_y)[:, None]
    # Cells span 1 to twice the sides for the corner, and the same extent around another point.
    left, top = 1 + (share - 1) * width, 1 + (share - 1) * height
    column = np.floor((x - np.float32(left)) * np.float32(shape[0] / (2 * width - 1)))
    row = np.floor((y - np.float32(top)) * np.float32(shape[1] / (2 * height - 1)))
    level = np.floor((scale + _SCALE_RANGE) * np.float32(_SCALES / (2 * _SCALE_RANGE)))
    inside = (column >= 0) & (column < shape[0]) & (row >= 0) & (row < shape[1])
    inside &= (level >= 0) & (level < _SCALES) & (np.abs(aspect) < math.log2(_ASPECT))
    cells = (column * shape[1] + row) * _SCALES + level
    return np.where(inside, cells, math.prod(shape)).astype(np.int32), shape


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
    keys = (cells.astype(np.int64) << 32) | bits
    keys.sort(axis=1)
    cells = (keys >> 32).astype(np.int32)
    last = np.ones(keys.shape, bool)
    last[:, :-1] = cells[:, 1:] != cells[:, :-1]
    last &= cells < count
    largest = (keys[last] & 0xFFFFFFFF).astype(np.int32).view(np.float32)
    return np.bincount(cells[last], largest, minlength=count).astype(np.float32)


def smoothed(votes: np.ndarray) -> np.ndarray:
    """The votes [x, y, scale] under a Gaussian of 5 cells a side, with zeros around them: float32.

    Along the short last axis it is a product with a band matrix, along the others a sum of moved
    copies: half the time of a general filter.
    """
    count = votes.shape[2]
    distance = np.abs(np.subtract.outer(np.arange(count), np.arange(count)))
    band = np.where(distance <= _REACH, _TAPS[np.minimum(distance, _REACH)], np.float32(0))
    votes = (votes.reshape(-1, count) @ band).reshape(votes.shape)
    for axis in (0, 1):
        total = _TAPS[0] * votes
        for step, tap in enumerate(_TAPS[1:], 1):
            moved = tap * votes
            if axis == 0:
                total[step:] += moved[:-step]
                total[:-step] += moved[step:]
            else:
                total[:, step:] += moved[:, :-step]
                total[:, :-step] += moved[:, step:]
        votes = total
    return votes


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
