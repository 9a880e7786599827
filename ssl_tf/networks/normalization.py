"""Pixels as the encoders want them."""

import tensorflow as tf

# ImageNet statistics in [0, 1] units; BYOL, MoCo and their successors normalize by them whatever
# the data set, and a stem that is followed by batch normalization hardly notices the difference.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


def normalize_images(images: tf.Tensor) -> tf.Tensor:
    """uint8 [..., 3] -> float32 [..., 3]: (x / 255 - MEAN) / STD."""
    return (tf.cast(images, tf.float32) / 255.0 - MEAN) / STD
