"""Crops by products of matrices against those of the input pipeline."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from ssl_tf.views.batched_crops import columns_of, crop_batch
from ssl_tf.views.canvases import canvas_side, fitted, on_canvas
from ssl_tf.views.crops import crop_and_resize

SIDE = 56
SIZES = [(40, 56), (56, 30), (7, 5), (1, 1)]


def rectangles() -> list[list[int]]:
    """One in each image: a part, a thin one at the border, the whole, the only pixel."""
    return [[3, 10, 30, 41], [55, 0, 1, 30], [0, 0, 7, 5], [0, 0, 1, 1]]


@pytest.mark.parametrize("library", ["tensorflow", "pillow"])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", [12, 64])
def test_crops_are_those_of_the_host(library, interpolation, size):
    random = np.random.default_rng(3)
    images = [random.integers(0, 256, [*sides, 3], np.uint8) for sides in SIZES]
    canvases = tf.stack([on_canvas(tf.constant(image), SIDE) for image in images])
    cut = tf.function(crop_batch)
    made = cut(columns_of(canvases), tf.constant(rectangles()), size, interpolation, library)
    assert made.dtype == tf.float32 and made.shape == (len(SIZES), size, size, 3)
    differences = []
    for image, rectangle, crop in zip(images, rectangles(), made.numpy(), strict=True):
        wanted = crop_and_resize(
            tf.constant(image), tf.constant(rectangle), size, interpolation, library
        )
        differences.append(np.abs(crop - wanted.numpy()))
    # In crops this small many sums lie between two levels.
    assert np.max(differences) <= 1 and np.mean(differences) < 0.02


def test_antialiased_crops_equal_pillow():
    image = np.random.default_rng(5).integers(0, 256, [48, 36, 3], np.uint8)
    columns = columns_of(on_canvas(tf.constant(image), 48)[tf.newaxis])
    made = crop_batch(columns, tf.constant([[4, 6, 40, 29]]), 9, "bicubic", "pillow")[0]
    wanted = Image.fromarray(image[4:44, 6:35]).resize((9, 9), Image.Resampling.BICUBIC)
    assert np.abs(made.numpy() - np.asarray(wanted, float)).max() <= 1


def test_an_image_longer_than_its_canvas_is_averaged():
    image = np.random.default_rng(6).integers(0, 256, [60, 20, 3], np.uint8)
    small = fitted(tf.constant(image), 30).numpy()
    blocks = image.reshape(30, 2, 10, 2, 3).astype(float).mean((1, 3))
    assert small.shape == (30, 10, 3) and np.abs(small - blocks).max() <= 0.5
    np.testing.assert_array_equal(fitted(tf.constant(image), 60), image)
    assert fitted(tf.zeros([500, 1, 3], tf.uint8), 40).shape == (40, 1, 3)


@pytest.mark.parametrize(
    "wanted, largest, view, side",
    [
        (0, 1, 8, 4), (0, 32, 8, 32), (0, 333, 224, 336), (0, None, 224, 512),
        (0, None, 638, 640), (64, 333, 32, 64), (63, None, 32, 64),
    ],
)  # fmt: skip
def test_a_canvas_is_a_whole_number_of_words(wanted, largest, view, side):
    assert canvas_side(wanted, largest, view) == side and side * side * 3 % 8 == 0
