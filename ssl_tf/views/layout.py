"""Layouts of one image or of a batch on which TensorFlow vectorizes its arithmetic.

Images are [..., H, W, 3]: a single image is [H, W, 3], a batch [N, H, W, 3]. A parameter is a
scalar for a single image and [N] for a batch.
"""

import tensorflow as tf


def lines(image: tf.Tensor) -> tf.Tensor:
    """Reshapes to [..., H, W * 3], on which a vector of W * 3 broadcasts fast."""
    shape = tf.shape(image)
    return tf.reshape(image, tf.concat([shape[:-2], 3 * shape[-2:-1]], axis=0))


def planes(image: tf.Tensor) -> tf.Tensor:
    """Transposes to [3, 1, H * W] or [N, 3, H, W]; arithmetic on whole channels is vectorized."""
    if len(image.shape) == 4:
        return tf.transpose(image, [0, 3, 1, 2])
    return tf.transpose(tf.reshape(image, [1, -1, 3]), [2, 0, 1])


def pixels(planes: tf.Tensor, image: tf.Tensor) -> tf.Tensor:
    """The inverse of `planes`, in the shape of `image`."""
    order = [0, 2, 3, 1] if len(image.shape) == 4 else [1, 2, 0]
    return shaped(tf.transpose(planes, order), image)


def shaped(values: tf.Tensor, image: tf.Tensor) -> tf.Tensor:
    """Reshapes `values` to the shape of `image`, including the static shape."""
    made = tf.reshape(values, tf.shape(image))
    made.set_shape(image.shape)
    return made


def per_image(number: tf.Tensor, rank: int = 3) -> tf.Tensor:
    """Reshapes a parameter to broadcast over `rank` dimensions: a scalar, or [N, 1, ...]."""
    number = tf.convert_to_tensor(number)
    return tf.reshape(number, [-1] + [1] * rank) if number.shape.rank else number


def index_type(image: tf.Tensor) -> tf.DType:
    """The dtype of integers, one a pixel.

    Single images use int32, twice as fast as int64 on a CPU. Batches use int64: TensorFlow treats
    int32 on a GPU as shapes and adds and multiplies them on the host.
    """
    return tf.int32 if len(image.shape) == 3 else tf.int64


def gather_bytes(values: tf.Tensor, index: tf.Tensor) -> tf.Tensor:
    """`tf.gather` of uint8 through float16, which holds bytes exactly; GPUs gather no bytes."""
    return tf.cast(tf.gather(tf.cast(values, tf.float16), index), tf.uint8)
