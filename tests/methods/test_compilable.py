"""Losses, gradients and states of every method can be compiled by XLA, as on one GPU."""

import pytest
import tensorflow as tf
from tensorflow.python.framework import kernels

from ssl_tf.networks import resnet
from ssl_tf.settings.methods import METHODS
from tests.methods.small_methods import CLASSES, SMALL, make, object_batch, sized_views
from tests.two_blocks import TWO_BLOCKS


def operations(method, batch):
    """The operations of the losses of a step, of its gradients and of what follows it."""

    def step():
        with tf.GradientTape() as tape:
            losses, kept = method.forward(batch, True)
            loss = tf.add_n([tf.reduce_mean(loss) for loss in losses.values()])
        method.after_step(tf.constant(0, tf.int64), kept)
        return tape.gradient(loss, method.learned_variables)

    graph = tf.function(step, autograph=False).get_concrete_function().graph.as_graph_def()
    own = {function.signature.name for function in graph.library.function}
    nodes = [*graph.node, *(node for f in graph.library.function for node in f.node_def)]
    return {node.op for node in nodes} - own - {"Placeholder"}


def without_xla(operation):
    """Whether an operation has kernels, but none in XLA's programs for GPUs."""
    devices = {k.device_type for k in kernels.get_registered_kernels_for_op(operation).kernel}
    return bool(devices) and "XLA_GPU_JIT" not in devices


@pytest.mark.parametrize("name", METHODS)
def test_all_operations_of_a_step_have_kernels_of_xla(name, monkeypatch):
    monkeypatch.setitem(resnet.DEPTHS, 18, TWO_BLOCKS)
    tf.function(lambda x: x + 1, jit_compile=True)(tf.constant(1.0))  # which registers them
    row, small = METHODS[name], SMALL[name]
    flags = [f"--method={name}", *small.flags]
    batch = {"views": sized_views(small.sides), "label": tf.range(8, dtype=tf.int64) % CLASSES}
    if row.queue:
        flags += ["--batch_norm=shuffled", "--crops=object_dilated", "--recipe=moco"]
        flags += ["--pretext=rotation,localization", "--projection_heads=per_view"]
        batch = object_batch()
    found = operations(make(*flags, num_classes=CLASSES), batch)
    assert "Conv2D" in found and without_xla("StatelessShuffle")
    assert [operation for operation in sorted(found) if without_xla(operation)] == []
