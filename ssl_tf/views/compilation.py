"""How functions of an image are put into the graph of a data set, where small nodes cost most."""

from collections.abc import Callable

import tensorflow as tf


def branch(function: Callable) -> Callable:
    """`function` as one node, for `tf.switch_case` and `tf.cond` inside a data set.

    TensorFlow lays the branches of a conditional out in one graph and sends a token through every
    node of those not taken. With 23 operations that costs as much as a cheap operation; a call
    that is not inlined is one node, and its graph exists once for all views and slots.
    """
    return tf.function(function, autograph=False, experimental_attributes={"_noinline": True})


def compiled(function: Callable) -> Callable:
    """`function(image, ...)`, compiled by XLA where the image's size is known.

    One pass over the image instead of one a node. Graphs for any size, which would be compiled
    anew for each, run it as it stands; so do those for a GPU, where nodes are cheap and XLA needs
    tools that not every installation has.

    XLA contracts a product and a sum into one rounding. So no function may round a product in
    float32 and add to it: integers, or a product that is exact in float64, stay the same.
    """
    fast = tf.function(function, jit_compile=True, autograph=False)

    def call(image: tf.Tensor, *numbers: tf.Tensor) -> tf.Tensor:
        image = tf.identity(image)
        known = image.shape.is_fully_defined() and "GPU" not in image.device
        return (fast if known else function)(image, *numbers)

    return call
