"""The colour jitter and the chains of Pillow's arithmetic against Pillow, to the byte.

Torchvision's transforms of PIL images are calls of Pillow; `torchvision_jitter` makes the same
calls. What torchvision itself gave for some colours stands in `STORED`.
"""

import itertools

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from ssl_tf.views import chains, enhancement
from ssl_tf.views.enhancement import pillow_jitter
from ssl_tf.views.layout import per_image, pixels, planes
from tests.views.test_chains import batch_of, traced

ORDERS = list(itertools.permutations(range(4)))


def hue_by_pillow(image: Image.Image, factor: float) -> Image.Image:
    hue, saturation, value = image.convert("HSV").split()
    turned = (np.asarray(hue).astype(int) + int(255 * factor)) % 256
    bands = (Image.fromarray(turned.astype(np.uint8)), saturation, value)
    return Image.merge("HSV", bands).convert("RGB")


STEPS = (
    lambda image, factor: ImageEnhance.Brightness(image).enhance(factor),
    lambda image, factor: ImageEnhance.Contrast(image).enhance(factor),
    lambda image, factor: ImageEnhance.Color(image).enhance(factor),
    hue_by_pillow,
)


def on_bytes(step):
    """A step of the jitter, which takes the channels apart, on an image or a batch."""

    def on_image(image, amount):
        image = tf.convert_to_tensor(image)
        made = step(tf.cast(planes(image), tf.float32), per_image(amount))
        return tf.cast(pixels(made, image), tf.uint8)

    return on_image


turn_hue = on_bytes(enhancement.turn_hue)


def torchvision_jitter(image: np.ndarray, amounts, order) -> np.ndarray:
    made = Image.fromarray(image)
    for step in order:
        made = STEPS[step](made, float(amounts[step]))
    return np.asarray(made)


def drawn(uniform, strengths):
    """The amounts, as ColorJitter draws them, and the order."""
    low = np.float32([*(max(0, 1 - s) for s in strengths[:3]), -strengths[3]])
    high = np.float32([*(1 + s for s in strengths[:3]), strengths[3]])
    return low + uniform[:4] * (high - low), ORDERS[int(uniform[4] * 24)]


def test_the_hue_equals_pillows_for_colours_of_all_kinds():
    rng = np.random.default_rng(2)
    colours = rng.integers(0, 256, [128, 192, 3], np.uint8)
    colours[:16] = colours[:16] // 64 * 85  # faces, edges and corners of the cube
    colours[16:32] = colours[16:32, :, :1] + rng.integers(0, 3, [16, 192, 3], np.uint8)
    for factor in (-0.5, -0.1, 0.0, 0.003, 0.2, 0.5):
        factor = np.float32(factor)
        expected = np.asarray(hue_by_pillow(Image.fromarray(colours), float(factor)))
        made = turn_hue(tf.constant(colours), tf.constant(factor))
        np.testing.assert_array_equal(made, expected, err_msg=f"{factor}")
        batch = traced(turn_hue, colours[np.newaxis], np.full(1, factor))
        np.testing.assert_array_equal(batch, expected[np.newaxis], err_msg=f"{factor}")


def test_the_jitter_equals_pillows_in_every_order(images):
    strengths = (0.4, 0.4, 0.4, 0.1)
    jitter = tf.function(lambda image, uniform: pillow_jitter(image, uniform, strengths))
    uniform = np.random.default_rng(5).random([24, 5], np.float32)
    uniform[:, 4] = (np.arange(24) + 0.5) / 24
    for name in ("photograph", "pixel"):
        image = images[name]
        expected = [torchvision_jitter(image, *drawn(u, strengths)) for u in uniform]
        made = [jitter(tf.constant(image), tf.constant(u)) for u in uniform]
        np.testing.assert_array_equal(made, expected, err_msg=name)
        together = traced(jitter, np.stack([image] * 24), uniform)
        np.testing.assert_array_equal(together, expected, err_msg=name)
    assert len({drawn(u, strengths)[1] for u in uniform}) == 24


def chain_by_pillow(chain: chains.Chain, image: np.ndarray, uniform: np.ndarray) -> np.ndarray:
    strengths = (chain.brightness, chain.contrast, chain.saturation, chain.hue)
    if uniform[0] < chain.jitter:
        image = torchvision_jitter(image, *drawn(uniform[5:], strengths))
    made = Image.fromarray(image)
    if uniform[1] < chain.grey:
        made = made.convert("L").convert("RGB")
    if uniform[2] < chain.blur:
        sigma = np.float32(0.1) + np.float32(1.9) * uniform[4]
        made = made.filter(ImageFilter.GaussianBlur(float(sigma)))
    if uniform[3] < chain.solarize:
        made = ImageOps.solarize(made)
    return np.asarray(made)


@pytest.mark.parametrize("strategy", ["moco", "simclr", "byol_t_prime"])
def test_a_chain_equals_pillows_alone_and_in_a_batch(strategy, images):
    chain = chains.chain(strategy, library="pillow")
    batch = batch_of(images["large photograph"][:40, :44], 40)
    uniform = np.random.default_rng(3).random([40, chains.DRAWS], np.float32)
    expected = [chain_by_pillow(chain, x, u) for x, u in zip(batch, uniform)]
    np.testing.assert_array_equal(traced(chain, batch, uniform), expected)
    alone = tf.data.Dataset.from_tensor_slices((batch, uniform)).map(chain)
    np.testing.assert_array_equal(list(alone.as_numpy_iterator()), expected)
    assert np.mean(expected != batch) > 0.5


# Red, green, blue, and colours of a photograph.
COLOURS = np.uint8(
    [[[255, 0, 0], [0, 255, 0], [0, 0, 255], [12, 200, 90], [250, 245, 225], [40, 41, 44]]]
)
# torchvision.transforms.functional of PIL images: adjust_NAME(image, factor).
STORED = {
    ("brightness", 0.6): [
        [153, 0, 0], [0, 153, 0], [0, 0, 153], [7, 120, 54], [150, 147, 135], [24, 24, 26],
    ],
    ("brightness", 1.4): [
        [255, 0, 0], [0, 255, 0], [0, 0, 255], [16, 255, 126], [255, 255, 255], [56, 57, 61],
    ],
    ("contrast", 0.6): [
        [197, 44, 44], [44, 197, 44], [44, 44, 197], [51, 164, 98], [194, 191, 179], [68, 69, 71],
    ],
    ("contrast", 1.4): [
        [255, 0, 0], [0, 255, 0], [0, 0, 255], [0, 235, 81], [255, 255, 255], [11, 12, 16],
    ],
    ("saturation", 0.6): [
        [183, 30, 30], [60, 213, 60], [11, 11, 164], [59, 172, 106], [247, 244, 232], [40, 41, 42],
    ],
    ("saturation", 1.8): [
        [255, 0, 0], [0, 255, 0], [0, 0, 255], [0, 255, 57], [254, 245, 209], [39, 41, 46],
    ],
    ("hue", -0.1): [
        [255, 0, 144], [150, 255, 0], [0, 150, 255], [48, 200, 13], [250, 231, 225], [40, 43, 44],
    ],
    ("hue", 0.2): [
        [204, 255, 0], [0, 204, 255], [255, 0, 204], [13, 88, 200], [225, 250, 225], [44, 40, 44],
    ],
}  # fmt: skip


@pytest.mark.parametrize("name, factor", STORED)
def test_steps_equal_what_torchvision_gave(name, factor):
    step = {
        "brightness": enhancement.scale_brightness,
        "contrast": enhancement.adjust_contrast,
        "saturation": enhancement.adjust_saturation,
        "hue": enhancement.turn_hue,
    }[name]
    made = on_bytes(step)(COLOURS, tf.constant(factor))
    np.testing.assert_array_equal(made[0], STORED[name, factor])
