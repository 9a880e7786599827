import numpy as np
import pytest
import tensorflow as tf

from ssl_tf.views import crops


def rectangles(law, height, width, count, numbers):
    uniform = tf.random.stateless_uniform([count, numbers], [1, 7])
    data = tf.data.Dataset.from_tensor_slices(uniform)
    made = data.map(lambda u: law(tf.constant(height), tf.constant(width), u)).batch(count)
    return next(made.as_numpy_iterator())


def inside(boxes, height, width):
    top, left, h, w = boxes.T
    return (
        (top >= 0).all() and (left >= 0).all() and (h >= 1).all() and (w >= 1).all()
        and (top + h <= height).all() and (left + w <= width).all()
    )  # fmt: skip


def test_uniform_crop_law():
    boxes = rectangles(lambda h, w, u: crops.uniform_crop(h, w, u, (0.5, 1.0)), 375, 500, 4000, 3)
    assert inside(boxes, 375, 500)
    ratio = boxes[:, 2] / 375
    assert np.abs(ratio - boxes[:, 3] / 500).max() < 2 / 375  # one ratio for both sides
    assert ratio.min() >= 0.5 - 1 / 375 and ratio.max() <= 1.0
    # U[0.5, 1]: mean 3/4, area mean 7/12; five standard errors
    assert abs(ratio.mean() - 0.75) < 5 * 0.5 / np.sqrt(12 * 4000)
    assert abs((ratio**2).mean() - 7 / 12) < 5 * 0.22 / np.sqrt(4000)
    # The position is uniform in what the size leaves free.
    free = boxes[:, 2] < 300
    place = boxes[free, 0] / (375 - boxes[free, 2])
    assert abs(place.mean() - 0.5) < 5 * 0.29 / np.sqrt(free.sum())


def test_byol_crop_law():
    boxes = rectangles(lambda h, w, u: crops.byol_crop(h, w, u, (0.08, 1.0)), 375, 500, 4000, 4)
    assert inside(boxes, 375, 500)
    area = boxes[:, 2] * boxes[:, 3] / (375 * 500)
    # The published simulation of this crop: mean area 0.52, quantiles 0.13 / 0.54 / 0.87.
    assert abs(area.mean() - 0.52) < 0.02
    assert np.abs(np.quantile(area, [0.05, 0.5, 0.95]) - [0.13, 0.54, 0.87]).max() < 0.03
    small = area < 0.4  # never cut to the image: the log-uniform aspect shows
    aspect = np.log(boxes[small, 3] / boxes[small, 2]) / np.log(4 / 3)
    assert aspect.min() > -1.05 and aspect.max() < 1.05
    assert abs(aspect.mean()) < 5 * 0.58 / np.sqrt(small.sum())
    assert abs(aspect.std() - 1 / np.sqrt(3)) < 0.03


def test_inception_crop_law():
    make = tf.function(
        lambda i: crops.inception_crop(
            tf.constant(375), tf.constant(500), tf.stack([3, i]), (0.08, 1.0)
        )
    )
    boxes = np.stack([make(tf.constant(i)).numpy() for i in range(2000)])
    assert inside(boxes, 375, 500)
    area = boxes[:, 2] * boxes[:, 3] / (375 * 500)
    # The published simulation of the TF operation on 500x375: mean 0.39, median 0.35.
    assert abs(area.mean() - 0.39) < 0.02
    assert abs(np.median(area) - 0.35) < 0.03
    aspect = boxes[:, 3] / boxes[:, 2]
    assert aspect.min() > 0.74 and aspect.max() < 1.35


@pytest.mark.parametrize("height, width", [(1, 1), (1, 9), (7, 1), (2, 3)])
def test_tiny_images_still_give_a_rectangle(height, width):
    for law, numbers in (
        (lambda h, w, u: crops.uniform_crop(h, w, u, (0.01, 0.02)), 3),
        (lambda h, w, u: crops.byol_crop(h, w, u, (0.001, 0.002)), 4),
    ):
        assert inside(rectangles(law, height, width, 20, numbers), height, width)


def test_crop_and_resize_reads_the_rectangle():
    image = tf.constant(np.arange(6 * 8 * 3, dtype=np.uint8).reshape(6, 8, 3))
    patch = crops.crop_and_resize(image, tf.constant([1, 2, 4, 4]), 4)
    np.testing.assert_array_equal(patch, image[1:5, 2:6])  # same size: the pixels themselves
    half = crops.crop_and_resize(image, tf.constant([0, 0, 4, 4]), 2)
    window = tf.cast(image[:4, :4], tf.float32).numpy()
    np.testing.assert_allclose(half, window.reshape(2, 2, 2, 2, 3).mean(axis=(1, 3)))


def test_bicubic_overshoot_is_cut():
    edge = np.zeros([8, 8, 3], np.uint8)
    edge[:, 4:] = 255
    patch = crops.crop_and_resize(
        tf.constant(edge), tf.constant([0, 0, 8, 8]), 32, "bicubic"
    ).numpy()
    assert patch.min() == 0.0 and patch.max() == 255.0


def test_normalized_rectangle():
    box = crops.normalized(tf.constant([10, 20, 30, 40]), tf.constant(100), tf.constant(80))
    np.testing.assert_allclose(box, [0.1, 0.25, 0.4, 0.75])
