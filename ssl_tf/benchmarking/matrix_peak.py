"""The rate at which a device multiplies large matrices: the peak to hold a step against."""

import time

import tensorflow as tf

_DTYPES = {"mixed_bfloat16": tf.bfloat16, "mixed_float16": tf.float16}
# Large enough to fill the device, small enough for its memory.
_SIDE_GPU, _SIDE_CPU = 8192, 1024
_REPETITIONS = 5


def matrix_peak(precision: str) -> float:
    """Floating-point operations a second of the best of some products of square matrices.

    A multiplication and an addition are two operations.

    Args:
        precision: of the factors, a dtype policy; TF32 is as the process has it.
    """
    side = _SIDE_GPU if tf.config.get_visible_devices("GPU") else _SIDE_CPU
    factor = tf.random.normal([side, side], dtype=_DTYPES.get(precision, tf.float32))

    @tf.function(autograph=False)
    def product() -> tf.Tensor:
        # One number is fetched, so that the product is measured and not its copy.
        return tf.reduce_max(tf.matmul(factor, factor)[0])

    product().numpy()
    seconds = []
    for _ in range(_REPETITIONS):
        began = time.perf_counter()
        product().numpy()
        seconds.append(time.perf_counter() - began)
    return 2.0 * side**3 / min(seconds)
