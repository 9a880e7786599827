"""The normalization of images for the encoders."""

import tensorflow as tf

# ImageNet statistics, for pixels in [0, 1]. BYOL, MoCo and their successors use them for every data
# set; behind the stem, batch normalization removes most of the difference.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


def normalize_images(images: tf.Tensor) -> tf.Tensor:
    """The images of uint8 [..., 3] as float32 [..., 3]: (x / 255 - MEAN) / STD."""
    return (tf.cast(images, tf.float32) / 255.0 - MEAN) / STD
