"""The blur against Pillow's, to the byte."""

import numpy as np
import tensorflow as tf
from PIL import Image, ImageFilter

from ssl_tf.views.box_blur import pillow_blur

SIGMAS = np.float32([0.1, 0.25, 0.5, 0.7071, 0.99, 1.0, 1.2, 1.38, 1.4142135, 1.415, 1.7, 2.0])


def by_pillow(image: np.ndarray, sigma: float) -> np.ndarray:
    return np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(float(sigma))))


def test_equals_pillow(images, run):
    cases = [(image, sigma) for image in images.values() for sigma in SIGMAS]
    for (image, sigma), result in zip(cases, run(pillow_blur, cases)):
        expected = by_pillow(image, sigma)
        np.testing.assert_array_equal(result, expected, err_msg=f"{image.shape}, {sigma}")


def test_equals_pillow_at_any_sigma(images):
    # The edges of light and dark show the last bit of a weight.
    image = np.where(images["noise"] > 127, 255, 0).astype(np.uint8)
    blur = tf.function(pillow_blur)
    for sigma in np.random.default_rng(1).uniform(0.1, 2.0, 200).astype(np.float32):
        made = blur(tf.constant(image), tf.constant(sigma))
        np.testing.assert_array_equal(made, by_pillow(image, sigma), err_msg=f"{sigma}")


def test_each_image_of_a_batch_has_its_own_sigma(images):
    batch = np.stack([np.roll(images["photograph"], i, axis=1) for i in range(len(SIGMAS))])
    traced = tf.function(
        pillow_blur,
        input_signature=[tf.TensorSpec([None, 37, 53, 3], tf.uint8), tf.TensorSpec([None])],
    )
    expected = [by_pillow(image, sigma) for image, sigma in zip(batch, SIGMAS)]
    np.testing.assert_array_equal(traced(batch, SIGMAS), expected)
