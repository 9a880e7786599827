"""Regions of objects on hand-made rectangles."""

import numpy as np
import pytest
import tensorflow as tf

from ssl_tf.data.scenes.shapes import Scenes
from ssl_tf.errors import UserError
from ssl_tf.settings import ViewSettings
from ssl_tf.views import regions


def region(box, height, width, smallest=(1, 1)):
    smallest = tuple(map(tf.constant, smallest))
    made = regions.to_region(tf.constant(box), tf.constant(height), tf.constant(width), smallest)
    return made.numpy().tolist()


def test_dilation_adds_delta_in_all_and_stops_at_the_border():
    boxes = [[0.4, 0.3, 0.6, 0.7], [0.0, 0.9, 0.1, 1.0], [0.02, 0.0, 1.0, 1.0]]
    grown = [[0.35, 0.25, 0.65, 0.75], [0.0, 0.85, 0.15, 1.0], [0.0, 0.0, 1.0, 1.0]]
    np.testing.assert_allclose(regions.dilate(tf.constant(boxes), 0.1), grown, atol=1e-6)
    np.testing.assert_array_equal(regions.dilate(tf.constant(boxes), 0.0), np.float32(boxes))


@pytest.mark.parametrize(
    "box, expected",
    [
        ([0.2, 0.25, 0.6, 0.75], [20, 50, 40, 100]),  # on the edges of pixels
        ([0.205, 0.2525, 0.595, 0.7475], [20, 50, 40, 100]),  # every pixel that it touches
        ([0.0, 0.0, 1.0, 1.0], [0, 0, 100, 200]),
        ([0.301, 0.301, 0.302, 0.302], [30, 60, 1, 1]),  # inside of one pixel
        ([0.999, 0.999, 1.0, 1.0], [99, 199, 1, 1]),
    ],
)
def test_a_region_has_the_pixels_of_its_box(box, expected):
    assert region(box, 100, 200) == expected


@pytest.mark.parametrize("pixels", range(1, 60))
def test_edges_of_pixels_survive_single_precision(pixels):
    box = np.float32([pixels / 61, pixels / 61, (pixels + 1) / 61, 1.0])
    assert region(box, 61, 61) == [pixels, pixels, 1, 61 - pixels]


@pytest.mark.parametrize(
    "box, smallest, expected",
    [
        ([0.4, 0.4, 0.6, 0.6], (40, 60), [30, 70, 40, 60]),  # about the centre
        ([0.4, 0.1, 0.6, 0.9], (40, 60), [30, 20, 40, 160]),  # one axis alone
        ([0.0, 0.9, 0.1, 1.0], (40, 60), [0, 140, 40, 60]),  # shifted inside, at two corners
        ([0.9, 0.0, 1.0, 0.1], (40, 60), [60, 0, 40, 60]),
        ([0.4, 0.4, 0.6, 0.6], (300, 300), [0, 0, 100, 200]),  # no larger than the image
    ],
)
def test_small_regions_grow_to_the_smallest_sides(box, smallest, expected):
    assert region(box, 100, 200, smallest) == expected


def test_each_box_is_as_likely():
    boxes = tf.constant(np.linspace(0, 0.5, 12, dtype=np.float32).reshape(3, 4))
    uniform = tf.data.Dataset.from_tensor_slices(tf.random.stateless_uniform([3000], [1, 2]))
    drawn = uniform.map(lambda u: regions.choose_box(boxes, u)).batch(3000).get_single_element()
    drawn = drawn.numpy()
    counts = [(drawn == box).all(axis=1).sum() for box in boxes.numpy()]
    assert sum(counts) == 3000
    assert np.abs(np.array(counts) - 1000).max() < 5 * np.sqrt(3000 * 2 / 9)
    last = regions.choose_box(boxes, tf.constant(np.nextafter(np.float32(1), np.float32(0))))
    np.testing.assert_array_equal(last, boxes[2])
    none = regions.choose_box(tf.zeros([0, 4]), tf.constant(0.7))
    np.testing.assert_array_equal(none, [0, 0, 1, 1])


def test_mean_areas_are_over_boxes_not_images():
    boxes = [[[0, 0, 0.5, 0.5], [0.4, 0.4, 0.6, 0.6]], [], [[0.1, 0.2, 0.9, 0.6]]]
    pieces = tf.data.Dataset.from_generator(
        lambda: (np.reshape(piece, [-1, 4]) for piece in boxes), output_signature=SIGNATURE
    )
    area, dilated = regions.mean_areas(pieces, 0.2)
    assert area == pytest.approx((0.25 + 0.04 + 0.32) / 3)
    assert dilated == pytest.approx((0.6 * 0.6 + 0.4 * 0.4 + 1.0 * 0.6) / 3)


SIGNATURE = tf.TensorSpec([None, 4], tf.float32)


def test_without_a_box_there_is_no_mean():
    with pytest.raises(UserError, match="there is not one box to crop"):
        regions.mean_areas(tf.data.Dataset.from_tensors(tf.zeros([0, 4])), 0.1)


def test_smallest_areas_are_a_fifth_over_the_mean_within_bounds():
    scenes = Scenes("train", 30, 16)
    records = list(scenes.sequence().as_numpy_iterator())
    boxes = np.concatenate([record["boxes"] for record in records])
    grown = np.clip(boxes + [-0.2, -0.2, 0.2, 0.2], 0, 1)
    area, dilated = (np.prod(b[:, 2:] - b[:, :2], axis=1).mean() for b in (boxes, grown))
    assert area < 0.25 < dilated  # the first is bound from above
    settings = ViewSettings(crops="object_dilated", dilation=0.4)
    found = regions.smallest_areas(settings, scenes.boxes)
    assert found == pytest.approx((0.8, 0.2 / dilated), rel=1e-5)
    for other in (
        ViewSettings(),
        ViewSettings(crops="object_object", smallest_area=0.3),
        ViewSettings(crops="object_object", crop="byol"),
    ):
        assert regions.smallest_areas(other, scenes.boxes) is None
