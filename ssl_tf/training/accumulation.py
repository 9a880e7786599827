"""Gradients of a large batch from parts of it that fit the device."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

Structure = Any


def accumulated(
    part_of: Callable[[Structure], tuple[Structure, Structure, Structure]],
    batch: Structure,
    parts: int,
) -> tuple[Structure, Structure, Structure]:
    """Calls a function on equal parts of a batch, one after the other.

    Args:
        part_of: batch -> (gradients, scalars, rows), structures of tensors; rows have as many rows
            as the batch has.
        batch: structure of tensors [N, ...]; `parts` divides N.
        parts: how many; 1 is a plain call.

    Returns:
        Gradients and scalars summed, rows in the order of the batch.
    """
    if parts == 1:
        return part_of(batch)
    if tf.distribute.get_strategy().num_replicas_in_sync > 1:
        return _unrolled(part_of, batch, parts)
    split = _split(batch, parts)

    def part(index: int | tf.Tensor) -> tuple[Structure, Structure, Structure]:
        return part_of(tf.nest.map_structure(lambda x: x[index], split))

    # The first part stands before the loop: it says what the loop carries. A loop, and not `parts`
    # copies of the graph, which would run at the same time and keep all activations.
    gradients, scalars, rows = part(0)
    arrays = tf.nest.map_structure(
        lambda x: tf.TensorArray(x.dtype, parts, element_shape=x.shape).write(0, x), rows
    )

    def body(index, gradients, scalars, arrays):
        more_gradients, more_scalars, rows = part(index)
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
    part_of: Callable[[Structure], tuple[Structure, Structure, Structure]],
    batch: Structure,
    parts: int,
) -> tuple[Structure, Structure, Structure]:
    """The same where replicas exchange batch statistics or embeddings: no collective of a
    MirroredStrategy can stand in a loop of the graph. A part waits for the gradients of the one
    before, which frees its activations."""
    split = _split(batch, parts)
    gradients, scalars, rows = part_of(tf.nest.map_structure(lambda x: x[0], split))
    everything = [rows]
    for index in range(1, parts):
        with tf.control_dependencies(tf.nest.flatten(gradients)):
            piece = tf.nest.map_structure(lambda x: tf.identity(x[index]), split)
        more_gradients, more_scalars, rows = part_of(piece)
        gradients = tf.nest.map_structure(tf.add, gradients, more_gradients)
        scalars = tf.nest.map_structure(tf.add, scalars, more_scalars)
        everything.append(rows)
    return gradients, scalars, tf.nest.map_structure(lambda *x: tf.concat(x, 0), *everything)


def _split(batch: Structure, parts: int) -> Structure:
    return tf.nest.map_structure(
        lambda x: tf.reshape(x, [parts, x.shape[0] // parts, *x.shape[1:]]), batch
    )
