"""How functions of an image are put into graphs.

In the graph of a data set, which runs image by image, the number of nodes costs most. In the graph
of a training step, which runs on a batch, every node should take many images.
"""

import contextlib
import contextvars
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial, wraps

import tensorflow as tf

from ssl_tf.quiet import no_error_output
from ssl_tf.views.layout import gather_bytes, per_image

_EVERY_BRANCH = contextvars.ContextVar("every_branch", default=False)


def branch(function: Callable) -> Callable:
    """Makes `function` one node, for `tf.switch_case` and `tf.cond` inside a data set.

    TensorFlow inlines the branches of a conditional into one graph and sends a dead token through
    every node of the branches not taken. With 23 operations that costs as much as a cheap
    operation. A call that is not inlined is one node, and all views and slots share its graph.
    """
    return tf.function(function, autograph=False, experimental_attributes={"_noinline": True})


def choose(
    index: tf.Tensor, branches: Sequence[Callable[..., tf.Tensor]], *arguments: tf.Tensor
) -> tf.Tensor:
    """`branches[index](*arguments)`, for one image or for each image of a batch.

    For a batch each branch runs once, on the images that chose it; under `every_branch` on all of
    them.

    Args:
        index: int32, scalar or [N].
        branches: functions of `arguments`, whose results have one dtype and one shape an image.
        arguments: tensors, each [N, ...] for a batch.
    """
    if len(index.shape) == 0:
        return tf.switch_case(index, [partial(branch, *arguments) for branch in branches])
    if _EVERY_BRANCH.get():
        made = branches[0](*arguments)
        for number, branch in enumerate(branches[1:], start=1):
            chosen = per_image(index == number, len(made.shape) - 1)
            made = tf.where(chosen, branch(*arguments), made)
        return made
    groups = tf.dynamic_partition(tf.range(tf.size(index)), index, len(branches))
    made = [
        branch(*(_rows(argument, group) for argument in arguments))
        for branch, group in zip(branches, groups)
    ]
    kind = made[0].dtype
    if kind == tf.uint8:
        # TensorFlow has no GPU kernel that stitches bytes; float16 holds them exactly.
        made = [tf.cast(part, tf.float16) for part in made]
    return tf.cast(tf.dynamic_stitch(groups, made), kind)


@contextlib.contextmanager
def every_branch() -> Iterator[None]:
    """`choose` computes all branches for all images of a batch, in graphs that are made inside.

    XLA takes this form alone, and fuses the branches into one pass. Without XLA, a GPU waits for
    the host at each `choose`, to learn how many images chose a branch.
    """
    token = _EVERY_BRANCH.set(True)
    try:
        yield
    finally:
        _EVERY_BRANCH.reset(token)


def _rows(values: tf.Tensor, group: tf.Tensor) -> tf.Tensor:
    return (gather_bytes if values.dtype == tf.uint8 else tf.gather)(values, group)


def compiled(function: Callable) -> Callable:
    """Compiles `function(image, ...)` with XLA for one image (rank below 4) of static size.

    The compiled function passes over the image once instead of once a node. Images of unknown size
    and batches run uncompiled, since XLA would compile every size anew. Graphs for a GPU run
    uncompiled, too: nodes are cheap there, and XLA needs tools that not every installation has.

    XLA contracts a product and a sum into one rounding. So no function may round a product in
    float32 and add to it; integers and products that are exact in float64 give the same result.
    """
    fast = tf.function(function, jit_compile=True, autograph=False)

    @wraps(function)
    def call(image: tf.Tensor, *numbers: tf.Tensor) -> tf.Tensor:
        image = tf.identity(image)
        known = len(image.shape) < 4 and image.shape.is_fully_defined()
        known = known and "GPU" not in image.device
        if known:
            _announce_xla()
        return (fast if known else function)(image, *numbers)

    return call


@cache
def _announce_xla() -> None:
    """Compiles a first function with the error output closed.

    TensorFlow tells of the first use of XLA in two lines that no setting turns off.
    """
    with no_error_output(), tf.init_scope(), tf.device("CPU:0"):
        tf.function(lambda x: x + 1, jit_compile=True, autograph=False)(tf.constant(1))
