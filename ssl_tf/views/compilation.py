"""How functions of an image are put into graphs.

In that of a data set, image by image, small nodes cost most; in that of a training step, on a batch
of images, what counts is that every node takes many of them.
"""

from collections.abc import Callable, Sequence
from functools import partial, wraps

import tensorflow as tf

from ssl_tf.views.layout import gather_bytes


def branch(function: Callable) -> Callable:
    """`function` as one node, for `tf.switch_case` and `tf.cond` inside a data set.

    TensorFlow lays the branches of a conditional out in one graph and sends a token through every
    node of those not taken. With 23 operations that costs as much as a cheap operation; a call
    that is not inlined is one node, and its graph exists once for all views and slots.
    """
    return tf.function(function, autograph=False, experimental_attributes={"_noinline": True})


def choose(
    index: tf.Tensor, branches: Sequence[Callable[..., tf.Tensor]], *arguments: tf.Tensor
) -> tf.Tensor:
    """`branches[index](*arguments)`, of one image or of each image of a batch.

    Args:
        index: int32 scalar; or int32 [N], for a batch: each branch is computed once, on the images
            that chose it and on no other.
        branches: functions of `arguments`, all to results of one type and one shape an image.
        arguments: tensors; for a batch each [N, ...].
    """
    if len(index.shape) == 0:
        return tf.switch_case(index, [partial(branch, *arguments) for branch in branches])
    groups = tf.dynamic_partition(tf.range(tf.size(index)), index, len(branches))
    made = [
        branch(*(_rows(argument, group) for argument in arguments))
        for branch, group in zip(branches, groups)
    ]
    kind = made[0].dtype
    if kind == tf.uint8:
        # GPUs stitch no bytes.
        made = [tf.cast(part, tf.float16) for part in made]
    return tf.cast(tf.dynamic_stitch(groups, made), kind)


def _rows(values: tf.Tensor, group: tf.Tensor) -> tf.Tensor:
    return (gather_bytes if values.dtype == tf.uint8 else tf.gather)(values, group)


def compiled(function: Callable) -> Callable:
    """`function(image, ...)`, compiled by XLA for one image of known size, not of rank 4.

    One pass over the image instead of one a node. Graphs for any size, and batches of any number,
    which would be compiled anew for each, run it as it stands; so do graphs for a GPU, where nodes
    are cheap and XLA needs tools that not every installation has.

    XLA contracts a product and a sum into one rounding. So no function may round a product in
    float32 and add to it: integers, or a product that is exact in float64, stay the same.
    """
    fast = tf.function(function, jit_compile=True, autograph=False)

    @wraps(function)
    def call(image: tf.Tensor, *numbers: tf.Tensor) -> tf.Tensor:
        image = tf.identity(image)
        known = len(image.shape) < 4 and image.shape.is_fully_defined()
        known = known and "GPU" not in image.device
        return (fast if known else function)(image, *numbers)

    return call
