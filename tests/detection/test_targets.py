"""Matches, regions and masks against slow loops and closed forms."""

import numpy as np
import pytest
import tensorflow as tf

from ssl_tf.detection.found_objects import paste_mask
from ssl_tf.detection.targets import (
    Objects,
    Regions,
    match_anchors,
    region_masks,
    sample_regions,
    sampled_at_centres,
)
from ssl_tf.detection.voc_figures import box_overlaps


def boxes(random, count, side=64):
    low = random.uniform(0, side - 20, (count, 2))
    return np.concatenate([low, low + random.uniform(4, 20, (count, 2))], 1).astype(np.float32)


def objects(random, counts, most=4, masks=None):
    filled = np.full((len(counts), most, 4), -1, np.float32)
    classes = np.zeros((len(counts), most), np.int64)
    for row, count in enumerate(counts):
        filled[row, :count] = boxes(random, count)
        classes[row, :count] = random.integers(1, 6, count)
    return Objects(tf.constant(filled), tf.constant(classes), masks)


@pytest.mark.parametrize("thresholds", [(0.3, 0.7), (0.4, 0.5)])
def test_anchors_are_matched_as_by_a_loop(thresholds):
    random = np.random.default_rng(0)
    true = objects(random, [3, 0, 1])
    anchors = boxes(random, 300)
    anchors[:3] = true.boxes[0, :3] + 1  # good ones
    positive, negative, matched = (x.numpy() for x in match_anchors(anchors, true, thresholds))
    lower, upper = thresholds
    for image, count in enumerate([3, 0, 1]):
        overlaps = box_overlaps(anchors.astype(float), true.boxes[image, :count].numpy())
        for anchor in range(300):
            best = overlaps[anchor].max(initial=0.0)
            is_best = any(
                overlaps[anchor, n] == overlaps[:, n].max() and overlaps[anchor, n] > 0
                for n in range(count)
            )
            assert positive[image, anchor] == (best >= upper or is_best)
            assert negative[image, anchor] == (best < lower and not is_best)
            if positive[image, anchor]:
                assert matched[image, anchor] == overlaps[anchor].argmax()
        assert positive[image].sum() >= count
    assert negative[1].all()


def test_regions_are_those_of_objects_first_and_background_behind():
    random = np.random.default_rng(1)
    true = objects(random, [2, 0])
    near = true.boxes[0, :2].numpy() + [1, 0, 1, 0]
    proposals = np.stack([np.concatenate([near, boxes(random, 30)]), boxes(random, 32)])
    proposals[:, -4:] = 0  # no proposals
    seeds = tf.constant([[1, 2], [3, 4]], tf.int64)
    regions = sample_regions(tf.constant(proposals, tf.float32), true, seeds, 16, 0.25)
    classes, weights = regions.classes.numpy(), regions.weights.numpy()
    assert classes.shape == (2, 16) and (weights == 1).all()
    # Two proposals and the two true boxes themselves; at most a quarter.
    assert (classes[0, :4] > 0).all() and not classes[0, 4:].any() and not classes[1].any()
    overlaps = box_overlaps(
        regions.boxes[0].numpy().astype(float), true.boxes[0, :2].numpy().astype(float)
    )
    assert (overlaps[:4].max(1) >= 0.5).all() and (overlaps[4:].max(1) < 0.5).all()
    for row in range(4):
        best = overlaps[row].argmax()
        assert regions.matched[0, row] == best and classes[0, row] == true.classes[0, best]
    few = sample_regions(tf.constant(proposals[:, -6:], tf.float32), true, seeds, 10, 0.25)
    assert few.weights.numpy().sum(1).tolist() == [4, 2]
    assert (few.boxes.numpy()[few.weights.numpy() > 0][:, 2:] > 0).all()


def slow_samples(mask, box, side):
    """Bilinear values of a mask at the centres of cells; outside of it is 0."""
    height, width = mask.shape

    def pixel(y, x):
        return mask[y, x] if 0 <= y < height and 0 <= x < width else 0

    values = np.zeros((side, side))
    for i in range(side):
        for j in range(side):
            y = (box[0] + (box[2] - box[0]) * (i + 0.5) / side) * height - 0.5
            x = (box[1] + (box[3] - box[1]) * (j + 0.5) / side) * width - 0.5
            for a in (0, 1):
                for b in (0, 1):
                    row, column = int(np.floor(y)) + a, int(np.floor(x)) + b
                    weight = (1 - abs(y - row)) * (1 - abs(x - column))
                    values[i, j] += weight * pixel(row, column)
    return values


def test_masks_are_sampled_as_by_a_loop():
    random = np.random.default_rng(2)
    masks = (random.random((4, 9, 13)) < 0.5).astype(np.uint8)
    inside = np.array(
        [[0, 0, 1, 1], [0.2, 0.3, 0.9, 0.5], [-0.5, 0.4, 0.6, 1.7], [0.31, 0.31, 0.32, 0.33]]
    )
    found = sampled_at_centres(tf.constant(masks), tf.constant(inside, tf.float32), 7).numpy()
    for mask, box, values in zip(masks, inside, found):
        np.testing.assert_allclose(values, slow_samples(mask, box, 7), atol=2e-5)


def test_a_region_has_the_mask_of_its_part_of_the_object():
    """The upper left triangle of an object, seen by regions that are halves of it, or shifted."""
    side = 112
    triangle = (np.add.outer(np.arange(side), np.arange(side)) < side - 1).astype(np.uint8)
    true = Objects(
        tf.constant([[[10.0, 20.0, 50.0, 80.0]]]),
        tf.constant([[3]], tf.int64),
        tf.constant(triangle[None, None]),
    )
    shown = np.array([[[10, 20, 50, 80], [10, 20, 30, 50], [30, 50, 50, 80], [10, 50, 50, 110]]])
    regions = Regions(
        tf.constant(shown, tf.float32),
        tf.constant([[3, 3, 3, 3]], tf.int64),
        tf.zeros([1, 4], tf.int32),
        tf.ones([1, 4]),
    )
    whole, first, last, shifted = region_masks(regions, true, 4, 28).numpy()[0]
    ramp = np.add.outer(np.arange(28), np.arange(28))
    assert (whole == (ramp < 27)).mean() > 0.96
    assert first.mean() == 1 or first.mean() > 0.96
    assert last.mean() < 0.04
    np.testing.assert_array_equal(shifted[:, 14:], False)
    assert shifted[:, :14].mean() == pytest.approx(0.25, abs=0.05)


def test_a_mask_is_pasted_where_it_was_cut_out():
    """What `region_masks` cuts out of a picture, `paste_mask` puts back."""
    y, x = np.mgrid[:90, :120] + 0.5
    picture = ((y - 40) / 25) ** 2 + ((x - 60) / 38) ** 2 < 1
    box = np.array([15.0, 22.0, 65.0, 98.0])
    part = box / [90, 120, 90, 120]
    cut = sampled_at_centres(
        tf.constant(picture[None].astype(np.uint8)), tf.constant(part[None], tf.float32), 28
    )[0]
    pasted = paste_mask(cut.numpy(), box, 90, 120)
    assert (pasted & picture).sum() / (pasted | picture).sum() > 0.97


@pytest.mark.parametrize(
    "box, covered",
    [
        ([2, 3, 5, 7], (slice(2, 5), slice(3, 7))),
        ([1.5, 2.4, 3.5, 5.6], (slice(1, 3), slice(2, 6))),  # pixels whose centres are inside
        ([-4, -4, 2, 3], (slice(0, 2), slice(0, 3))),
        ([8, 8, 30, 30], (slice(8, 10), slice(8, 12))),
        ([4.1, 4.1, 4.2, 4.2], (slice(0, 0), slice(0, 0))),
        ([3, 3, 3, 9], (slice(0, 0), slice(0, 0))),
    ],
)
def test_a_full_mask_covers_the_pixels_of_its_box(box, covered):
    expected = np.zeros((10, 12), bool)
    expected[covered] = True
    np.testing.assert_array_equal(paste_mask(np.ones((28, 28)), np.array(box), 10, 12), expected)
