"""Shear, translation, rotation and cutout against Pillow and rectangles counted by hand."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageDraw

from ssl_tf.views import geometry

# Levels 0..10 and 0..30 as fractions of the range, and two beyond it.
FRACTIONS = sorted({level / 10 for level in range(11)} | {level / 30 for level in range(31)}) + [2]
SIGNED = [sign * fraction for fraction in FRACTIONS for sign in (-1, 1)]


def _affine(coefficients):
    def reference(image, value, fill):
        data = coefficients(value, *image.size)
        return image.transform(
            image.size,
            Image.Transform.AFFINE,
            data,
            Image.Resampling.NEAREST,
            fillcolor=(fill,) * 3,
        )

    return reference


def _rotate(image, value, fill):
    return image.rotate(value, Image.Resampling.NEAREST, fillcolor=(fill,) * 3)


PILLOW = {
    "shear_x": ([0.3 * f for f in SIGNED], _affine(lambda s, w, h: (1, s, 0, 0, 1, 0))),
    "shear_y": ([0.3 * f for f in SIGNED], _affine(lambda s, w, h: (1, 0, 0, s, 1, 0))),
    "translate_x": ([0.45 * f for f in SIGNED], _affine(lambda s, w, h: (1, 0, s * w, 0, 1, 0))),
    "translate_y": ([0.45 * f for f in SIGNED], _affine(lambda s, w, h: (1, 0, 0, 0, 1, s * h))),
    "rotate": ([30 * f for f in SIGNED] + [45, -135, 180, 270, 359.9, 360, -450], _rotate),
}


@pytest.mark.parametrize("name", PILLOW)
def test_equals_pillow(name, images, run):
    values, reference = PILLOW[name]
    op = getattr(geometry, name)
    cases = [
        (image, np.float32(value), np.float32(fill))
        for fill, image in enumerate(images.values())
        for value in values
    ]
    for (image, value, fill), result in zip(cases, run(op, cases)):
        expected = np.asarray(reference(Image.fromarray(image), float(value), int(fill)))
        np.testing.assert_array_equal(result, expected, err_msg=f"{image.shape}, {value}")


@pytest.mark.parametrize("name", PILLOW)
def test_equals_pillow_at_random_values_and_at_training_sizes(name):
    reference = PILLOW[name][1]
    scale = 180.0 if name == "rotate" else 0.5
    rng = np.random.default_rng([7, len(name)])
    op = tf.function(
        getattr(geometry, name),
        input_signature=[
            tf.TensorSpec([None, None, 3], tf.uint8),
            tf.TensorSpec([]),
            tf.TensorSpec([], tf.int32),
        ],
    )
    for shape in [(224, 224, 3), (32, 32, 3), (101, 150, 3)] * 12:
        image = rng.integers(0, 256, shape, np.uint8)
        value = np.float32(rng.uniform(-scale, scale))
        expected = np.asarray(reference(Image.fromarray(image), float(value), 99))
        np.testing.assert_array_equal(op(image, value, 99), expected, err_msg=f"{shape} {value}")


@pytest.mark.parametrize("name", ["translate_x", "translate_y"])
def test_a_whole_side_and_more_leaves_only_the_fill(name, images, run):
    op = getattr(geometry, name)
    cases = [(image, np.float32(value)) for image in images.values() for value in (-9e9, -1, 1, 70)]
    for result in run(lambda image, value: op(image, value, tf.constant(31)), cases):
        assert np.all(result == 31)


def test_pixels_divided_by_the_width_shift_by_those_pixels():
    """The TF reference counts in pixels; the float32 fraction must not lose one."""
    for width in (7, 32, 96, 224, 333):
        image = np.random.default_rng(width).integers(0, 256, (2, width, 3), np.uint8)
        for pixels in range(0, width, max(1, width // 12)):
            shifted = geometry.translate_x(
                tf.constant(image), tf.constant(np.float32(pixels / width)), tf.constant(0)
            )
            np.testing.assert_array_equal(shifted[:, : width - pixels], image[:, pixels:])
            assert not np.any(shifted[:, width - pixels :])


def test_directions_by_hand():
    image = tf.constant(np.arange(1, 13, dtype=np.uint8).reshape(2, 2, 3))
    fill = tf.constant(0)
    first, second, third, fourth = image[0, 0], image[0, 1], image[1, 0], image[1, 1]
    empty = tf.zeros_like(first)

    def equal(result, rows):
        np.testing.assert_array_equal(result, tf.stack([tf.stack(row) for row in rows]))

    equal(geometry.translate_x(image, tf.constant(0.5), fill), [[second, empty], [fourth, empty]])
    equal(geometry.translate_y(image, tf.constant(-0.5), fill), [[empty, empty], [first, second]])
    equal(geometry.shear_x(image, tf.constant(1.0), fill), [[second, empty], [empty, empty]])
    equal(geometry.rotate(image, tf.constant(90.0), fill), [[second, fourth], [first, third]])


def _fast_autoaugment_cutout(image, value, u, v):
    if value <= 0:
        return image
    width, height = image.size
    side = value * width
    left, top = int(max(0, u * width - side / 2)), int(max(0, v * height - side / 2))
    box = (left, top, min(width, left + side), min(height, top + side))
    painted = image.copy()
    ImageDraw.Draw(painted).rectangle(box, (125, 123, 114))
    return painted


def test_cutout_equals_a_rectangle_drawn_by_pillow(images, run):
    rng = np.random.default_rng(3)
    values = np.float32([0.2 * f for f in FRACTIONS[::2]] + [1.0, 2.5])
    cases = [
        (image, value, center)
        for image in images.values()
        for value in values
        for center in [
            np.zeros(2, np.float32),
            rng.random(2, np.float32),
            np.full(2, 1 - 2**-24, np.float32),
        ]
    ]
    for (image, value, center), result in zip(cases, run(geometry.cutout, cases)):
        expected = _fast_autoaugment_cutout(
            Image.fromarray(image), float(value), float(center[0]), float(center[1])
        )
        np.testing.assert_array_equal(
            result, np.asarray(expected), err_msg=f"{image.shape}, {value}, {center}"
        )


def test_cutout_by_hand():
    """Width 16, fraction 0.25: side 4, 5 pixels each way, whole at the left, cut at the right."""
    image = tf.zeros([8, 16, 3], tf.uint8)

    def painted(u, v):
        result = geometry.cutout(image, tf.constant(0.25), tf.constant([u, v])).numpy()
        assert np.all(result[result.any(-1)] == (125, 123, 114))
        rows, columns = np.nonzero(result.any(-1))
        return rows.min(), rows.max(), columns.min(), columns.max()

    assert painted(0.5, 0.5) == (2, 6, 6, 10)
    assert painted(0.0, 0.0) == (0, 4, 0, 4)
    assert painted(0.99, 0.99) == (5, 7, 13, 15)
    np.testing.assert_array_equal(
        geometry.cutout(image, tf.constant(0.0), tf.constant([0.5, 0.5])), image
    )
