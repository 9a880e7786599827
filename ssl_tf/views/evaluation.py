"""The one view of an image that evaluation takes: resized, centre-cropped, nothing random."""

import tensorflow as tf

# At 224 the short side becomes 256 first (the protocol of BYOL C.1 and SimCLR B.6); images of data
# sets as small as CIFAR have no border to spare.
_SMALL = 64


def evaluation_crop(image: tf.Tensor, size: int, whole: bool = False) -> tf.Tensor:
    """uint8 [H, W, 3] -> uint8 [size, size, 3].

    Above 64 pixels: the short side to size * 256 / 224, then the centre square, in one step. Up to
    64, and where the `whole` centre square is asked for: the short side to size, then the centre
    square. Bicubic; an image that has the size already is left alone.
    """
    height, width = tf.unstack(tf.shape(image)[:2])
    short = tf.minimum(height, width)
    # The source square that the centre crop of the resized image stands for.
    side = short if whole or size <= _SMALL else tf.cast(tf.round(short * 224 / 256), tf.int32)
    side = tf.maximum(side, 1)
    top, left = (height - side) // 2, (width - side) // 2
    square = image[top : top + side, left : left + side]

    def resize() -> tf.Tensor:
        # Antialiased, as image libraries resize photographs for evaluation.
        resized = tf.image.resize(square, (size, size), method="bicubic", antialias=True)
        return tf.cast(tf.clip_by_value(tf.round(resized), 0.0, 255.0), tf.uint8)

    same = tf.equal(side, size)
    return tf.ensure_shape(tf.cond(same, lambda: square, resize), (size, size, 3))
