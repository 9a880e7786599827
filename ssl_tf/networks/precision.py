"""The numbers that networks compute with."""

import contextlib
from collections.abc import Iterator

import tensorflow as tf


@contextlib.contextmanager
def policy_scope(policy: str) -> Iterator[None]:
    """Networks built inside compute by this Keras policy: float32, mixed_bfloat16, mixed_float16.

    Their weights, batch statistics and pooled features stay float32, as do losses. A layer keeps
    the policy it was built under, so nothing else of the process changes.
    """
    before = tf.keras.mixed_precision.global_policy()
    tf.keras.mixed_precision.set_global_policy(policy)
    try:
        yield
    finally:
        tf.keras.mixed_precision.set_global_policy(before)


@contextlib.contextmanager
def full_float32() -> Iterator[None]:
    """All of float32: GPUs otherwise round the factors of a product to 10 bits (TF32)."""
    before = tf.config.experimental.tensor_float_32_execution_enabled()
    tf.config.experimental.enable_tensor_float_32_execution(False)
    try:
        yield
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(before)
