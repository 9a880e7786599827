"""Pointwise, histogram and colour ops against Pillow, colorsys and slow loops."""

import colorsys

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageEnhance, ImageOps

from ssl_tf.views import ops

# Levels 0..10 and 0..30 as fractions of the range, and the unclipped L / 10 of the TF reference.
FRACTIONS = sorted({level / 10 for level in range(31)} | {level / 30 for level in range(31)})
FACTORS = [0.1 + 1.8 * fraction for fraction in FRACTIONS] + [0.0]

NAMES = [
    "Identity",
    "AutoContrast",
    "Equalize",
    "Invert",
    "Posterize",
    "Solarize",
    "SolarizeAdd",
    "Color",
    "Contrast",
    "Brightness",
    "Sharpness",
    "ShearX",
    "ShearY",
    "TranslateX",
    "TranslateY",
    "Rotate",
    "Cutout",
    "rand_brightness",
    "rand_contrast",
    "rand_saturation",
    "rand_hue",
    "rand_blur",
    "color_drop",
]


def _solarize_add(image: Image.Image, amount: float) -> Image.Image:
    return image.point([min(255, x + int(amount)) if x < 128 else x for x in range(256)] * 3)


PILLOW = {
    "Identity": ([0.0], lambda image, value: image),
    "AutoContrast": ([0.0], lambda image, value: ImageOps.autocontrast(image)),
    "Equalize": ([0.0], lambda image, value: ImageOps.equalize(image)),
    "Invert": ([0.0], lambda image, value: ImageOps.invert(image)),
    "Posterize": (
        # Pillow 13 refuses to keep no bit.
        sorted({float(bits) for bits in range(1, 9)} | {4 + 4 * f for f in FRACTIONS if f <= 1}),
        lambda image, value: ImageOps.posterize(image, int(value)),
    ),
    "Solarize": (
        sorted(
            {int(256 * f) for f in FRACTIONS}
            | {256 - int(256 * f) for f in FRACTIONS}
            | {256 * f for f in FRACTIONS}
        ),
        lambda image, value: ImageOps.solarize(image, value),
    ),
    "SolarizeAdd": ([int(110 * f) for f in FRACTIONS], _solarize_add),
    "Color": (FACTORS, lambda image, value: ImageEnhance.Color(image).enhance(value)),
    "Contrast": (FACTORS, lambda image, value: ImageEnhance.Contrast(image).enhance(value)),
    "Brightness": (FACTORS, lambda image, value: ImageEnhance.Brightness(image).enhance(value)),
    "Sharpness": (FACTORS, lambda image, value: ImageEnhance.Sharpness(image).enhance(value)),
    "color_drop": ([0.0], lambda image, value: image.convert("L").convert("RGB")),
}


def _op(name):
    apply = ops.OPS[ops.OP_INDEX[name]].apply
    return lambda image, value: apply(image, value, tf.constant(128), tf.zeros([2]))


def _cases(images, values):
    return [(image, np.float32(value)) for image in images.values() for value in values]


def test_the_published_operations_keep_their_places():
    names = [op.name for op in ops.OPS]
    assert names[: len(NAMES)] == NAMES  # drawn operations are indices: new rows come behind
    assert ops.OP_INDEX == {name: index for index, name in enumerate(names)}


@pytest.mark.parametrize("name", PILLOW)
def test_equals_pillow(name, images, run):
    values, reference = PILLOW[name]
    cases = _cases(images, values)
    for (image, value), result in zip(cases, run(_op(name), cases)):
        expected = np.asarray(reference(Image.fromarray(image), float(value)))
        np.testing.assert_array_equal(result, expected, err_msg=f"{image.shape}, {value}")


def test_contrast_mean_does_not_depend_on_the_number_of_pixels():
    """The TF reference blends 448 x 448 pixels with 255 instead of the mean grey level."""
    image = np.tile(np.uint8([[[10, 10, 10], [90, 90, 90]]]), (448, 224, 1))
    np.testing.assert_array_equal(ops.contrast(image, tf.constant(0.0)), np.full_like(image, 50))


def test_posterize_to_no_bits_is_black_and_solarize_at_256_changes_nothing(images):
    image = images["noise"]
    assert not np.any(ops.posterize(image, tf.constant(0.0)))
    np.testing.assert_array_equal(ops.solarize(image, tf.constant(256.0)), image)
    np.testing.assert_array_equal(ops.solarize(image, tf.constant(0.0)), 255 - image)


def test_solarize_add_clips():
    image = np.uint8([[[0, 20, 127], [128, 200, 255]]])
    np.testing.assert_array_equal(
        ops.solarize_add(image, tf.constant(110.0)), [[[110, 130, 237], [128, 200, 255]]]
    )
    np.testing.assert_array_equal(
        ops.solarize_add(image, tf.constant(200.0)), [[[200, 220, 255], [128, 200, 255]]]
    )


def _rand_brightness(image, value):
    return np.clip(image + 255.0 * value, 0, 255)


def _rand_contrast(image, value):
    mean = image.mean(axis=(0, 1))
    return np.clip(mean + value * (image - mean), 0, 255)


def _in_hsv(change):
    def reference(image, value):
        pixels = [
            colorsys.hsv_to_rgb(*change(*colorsys.rgb_to_hsv(*pixel), value))
            for pixel in image.reshape(-1, 3) / 255.0
        ]
        return 255.0 * np.reshape(pixels, image.shape)

    return reference


LEVELS = [0.08 * level for level in range(11)]
SMALL_IMAGES = ("photograph", "constant", "two-valued", "row", "column", "black", "white", "pixel")
DRAWN = {
    "rand_brightness": ([-f for f in LEVELS] + LEVELS, _rand_brightness),
    "rand_contrast": ([1 - f for f in LEVELS] + [1 + f for f in LEVELS], _rand_contrast),
    "rand_saturation": (
        [0.0, 0.2, 0.68, 1.0, 1.32, 1.8, 3.4],
        _in_hsv(lambda h, s, v, factor: (h, min(1.0, s * factor), v)),
    ),
    "rand_hue": (
        [-0.5, -0.3, -0.1, -0.02, 0.0, 0.1, 0.25, 0.5],
        _in_hsv(lambda h, s, v, delta: ((h + delta) % 1.0, s, v)),
    ),
}


@pytest.mark.parametrize("name", DRAWN)
def test_drawn_ops_are_the_nearest_level(name, images, run):
    values, reference = DRAWN[name]
    cases = _cases({key: images[key] for key in SMALL_IMAGES}, values)
    for (image, value), result in zip(cases, run(_op(name), cases)):
        difference = np.abs(result - reference(image, float(value)))
        assert difference.max() < 0.5 + 1e-3, f"{image.shape}, {value}"


def _slow_blur(image: np.ndarray, sigma: float) -> np.ndarray:
    """Weighted mean over the square of taps that lies inside the image."""
    radius = int((image.shape[1] // 10) / 2)
    blurred = np.empty(image.shape)
    for y, x in np.ndindex(image.shape[:2]):
        top, left = max(0, y - radius), max(0, x - radius)
        window = image[top : y + radius + 1, left : x + radius + 1].astype(np.float64)
        rows = np.arange(top, top + window.shape[0]) - y
        columns = np.arange(left, left + window.shape[1]) - x
        weights = np.exp(-(rows[:, None] ** 2 + columns[None] ** 2) / (2 * sigma**2))
        blurred[y, x] = (window * weights[..., None]).sum((0, 1)) / weights.sum()
    return blurred


def test_blur_is_the_nearest_level_of_a_slow_loop(images, run):
    wide = np.concatenate([images["noise"], images["noise"][::-1]] * 2, axis=1)
    chosen = {key: images[key] for key in SMALL_IMAGES} | {"wide": wide}
    cases = _cases(chosen, [0.1, 0.5, 1.1, 2.0])
    for (image, sigma), result in zip(cases, run(_op("rand_blur"), cases)):
        assert np.abs(result - _slow_blur(image, float(sigma))).max() < 0.5 + 0.02


def test_apply_op_runs_the_op_at_its_index(images, run):
    image = images["photograph"]
    value, fill, center = tf.constant(0.15), tf.constant(17), tf.constant([0.3, 0.7])
    cases = [(image, np.float32(index)) for index in range(len(ops.OPS))]
    results = run(
        lambda x, index: ops.apply_op(x, tf.cast(index, tf.int32), value, fill, center), cases
    )
    for op, result in zip(ops.OPS, results):
        expected = op.apply(tf.constant(image), value, fill, center)
        np.testing.assert_array_equal(result, expected, err_msg=op.name)


@pytest.mark.parametrize("shape", [[37, 53, 3], [37, None, 3], [None, None, 3]])
def test_static_shape_is_kept(shape):
    value, fill, center = tf.constant(0.15), tf.constant(17), tf.constant([0.3, 0.7])

    @tf.function(input_signature=[tf.TensorSpec(shape, tf.uint8)])
    def traced(image):
        chosen = ops.apply_op(image, tf.constant(3), value, fill, center)
        for result in [chosen, *(op.apply(image, value, fill, center) for op in ops.OPS)]:
            assert result.shape.as_list() == shape and result.dtype == tf.uint8
        return chosen

    traced.get_concrete_function()
