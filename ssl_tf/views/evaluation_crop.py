"""The view of an image in evaluation: resized and centre-cropped, without randomness."""

import tensorflow as tf

# Sides above this are cropped from a larger image: 224 from 256 (BYOL C.1, SimCLR B.6). Images as
# small as those of CIFAR have no border to spare.
_SMALL = 64


def resized_side(size: int) -> int:
    """The short side, in pixels, of the image of which `evaluation_crop` takes the centre."""
    return size if size <= _SMALL else round(size * 256 / 224)


def evaluation_crop(image: tf.Tensor, size: int, whole: bool = False) -> tf.Tensor:
    """Resizes the short side, then crops the centre square; both in one step, bicubic.

    Args:
        image: uint8 [H, W, 3].
        size: side of the result. Above 64 pixels the short side becomes size * 256 / 224, up to 64
            pixels it becomes size.
        whole: whether the short side becomes size at any size.

    Returns:
        uint8 [size, size, 3]; an image that has this size already is returned unchanged.
    """
    height, width = tf.unstack(tf.shape(image)[:2])
    short = tf.minimum(height, width)
    # The side, in source pixels, of the centre crop of the resized image.
    side = short if whole or size <= _SMALL else tf.cast(tf.round(short * 224 / 256), tf.int32)
    side = tf.maximum(side, 1)
    top, left = (height - side) // 2, (width - side) // 2
    square = image[top : top + side, left : left + side]

    def resize() -> tf.Tensor:
        # Antialiased, like the resizing of image libraries that evaluation protocols use.
        resized = tf.image.resize(square, (size, size), method="bicubic", antialias=True)
        return tf.cast(tf.clip_by_value(tf.round(resized), 0.0, 255.0), tf.uint8)

    same = tf.equal(side, size)
    return tf.ensure_shape(tf.cond(same, lambda: square, resize), (size, size, 3))
