import numpy as np
import pytest
import tensorflow as tf

from ssl_tf.segmentation.segmentation_crops import random_crop


def example(height, width, readable=True):
    """An image whose red is the label of each pixel."""
    labels = np.random.default_rng(0).integers(0, 200, (height, width)).astype(np.int32)
    image = np.repeat(labels[..., None], 3, -1).astype(np.uint8)
    return {
        "image": tf.constant(image),
        "label_map": tf.constant(labels if readable else labels[:0, :0]),
        "readable": tf.constant(readable),
    }


def crop(given, seed, size, scales=(1.0, 1.0)):
    made = random_crop(given, tf.constant([seed, 1], tf.int64), size, scales)
    return made["image"].numpy(), made["label_map"].numpy()


def test_a_crop_has_the_labels_of_its_pixels_and_half_are_mirrored():
    given, corners, mirrored = example(12, 15), set(), 0
    labels = given["label_map"].numpy()
    for seed in range(60):
        image, cut = crop(given, seed, 8)
        np.testing.assert_array_equal(image[..., 0], cut)
        found = [
            (y, x, flip)
            for y in range(5)
            for x in range(8)
            for flip in (1, -1)
            if (labels[y : y + 8, x : x + 8][:, ::flip] == cut).all()
        ]
        assert len(found) == 1
        corners.add(found[0][:2])
        mirrored += found[0][2] == -1
    assert len(corners) > 25 and 18 < mirrored < 42
    assert {y for y, _ in corners} == {*range(5)} and {x for _, x in corners} == {*range(8)}


def test_a_small_image_is_filled_up_with_ignored_pixels_of_the_mean_colour():
    for seed in range(4):
        image, labels = crop(example(5, 9), seed, 8)
        assert (labels[5:] == 255).all() and (labels[:5] != 255).all()
        np.testing.assert_array_equal(image[5:], np.broadcast_to([124, 116, 104], (3, 8, 3)))


def test_scales_are_uniform_and_labels_are_never_mixed():
    ones = {**example(40, 40), "label_map": tf.ones([40, 40], tf.int32) * 7}
    sides = []
    for seed in range(150):
        _, labels = crop(ones, seed, 96, (0.5, 2.0))
        assert {*np.unique(labels)} <= {7, 255}
        sides.append((labels[0] == 7).sum() / 40)
    assert min(sides) >= 0.5 and max(sides) <= 2.0
    assert np.mean(sides) == pytest.approx(1.25, abs=0.12)


def test_a_crop_is_a_function_of_the_seed():
    first, again, other = (crop(example(30, 30), seed, 16, (0.5, 2)) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    assert (first[0] != other[0]).any()


def test_of_an_unreadable_image_nothing_counts():
    assert (crop(example(9, 9, readable=False), 0, 8)[1] == 255).all()
