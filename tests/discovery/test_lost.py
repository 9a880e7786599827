"""LOST against a slow transcription of the paper, and on maps with known objects."""

import numpy as np
import pytest

from ssl_tf.discovery.lost import grow_objects
from tests.discovery.test_normalized_cut import planted


def slow_lost(features, shape, seeds):
    """Sections 3.2 and 3.3, cell by cell: the set of cells of the one object."""
    count = len(features)
    product = [[float(features[i] @ features[j]) for j in range(count)] for i in range(count)]
    degrees = [sum(product[i][j] >= 0 for j in range(count)) for i in range(count)]
    order = sorted(range(count), key=lambda n: degrees[n])
    seed = order[0]
    friends = [n for n in order[:seeds] if product[n][seed] >= 0]
    inside = {n for n in range(count) if sum(product[n][s] for s in friends) >= 0}
    reached, border = {seed}, [seed]
    while border:
        row, column = divmod(border.pop(), shape[1])
        for r, c in ((row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)):
            cell = r * shape[1] + c
            if 0 <= r < shape[0] and 0 <= c < shape[1] and cell in inside - reached:
                reached.add(cell)
                border.append(cell)
    return reached


@pytest.mark.parametrize("seed, seeds", [(0, 5), (1, 12), (2, 30), (3, 63)])
def test_the_first_object_equals_the_slow_transcription(seed, seeds):
    random = np.random.default_rng(seed)
    shape = 7, 9
    features = random.standard_normal([63, 3])
    expected = slow_lost(features, shape, seeds)
    (mask,) = grow_objects(features @ features.T, shape, seeds, 1)
    assert set(np.flatnonzero(mask)) == expected


def test_planted_objects_are_found_one_after_the_other_and_share_no_cell():
    boxes = [(2, 2, 9, 8), (11, 9, 15, 13)]
    maps = planted(18, 16, boxes, noise=0.05)
    vectors = maps.reshape(-1, maps.shape[-1])
    vectors = vectors - vectors.mean(axis=0)
    masks = grow_objects(vectors @ vectors.T, (18, 16), 20, 3)
    assert not (masks.sum(axis=0) > 1).any()
    expected = np.zeros([2, 18, 16], bool)
    for mask, (top, left, bottom, right) in zip(expected, boxes):
        mask[top:bottom, left:right] = True
    assert {mask.tobytes() for mask in masks[:2]} == {mask.tobytes() for mask in expected}


def test_when_every_cell_is_taken_there_is_no_further_object():
    masks = grow_objects(np.ones([6, 6], np.float32), (2, 3), 100, 4)
    assert masks.shape == (1, 2, 3) and masks.all()
