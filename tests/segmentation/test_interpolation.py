import numpy as np
import pytest
import tensorflow as tf

from ssl_tf.networks.resnet import SPATIAL_FEATURES, build_resnet
from ssl_tf.segmentation.interpolation import upsample


@pytest.mark.parametrize("height, width", [(9, 12), (12, 16), (10, 13)])
def test_scores_of_pixels_lie_on_lines_between_those_of_cells(height, width):
    random = np.random.default_rng(0)
    cells = random.normal(size=(2, 3, 4, 5))
    found = upsample(tf.constant(cells), 4, height, width).numpy()
    for y in range(height):
        for x in range(width):
            row, column = min(y / 4, 2), min(x / 4, 3)
            top, left = int(row), int(column)
            below, right = min(top + 1, 2), min(left + 1, 3)
            v, u = row - top, column - left
            expected = (1 - v) * ((1 - u) * cells[:, top, left] + u * cells[:, top, right])
            expected += v * ((1 - u) * cells[:, below, left] + u * cells[:, below, right])
            np.testing.assert_allclose(found[:, y, x], expected, atol=1e-12)


def test_cells_of_a_scaled_image():
    # A ramp over the cells is the same ramp over the pixels, whatever the scale of the image.
    cells = np.arange(8.0)[None, None, :, None] * 4  # the value is the pixel of the scaled image
    found = upsample(tf.constant(cells), 4, 1, 14, (2, 28)).numpy()[0, 0, :, 0]
    np.testing.assert_allclose(found, np.minimum((np.arange(14) + 0.5) * 2 - 0.5, 28))
    # 13 pixels at 0.75 are 10, not 9.75.
    tall = upsample(tf.constant(cells.transpose(0, 2, 1, 3)), 4, 13, 1, (10, 1)).numpy()
    expected = np.maximum((np.arange(13) + 0.5) * 10 / 13 - 0.5, 0)
    np.testing.assert_allclose(tall[0, :, 0, 0], expected, atol=1e-12)


def test_a_cell_of_the_encoder_looks_at_the_pixel_of_its_number_times_the_stride():
    encoder = build_resnet(18, 0.0625, "small", zero_init_last_gamma=False, seed=3)
    maps = tf.keras.Model(encoder.input, encoder.get_layer(SPATIAL_FEATURES).output)
    images = tf.Variable(np.random.default_rng(0).normal(size=(1, 65, 65, 3)).astype(np.float32))
    with tf.GradientTape() as tape:
        cell = tf.reduce_sum(maps(images)[0, 4, 4])
    weight = np.abs(tape.gradient(cell, images)[0]).sum(-1)
    centre = (weight.sum(1) * np.arange(65)).sum() / weight.sum()
    assert centre == pytest.approx(4 * 8, abs=2)
