import numpy as np
import pytest
import tensorflow as tf

from ssl_tf.discovery import descriptors


def test_a_descriptor_samples_the_map_inside_its_box():
    # a map that tells its own place: the sample at (y, x) in cells has the values y and x
    y, x = np.meshgrid(np.arange(20.0), np.arange(30.0), indexing="ij")
    features = tf.constant(np.stack([y, x], axis=-1), tf.float32)
    # rows 4..10 and columns 6..20 of a 200x300 image whose cells have 10 pixels
    boxes = np.array([[61, 41, 200, 100], [1, 1, 300, 200]])
    found = descriptors.describe_regions(features, boxes, 200, 300, None)
    assert found.dtype == np.float16 and found.shape == (2, 98)
    found = found.astype(float).reshape(2, 7, 7, 2)
    # the second of the two samples of every cell is the larger one, its place is
    # first + (2 i + 1.5) / 14 of the side, less half a cell
    rows = 4 + 6 * (2 * np.arange(7) + 1.5) / 14 - 0.5
    columns = 6 + 14 * (2 * np.arange(7) + 1.5) / 14 - 0.5
    largest = found.max()
    assert largest == 1.0
    scale = columns[-1] / found[0, 0, -1, 1]
    np.testing.assert_allclose(found[0, :, 0, 0] * scale, rows, rtol=2e-3)
    np.testing.assert_allclose(found[0, 3, :, 1] * scale, columns, rtol=2e-3)
    # the last column that the full image shows
    assert scale == pytest.approx(30 * 13.5 / 14 - 0.5, rel=2e-3)


def test_a_projection_keeps_inner_products_in_the_mean():
    random = np.random.default_rng(1)
    features = tf.constant(random.random((12, 12, 256)), tf.float32)
    boxes = np.array([[1, 1, 60, 60], [30, 30, 120, 120], [1, 1, 120, 120]])
    full = descriptors.describe_regions(features, boxes, 120, 120, None).astype(np.float32)
    projection = descriptors.make_projection(256, 64, seed=0)
    short = descriptors.describe_regions(features, boxes, 120, 120, projection)
    cells = full.reshape(3, 49, 256)
    np.testing.assert_allclose(short.reshape(3, 49, 64), cells @ projection, atol=5e-3)
    mean = np.zeros([3, 3])
    for seed in range(200):
        one = (cells @ descriptors.make_projection(256, 64, seed)).reshape(3, -1)
        mean += one @ one.T / 200
    np.testing.assert_allclose(mean, full @ full.T, rtol=0.05)
    np.testing.assert_array_equal(projection, descriptors.make_projection(256, 64, seed=0))
    assert descriptors.make_projection(256, 0, seed=0) is None
    nothing = descriptors.describe_regions(features, boxes[:0], 120, 120, projection)
    assert nothing.shape == (0, 49 * 64)
