import numpy as np
import pytest

from ssl_tf.discovery import baselines, box_metrics
from ssl_tf.discovery.suppression import select_regions

A, B, C = [1, 1, 10, 10], [21, 21, 30, 30], [41, 41, 50, 50]
NEAR_A = [1, 1, 10, 12]  # IoU 100 / 120 with A


def test_overlap_counts_both_end_pixels():
    table = box_metrics.overlaps(np.array([A, NEAR_A]), np.array([A, B, [6, 1, 15, 10]]))
    np.testing.assert_allclose(table, [[1, 0, 50 / 150], [100 / 120, 0, 50 / 170]])


def test_three_images_by_hand():
    found = [
        np.array([NEAR_A, A, B]),  # object A, hit twice; B, hit at rank 3
        np.array([C, A]),  # object A at rank 2
        np.zeros([0, 4]),  # an image without boxes, one object
    ]
    objects = [np.array([A, B]), np.array([A]), np.array([C])]
    measured = box_metrics.measure(found, objects)
    assert measured.corloc == pytest.approx(1 / 3)
    assert measured.detection_rate == pytest.approx(3 / 4)
    assert measured.mabo == pytest.approx((1 + 1 + 0) / 3)
    # k=1: 1 of 2 proposed, recall 1/4; k=2: the duplicate of A counts for nothing, 2 of 4,
    # recall 2/4; k=3: 3 of 5, recall 3/4
    at50 = 1 / 2 * 1 / 4 + 2 / 4 * 1 / 4 + 3 / 5 * 1 / 4
    assert measured.odap50 == pytest.approx(at50)
    # at 0.85 and above NEAR_A misses, A is hit at rank 2: k=1: 0 of 2; k=2: 2 of 4; k=3: 3 of 5
    high = 0 + 2 / 4 * 2 / 4 + 3 / 5 * 1 / 4
    assert measured.odap5095 == pytest.approx((7 * at50 + 3 * high) / 10)


def test_standard_errors_are_those_of_repeated_draws_of_images():
    random = np.random.default_rng(0)
    count = 400
    wholes = random.integers(1, 5, count)
    parts = random.binomial(wholes, np.where(wholes > 2, 0.3, 0.7))
    draws = random.integers(count, size=(4000, count))
    ratios = parts[draws].sum(axis=1) / wholes[draws].sum(axis=1)
    assert box_metrics.ratio_error(parts, wholes) == pytest.approx(ratios.std(), rel=0.05)
    hits = np.array([1.0, 0, 1, 1])
    expected = np.sqrt(0.75 * 0.25 / 4)
    assert box_metrics.ratio_error(hits, np.ones(4)) == pytest.approx(expected)


def test_an_object_hit_by_nothing_and_a_box_that_hits_two():
    wide = [1, 1, 20, 10]
    tables = [box_metrics.overlaps(np.array([wide]), np.array([A, [11, 1, 20, 10], B]))]
    # one box hits two objects: precision 1, recall 2/3
    assert box_metrics.average_precision(tables, 0.5) == pytest.approx(2 / 3)


def test_selection_takes_one_of_a_group_and_none_that_overlaps():
    boxes = np.array([A, NEAR_A, B, C, [1, 1, 60, 60]])
    groups = np.array([1, 2, 3, 3, 4])
    worth = np.array([0.9, 0.8, 0.7, 0.6, 0.5])
    # NEAR_A overlaps A, C shares B's group, the full image overlaps little
    assert select_regions(boxes, groups, worth, 10, 0.3).tolist() == [0, 2, 4]
    assert select_regions(boxes, groups, worth, 2, 0.3).tolist() == [0, 2]
    assert select_regions(boxes, groups, worth, 10, 0.9).tolist() == [0, 1, 2, 4]
    # equals keep their order: without any match the full image, which is first
    assert select_regions(boxes, groups, np.zeros(5), 1, 0.3).tolist() == [0]
    assert select_regions(boxes[:0], groups[:0], worth[:0], 3, 0.3).tolist() == []


def test_baselines():
    assert baselines.centre_box(100, 200, 0.5).tolist() == [[51, 26, 150, 75]]
    assert baselines.full_image(100, 200).tolist() == [[1, 1, 200, 100]]
    boxes = np.arange(40).reshape(10, 4)
    drawn = baselines.random_proposals(boxes, 4, np.random.default_rng(0))
    assert drawn.shape == (4, 4) and len({tuple(row) for row in drawn.tolist()}) == 4
    assert {tuple(row) for row in drawn.tolist()} <= {tuple(row) for row in boxes.tolist()}
