"""Gradient accumulation: a large batch in parts that fit the device."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

Structure = Any


def accumulated(
    compute: Callable[[Structure], tuple[Structure, Structure, Structure]],
    batch: Structure,
    parts: int,
) -> tuple[Structure, Structure, Structure]:
    """Calls a function on equal parts of a batch, one after the other.

    Args:
        compute: batch -> (gradients, scalars, rows), structures of tensors; `rows` holds one row
            an example.
        batch: structure of tensors [N, ...]; `parts` divides N.
        parts: number of parts; 1 is a plain call.

    Returns:
        The sums of gradients and scalars, and the rows in the order of the batch.
    """
    if parts == 1:
        return compute(batch)
    if tf.distribute.get_strategy().num_replicas_in_sync > 1:
        return _unrolled(compute, batch, parts)
    split = _split(batch, parts)

    def compute_part(index: int | tf.Tensor) -> tuple[Structure, Structure, Structure]:
        return compute(tf.nest.map_structure(lambda x: x[index], split))

    # The first part comes before the loop: its outputs are the loop's first variables. `parts`
    # copies of the graph, in place of a loop, would run at once and keep all activations.
    gradients, scalars, rows = compute_part(0)
    arrays = tf.nest.map_structure(
        lambda x: tf.TensorArray(x.dtype, parts, element_shape=x.shape).write(0, x), rows
    )

    def body(index, gradients, scalars, arrays):
        more_gradients, more_scalars, rows = compute_part(index)
        return (
            index + 1,
            tf.nest.map_structure(tf.add, gradients, more_gradients),
            tf.nest.map_structure(tf.add, scalars, more_scalars),
            tf.nest.map_structure(lambda array, x: array.write(index, x), arrays, rows),
        )

    _, gradients, scalars, arrays = tf.while_loop(
        lambda index, *_: index < parts,
        body,
        (tf.constant(1), gradients, scalars, arrays),
        parallel_iterations=1,
    )
    return gradients, scalars, tf.nest.map_structure(lambda array: array.concat(), arrays)


def _unrolled(
    compute: Callable[[Structure], tuple[Structure, Structure, Structure]],
    batch: Structure,
    parts: int,
) -> tuple[Structure, Structure, Structure]:
    """`accumulated` without a loop, for replicas that exchange batch statistics or embeddings.

    A MirroredStrategy cannot run its collectives inside a loop of the graph. Each part waits for
    the gradients of the part before, whose activations are then free.
    """
    split = _split(batch, parts)
    gradients, scalars, rows = compute(tf.nest.map_structure(lambda x: x[0], split))
    all_rows = [rows]
    for index in range(1, parts):
        with tf.control_dependencies(tf.nest.flatten(gradients)):
            part = tf.nest.map_structure(lambda x: tf.identity(x[index]), split)
        more_gradients, more_scalars, rows = compute(part)
        gradients = tf.nest.map_structure(tf.add, gradients, more_gradients)
        scalars = tf.nest.map_structure(tf.add, scalars, more_scalars)
        all_rows.append(rows)
    return gradients, scalars, tf.nest.map_structure(lambda *x: tf.concat(x, 0), *all_rows)


def _split(batch: Structure, parts: int) -> Structure:
    return tf.nest.map_structure(
        lambda x: tf.reshape(x, [parts, x.shape[0] // parts, *x.shape[1:]]), batch
    )
