"""Resizing against Pillow, to the byte."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from ssl_tf.views.crops import crop_and_resize
from ssl_tf.views.resampling import pillow_resize

FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


def by_pillow(image: np.ndarray, size: int, interpolation: str) -> np.ndarray:
    return np.asarray(Image.fromarray(image).resize((size, size), FILTERS[interpolation]))


@pytest.mark.parametrize("size", [1, 8, 31])
@pytest.mark.parametrize("interpolation", FILTERS)
def test_equals_pillow(interpolation, size, images):
    # Shorter, longer, both at once, and as it is, in each direction.
    noise = np.random.default_rng(3).integers(0, 256, [97, 131, 3], np.uint8)
    cuts = [(97, 131), (31, 131), (97, 31), (31, 31), (8, 8), (16, 62), (13, 90), (32, 9), (95, 2)]
    chosen = [*images.values(), *(np.ascontiguousarray(noise[:h, :w]) for h, w in cuts)]
    traced = tf.function(
        lambda image: pillow_resize(image, size, interpolation),
        input_signature=[tf.TensorSpec([None, None, 3], tf.uint8)],
    )
    for image in chosen:
        made = traced(image)
        assert made.shape == (size, size, 3) and made.dtype == tf.uint8
        expected = by_pillow(image, size, interpolation)
        np.testing.assert_array_equal(made, expected, err_msg=f"{image.shape}")
    made = pillow_resize(tf.constant(noise), size, interpolation)
    np.testing.assert_array_equal(made, by_pillow(noise, size, interpolation))


def test_equals_what_torchvision_gave():
    """torchvision 0.28: F.resized_crop(PIL image, top 3, left 5, 18 high, 22 wide, [5, 5])."""
    image = np.random.default_rng(0).integers(0, 256, [24, 40, 3], np.uint8)
    first_rows = {
        "bilinear": [[118, 149, 107], [125, 107, 121], [147, 111, 133], [119, 90, 126],
                     [116, 124, 147]],
        "bicubic": [[117, 152, 105], [127, 103, 122], [150, 112, 132], [117, 84, 125],
                    [115, 125, 150]],
    }  # fmt: skip
    for interpolation, row in first_rows.items():
        crop = tf.constant([3, 5, 18, 22])
        made = crop_and_resize(tf.constant(image), crop, 5, interpolation, "pillow")
        np.testing.assert_array_equal(made[0], row)


def test_extremes_are_clipped_in_each_pass():
    edge = np.zeros([40, 60, 3], np.uint8)
    edge[::3] = 255
    edge[:, ::4] = 255 - edge[:, ::4]
    made = pillow_resize(tf.constant(edge), 90, "bicubic").numpy()
    np.testing.assert_array_equal(made, by_pillow(edge, 90, "bicubic"))
    assert made.min() == 0 and made.max() == 255


@pytest.mark.parametrize("interpolation", FILTERS)
def test_nothing_outside_of_a_crop_is_seen(interpolation, images):
    image = images["large photograph"]
    for top, left, height, width in ((5, 7, 40, 30), (0, 0, 64, 48), (63, 0, 1, 48), (1, 2, 9, 9)):
        made = crop_and_resize(
            tf.constant(image), tf.constant([top, left, height, width]), 24, interpolation, "pillow"
        )
        box = (left, top, left + width, top + height)
        cut = np.asarray(Image.fromarray(image).crop(box))
        np.testing.assert_array_equal(made, by_pillow(cut, 24, interpolation))
