import math

import numpy as np
import pytest
from scipy import ndimage

from ssl_tf.discovery import matching

SIZE_A, SIZE_B = (200, 320), (240, 300)


def draw_boxes(random, count, size):
    height, width = size
    x1, y1 = random.integers(1, width // 2, count), random.integers(1, height // 2, count)
    x2 = x1 + random.integers(4, width // 2, count)
    y2 = y1 + random.integers(4, height // 2, count)
    return np.stack([x1, y1, x2, y2], axis=1)


def slow_votes(boxes_a, boxes_b, size_a, size_b, share=1.0):
    """Cells (x, y, z) of every match that is not discarded, from the formulas."""
    (height_a, width_a), (height_b, width_b) = size_a, size_b
    side = max(math.sqrt(4 * width_b * height_b / 8000), 5.0)
    shape = math.floor(2 * width_b / side + 0.5), math.floor(2 * height_b / side + 0.5), 20
    cells = {}
    for p, (x1, y1, x2, y2) in enumerate(boxes_a.tolist()):
        for q, (u1, v1, u2, v2) in enumerate(boxes_b.tolist()):
            a, b, c, d = (x2 - x1) / 2, (y2 - y1) / 2, (u2 - u1) / 2, (v2 - v1) / 2
            x = (u1 + u2) / 2 + c * (share * width_a - (x1 + x2) / 2) / a
            y = (v1 + v2) / 2 + d * (share * height_a - (y1 + y2) / 2) / b
            z = math.log2(c * d / (a * b))
            if not 0.5 < (c / d) / (a / b) < 2:
                continue
            cell = (
                math.floor((x - 1 + (1 - share) * width_b) / ((2 * width_b - 1) / shape[0])),
                math.floor((y - 1 + (1 - share) * height_b) / ((2 * height_b - 1) / shape[1])),
                math.floor((z + 4) / 0.4),
            )
            if all(0 <= i < n for i, n in zip(cell, shape)):
                cells[p, q] = cell
    return cells, shape


def slow_scores(similarity, boxes_a, boxes_b, size_a, size_b, share=1.0):
    cells, shape = slow_votes(boxes_a, boxes_b, size_a, size_b, share)
    space = np.zeros(shape)
    for p in range(len(boxes_a)):
        strongest = {}
        for q in range(len(boxes_b)):
            if (p, q) in cells:
                cell = cells[p, q]
                strongest[cell] = max(strongest.get(cell, 0.0), similarity[p, q])
        for cell, weight in strongest.items():
            space[cell] += weight
    taps = np.exp(-0.5 * (np.arange(-2, 3) / (2.5 / 2.354)) ** 2)
    kernel = np.einsum("i,j,k->ijk", taps, taps, taps)
    kernel /= kernel.sum()
    padded = np.pad(space, 2)
    scores = np.zeros(similarity.shape)
    for (p, q), (i, j, k) in cells.items():
        around = padded[i : i + 5, j : j + 5, k : k + 5]
        scores[p, q] = similarity[p, q] * (around * kernel).sum()
    return scores


@pytest.mark.parametrize("anchor, share", [("corner", 1.0), ("centre", 0.5)])
def test_hough_scores_equal_the_double_loop(anchor, share):
    random = np.random.default_rng(1)
    boxes_a, boxes_b = draw_boxes(random, 20, SIZE_A), draw_boxes(random, 20, SIZE_B)
    similarity = random.random((20, 20), np.float32)
    expected = slow_scores(similarity, boxes_a, boxes_b, SIZE_A, SIZE_B, share)
    scores = matching.hough_scores(similarity, boxes_a, boxes_b, SIZE_A, SIZE_B, anchor)
    assert (expected > 0).sum() > 100 and (expected == 0).sum() > 50
    np.testing.assert_allclose(scores, expected, rtol=2e-5)


def test_a_moved_copy_matches_region_by_region_and_votes_for_the_move():
    random = np.random.default_rng(2)
    boxes = draw_boxes(random, 12, (100, 100))
    dx, dy = 37, 21
    size = (200, 200)
    descriptors = random.standard_normal((12, 64)).astype(np.float32)
    similarity = np.maximum(descriptors @ descriptors.T, 0)
    moved = boxes + [dx, dy, dx, dy]
    scores = matching.hough_scores(similarity, boxes, moved, size, size)
    np.testing.assert_array_equal(scores.argmax(axis=1), np.arange(12))
    cells, shape = matching.vote_cells(boxes, moved, size, size)
    # every true match puts A's corner (200, 200) at (237, 221), at scale 0, cell 10 of 20
    # cells have 5 pixels, because sqrt(4 * 200 * 200 / 8000) is less
    assert shape == (80, 80, 20)
    cell = ((237 - 1) * shape[0] // 399 * shape[1] + (221 - 1) * shape[1] // 399) * 20 + 10
    np.testing.assert_array_equal(np.diag(cells), cell)
    space = matching.hough_space(similarity, cells, math.prod(shape))
    assert space.argmax() == cell


def test_a_pair_keeps_its_best_scores_and_is_the_transpose_of_its_reverse():
    random = np.random.default_rng(3)
    boxes_a, boxes_b = draw_boxes(random, 15, SIZE_A), draw_boxes(random, 18, SIZE_B)
    similarity = random.standard_normal((15, 18)).astype(np.float32)
    positive = np.maximum(similarity, 0)
    dense = slow_scores(positive, boxes_a, boxes_b, SIZE_A, SIZE_B)
    dense += slow_scores(positive.T, boxes_b, boxes_a, SIZE_B, SIZE_A).T
    dense *= 1e6 / (15 * 18)
    rows, columns, scores = matching.match_pair(similarity, boxes_a, boxes_b, SIZE_A, SIZE_B, 40)
    assert len(rows) == 40
    np.testing.assert_allclose(scores, dense[rows, columns], rtol=5e-5)
    assert scores.min() >= np.sort(dense.ravel())[-40] * (1 - 5e-5)
    back = matching.match_pair(similarity.T, boxes_b, boxes_a, SIZE_B, SIZE_A, 40)
    assert set(zip(rows, columns)) == set(zip(back[1], back[0]))
    everything = matching.match_pair(similarity, boxes_a, boxes_b, SIZE_A, SIZE_B, 9999)
    assert len(everything[0]) == (dense > 0).sum() < 15 * 18


@pytest.mark.parametrize("shape", [(89, 89, 20), (33, 5, 20), (1, 3, 20), (16, 17, 4)])
def test_smoothed_votes_are_those_of_a_gaussian_filter(shape):
    votes = np.random.default_rng(4).random(shape, np.float32)
    expected = ndimage.gaussian_filter(votes, 5 / 2 / 2.354, mode="constant", radius=2)
    np.testing.assert_allclose(matching.smoothed(votes), expected, rtol=2e-5, atol=1e-7)


@pytest.mark.parametrize("size, count", [(5, 7), (7, 7), (40, 7), (3000, 7), (3001, 700)])
def test_the_largest_values_are_found_where_they_stand(size, count):
    random = np.random.default_rng(size)
    values = random.permutation(size).astype(np.float32)
    expected = np.flatnonzero(values >= size - count)
    np.testing.assert_array_equal(matching.largest(values, count), expected)
    # of equals some are taken, never others than the largest
    equal = np.minimum(values, size // 2)
    found = matching.largest(equal, count)
    assert len(found) == min(size, count) and (np.diff(found) > 0).all()
    np.testing.assert_array_equal(np.sort(equal[found]), np.sort(equal)[-count:])


def test_a_standout_score_is_less_the_best_of_the_regions_around_both():
    # 0 holds 1, 2 stands alone; two regions in the other image, the first around the second
    boxes_a = np.array([[1, 1, 40, 40], [5, 5, 20, 20], [60, 60, 90, 90]])
    boxes_b = np.array([[1, 1, 50, 50], [10, 10, 30, 30]])
    scores = np.array([[3, 1], [9, 5], [4, 6]], np.float32)
    # only (1, 1) has a pair around it, (0, 0) with 3
    expected = [[3, 1], [9, 2], [4, 6]]
    np.testing.assert_array_equal(matching.standout_scores(scores, boxes_a, boxes_b), expected)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_equal_and_negative_similarities_are_no_trouble(sign):
    boxes = np.array([[1, 1, 10, 10], [5, 5, 30, 30]])
    similarity = np.full([2, 2], sign, np.float32)
    rows, _, scores = matching.match_pair(similarity, boxes, boxes, (40, 40), (40, 40), 10)
    assert len(rows) == (4 if sign > 0 else 0)
    assert (scores > 0).all()
