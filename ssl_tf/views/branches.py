"""Branches of conditionals, kept out of the graph that chooses between them."""

from collections.abc import Callable

import tensorflow as tf


def branch(function: Callable) -> Callable:
    """`function` as one node, for `tf.switch_case` and `tf.cond` inside a data set.

    TensorFlow lays the branches of a conditional out in one graph and sends a token through every
    node of those not taken. With 23 operations that costs as much as a cheap operation; a call
    that is not inlined is one node, and its graph exists once for all views and slots.
    """
    return tf.function(function, autograph=False, experimental_attributes={"_noinline": True})
