"""The colour chain on float images against numpy, colorsys and slow loops."""

import colorsys
import itertools

import numpy as np
import pytest
import tensorflow as tf

from ssl_tf.views import photometric
from ssl_tf.views.jitter import adjust_hue, adjust_saturation, jitter
from ssl_tf.views.layout import pixels, planes

STRENGTHS = (0.4, 0.4, 0.2, 0.1)


@pytest.fixture(scope="module")
def picture(images) -> np.ndarray:
    """float32 [8, 7, 3] in [0, 1]."""
    return images["photograph"][8:16, 26:33].astype(np.float32) / 255.0


def five(*seed) -> tf.Tensor:
    """float32 [5]: the random numbers of one jitter."""
    return tf.random.stateless_uniform([5], tf.stack(seed))


def _hsv(image, change):
    pixels = [
        colorsys.hsv_to_rgb(*change(*colorsys.rgb_to_hsv(*pixel)))
        for pixel in image.reshape(-1, 3).astype(np.float64)
    ]
    return np.reshape(pixels, image.shape)


def _add_brightness(image, delta):
    return np.clip(image + delta, 0, 1)


def _scale_brightness(image, factor):
    return np.clip(image * factor, 0, 1)


def _contrast(image, factor):
    mean = image.mean(axis=(0, 1), dtype=np.float64)
    return np.clip(mean + factor * (image - mean), 0, 1)


def _saturation(image, factor):
    return _hsv(image, lambda h, s, v: (h, min(1.0, factor * s), v))


def _hue(image, delta):
    return _hsv(image, lambda h, s, v: ((h + delta) % 1.0, s, v))


def on_planes(step):
    """A step of the jitter, which takes the channels apart, on an image."""

    def on_image(image, amount):
        image = tf.convert_to_tensor(image)
        return pixels(step(planes(image), amount), image)

    return on_image


REFERENCES = [
    (photometric.add_brightness, _add_brightness, [-0.4, -0.1, 0.0, 0.3, 0.8]),
    (photometric.adjust_contrast, _contrast, [0.0, 0.2, 1.0, 1.4, 1.8]),
    (on_planes(adjust_saturation), _saturation, [0.0, 0.2, 0.8, 1.0, 1.2, 1.8]),
    (on_planes(adjust_hue), _hue, [-0.5, -0.1, 0.0, 0.1, 0.2, 0.5]),
]


@pytest.mark.parametrize("step, reference, amounts", REFERENCES)
def test_steps_equal_numpy(step, reference, amounts, picture):
    traced = tf.function(step, input_signature=[tf.TensorSpec([None, None, 3]), tf.TensorSpec([])])
    for amount, image in itertools.product(amounts, [picture, picture[:1], picture[:1, :1]]):
        expected = reference(image, amount)
        np.testing.assert_allclose(step(image, tf.constant(amount)), expected, atol=2e-6)
        np.testing.assert_allclose(traced(image, amount), expected, atol=2e-6)
        assert 0.0 <= expected.min() and expected.max() <= 1.0


def test_contrast_equals_tensorflow(picture):
    for factor in (0.0, 0.6, 1.4):
        expected = np.clip(tf.image.adjust_contrast(picture, factor), 0, 1)
        np.testing.assert_allclose(
            photometric.adjust_contrast(picture, tf.constant(factor)), expected, atol=1e-6
        )


@pytest.mark.parametrize(
    "kind, first", [("additive", _add_brightness), ("multiplicative", _scale_brightness)]
)
def test_jitter_applies_the_four_steps_in_every_order(kind, first, picture):
    """The drawn amounts are known from the seed; exactly one order must explain the result."""
    image = picture[:2, :3]
    count = 150
    dataset = tf.data.Dataset.range(count).map(lambda i: jitter(image, five(i, 9), STRENGTHS, kind))
    assert dataset.element_spec.shape == image.shape
    references = (first, _contrast, _saturation, _hue)
    orders = list(itertools.permutations(range(4)))
    seen = set()
    for index, result in enumerate(dataset.as_numpy_iterator()):
        uniform = five(index, 9).numpy().astype(np.float64)
        low = [-0.4 if kind == "additive" else 0.6, 0.6, 0.8, -0.1]
        high = [0.4 if kind == "additive" else 1.4, 1.4, 1.2, 0.1]
        amounts = low + uniform[:4] * np.subtract(high, low)
        order = orders[int(uniform[4] * 24)]
        expected = image
        for step in order:
            expected = references[step](expected, amounts[step])
        np.testing.assert_allclose(result, expected, atol=1e-5)
        seen.add(order)
    assert len(seen) == 24


def test_jitter_draws_brightness_evenly():
    """3000 draws of U(-0.4, 0.4): mean, variance and every tenth of the range."""
    image = tf.fill([1, 1, 3], 0.5)
    drawn = np.array(
        [
            pixel[0, 0, 0] - 0.5
            for pixel in tf.data.Dataset.range(3000)
            .map(lambda i: jitter(image, five(i, 0), (0.4, 0, 0, 0), "additive"))
            .as_numpy_iterator()
        ]
    )
    assert abs(drawn.mean()) < 4 * 0.8 / np.sqrt(12 * 3000)
    counts = np.histogram(drawn, bins=10, range=(-0.4, 0.4))[0]
    assert counts.sum() == 3000 and ((counts - 300) ** 2 / 300).sum() < 27.9  # chi^2_9, 0.1 %


def test_jitter_of_no_strength_changes_nothing(picture):
    for kind in ("additive", "multiplicative"):
        result = jitter(picture, five(3, 4), (0.0, 0.0, 0.0, 0.0), kind)
        np.testing.assert_allclose(result, picture, atol=1e-6)


def test_jitter_refuses_what_it_does_not_know(picture):
    with pytest.raises(ValueError, match="brightness_kind"):
        jitter(picture, tf.zeros([5]), STRENGTHS, "gamma")
    with pytest.raises(ValueError, match="strengths"):
        jitter(picture, tf.zeros([5]), (0.4, 0.4, 0.2, 0.6), "additive")


def test_grayscale(picture):
    grey = picture @ np.float64([0.2989, 0.5870, 0.1140])
    result = photometric.grayscale(tf.constant(picture))
    assert result.shape == picture.shape
    np.testing.assert_allclose(result, np.repeat(grey[..., None], 3, axis=-1), atol=1e-6)


def _slow_blur(image, sigma, taps):
    radius = taps // 2
    blurred = np.empty(image.shape)
    for y, x in np.ndindex(image.shape[:2]):
        total, weight_sum = np.zeros(3), 0.0
        for v in range(max(0, y - radius), min(image.shape[0], y + radius + 1)):
            for u in range(max(0, x - radius), min(image.shape[1], x + radius + 1)):
                weight = np.exp(-((v - y) ** 2 + (u - x) ** 2) / (2 * sigma**2))
                total, weight_sum = total + weight * image[v, u], weight_sum + weight
        blurred[y, x] = total / weight_sum
    return blurred


@pytest.mark.parametrize("taps", [1, 3, 7, 23])
def test_blur_equals_a_slow_loop(taps, picture):
    traced = tf.function(
        photometric.gaussian_blur,
        input_signature=[
            tf.TensorSpec([None, None, 3]),
            tf.TensorSpec([]),
            tf.TensorSpec([], tf.int32),
        ],
    )
    for sigma, image in itertools.product([0.1, 0.7, 2.0], [picture, picture[:1], picture[:, :1]]):
        expected = _slow_blur(image, sigma, taps)
        np.testing.assert_allclose(
            photometric.gaussian_blur(tf.constant(image), sigma, taps), expected, atol=2e-4
        )
        np.testing.assert_allclose(traced(image, sigma, taps), expected, atol=2e-4)


def test_blur_keeps_a_constant_image_up_to_its_border():
    image = tf.fill([9, 13, 3], 0.7)
    np.testing.assert_allclose(photometric.gaussian_blur(image, 2.0, 23), image, atol=1e-6)


def test_solarize():
    image = tf.constant([[[0.0, 0.4, 0.5], [0.6, 0.9, 1.0]]])
    np.testing.assert_allclose(
        photometric.solarize(image), [[[0.0, 0.4, 0.5], [0.4, 0.1, 0.0]]], atol=1e-7
    )
    np.testing.assert_allclose(
        photometric.solarize(image, 0.95), [[[0.0, 0.4, 0.5], [0.6, 0.9, 0.0]]], atol=1e-7
    )


def test_uint8_and_float_convert_back_and_round_to_the_nearest_level():
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, axis=2)
    np.testing.assert_array_equal(
        photometric.to_uint8(photometric.to_float(tf.constant(levels))), levels
    )
    np.testing.assert_array_equal(
        photometric.to_uint8(tf.constant([0.0, 0.49 / 255, 0.51 / 255, 1.0])), [0, 0, 1, 255]
    )
