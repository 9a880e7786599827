import numpy as np
import pytest

from ssl_tf.discovery.contrast import surround_contrast
from tests.discovery.test_normalized_cut import planted


def slow_contrast(cells, box, surround):
    """Of a box of cells: top, left, bottom, right."""
    h, w, _ = cells.shape
    top, left, bottom, right = box
    down, across = (max(1, round(surround * side)) for side in (bottom - top, right - left))
    inside, around = [], []
    for row in range(h):
        for column in range(w):
            if top <= row < bottom and left <= column < right:
                inside.append(cells[row, column])
            elif top - down <= row < bottom + down and left - across <= column < right + across:
                around.append(cells[row, column])
    if not around:
        return 0.0
    one, other = np.mean(inside, axis=0), np.mean(around, axis=0)
    return 1 - one @ other / np.linalg.norm(one) / np.linalg.norm(other)


@pytest.mark.parametrize("surround", [0.3, 1.0, 5.0])
def test_contrast_equals_the_slow_loop(surround):
    random = np.random.default_rng(0)
    cells = random.standard_normal((7, 9, 4))
    boxes = [(0, 0, 7, 9), (0, 0, 1, 1), (2, 3, 5, 8), (6, 8, 7, 9), (0, 2, 7, 3)]
    # cells of 10 by 20 pixels
    pixels = [(20 * x + 1, 10 * y + 1, 20 * r, 10 * b) for y, x, b, r in boxes]
    found = surround_contrast(cells, np.array(pixels), 70, 180, surround)
    expected = [slow_contrast(cells, box, surround) for box in boxes]
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_an_object_stands_out_more_than_its_part_and_than_a_box_around_it():
    cells = planted(20, 20, [(6, 5, 13, 12)], noise=0.1)
    boxes = np.array([[6, 7, 12, 13], [6, 7, 9, 13], [3, 4, 15, 16], [14, 14, 18, 18]])
    scores = surround_contrast(cells, boxes, 20, 20, 1.5)
    assert scores[0] > 0.9
    assert scores[0] > scores[1:].max() + 0.05


def test_a_box_of_less_than_a_cell_has_the_contrast_of_its_cell():
    cells = np.random.default_rng(1).standard_normal((4, 4, 3))
    found = surround_contrast(cells, np.array([[33, 1, 34, 2]]), 64, 64, 1.0)
    assert found[0] == pytest.approx(slow_contrast(cells, (0, 2, 1, 3), 1.0))
