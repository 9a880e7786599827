"""The pixels of one image or of a batch, laid out so that arithmetic on them runs in vectors.

Images are [..., H, W, 3]: [H, W, 3] alone, [N, H, W, 3] in a batch, which brings one number an
image for every parameter, [N], where an image alone brings a scalar.
"""

import tensorflow as tf


def lines(image: tf.Tensor) -> tf.Tensor:
    """[..., H, W * 3]: with the channels in the lines, a vector of W * 3 broadcasts fast."""
    shape = tf.shape(image)
    return tf.reshape(image, tf.concat([shape[:-2], 3 * shape[-2:-1]], axis=0))


def planes(image: tf.Tensor) -> tf.Tensor:
    """[3, 1, H * W] or [N, 3, H, W]: channels apart are taken in vectors, within pixels singly."""
    if len(image.shape) == 4:
        return tf.transpose(image, [0, 3, 1, 2])
    return tf.transpose(tf.reshape(image, [1, -1, 3]), [2, 0, 1])


def pixels(planes: tf.Tensor, image: tf.Tensor) -> tf.Tensor:
    """The inverse of `planes`, in the shape of `image`."""
    order = [0, 2, 3, 1] if len(image.shape) == 4 else [1, 2, 0]
    return shaped(tf.transpose(planes, order), image)


def shaped(values: tf.Tensor, image: tf.Tensor) -> tf.Tensor:
    """`values` in the shape of `image`, known statically as far as that of `image` is."""
    made = tf.reshape(values, tf.shape(image))
    made.set_shape(image.shape)
    return made


def per_image(number: tf.Tensor, rank: int = 3) -> tf.Tensor:
    """The parameter of each image against its `rank` dimensions: a scalar, or [N, 1, ...]."""
    number = tf.convert_to_tensor(number)
    return tf.reshape(number, [-1] + [1] * rank) if number.shape.rank else number


def index_type(image: tf.Tensor) -> tf.DType:
    """Of whole numbers, one a pixel: int32, twice as fast as int64 on a processor.

    Batches are made for GPUs, on which TensorFlow takes int32 for shapes: it adds and multiplies
    them in the memory of the host.
    """
    return tf.int32 if len(image.shape) == 3 else tf.int64


def gather_bytes(values: tf.Tensor, index: tf.Tensor) -> tf.Tensor:
    """`tf.gather` of uint8, by way of float16, which holds them: GPUs gather no bytes."""
    return tf.cast(tf.gather(tf.cast(values, tf.float16), index), tf.uint8)
