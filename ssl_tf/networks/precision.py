"""Precision: Keras's dtype policy, and float32 without TF32."""

import contextlib
from collections.abc import Iterator

import tensorflow as tf


@contextlib.contextmanager
def policy_scope(policy: str) -> Iterator[None]:
    """Networks built inside have this Keras dtype policy: float32, mixed_bfloat16, mixed_float16.

    Weights, batch statistics, pooled features and losses stay float32. A layer keeps the policy it
    was built under, so nothing else in the process changes.
    """
    before = tf.keras.mixed_precision.global_policy()
    tf.keras.mixed_precision.set_global_policy(policy)
    try:
        yield
    finally:
        tf.keras.mixed_precision.set_global_policy(before)


def activation_bytes(precision: str) -> float:
    """Bytes of a number of an activation under a precision of `--precision`."""
    return 2.0 if precision.startswith("mixed") else 4.0


def full_dtype() -> str:
    """The type of weights and inputs under the present policy: float32, or float64.

    An input of `tf.keras.Input` without a type is float32 under every policy, and rounds to it.
    """
    return tf.keras.mixed_precision.global_policy().variable_dtype


def full_precision(x: tf.Tensor | tf.Variable) -> tf.Tensor:
    """Half precision raised to float32, for losses and norms; float32 and float64 as they are."""
    x = tf.convert_to_tensor(x)
    return x if x.dtype == tf.float64 else tf.cast(x, tf.float32)


@contextlib.contextmanager
def full_float32() -> Iterator[None]:
    """TF32 is off inside; with it GPUs round the factors of a float32 product to 10 bits."""
    before = tf.config.experimental.tensor_float_32_execution_enabled()
    tf.config.experimental.enable_tensor_float_32_execution(False)
    try:
        yield
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(before)
