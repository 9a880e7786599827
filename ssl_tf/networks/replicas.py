"""What replicas share: sums, and gathered batches. Called in replica context.

All collectives of this project are here. One replica has none: in the XLA program of a GPU
TensorFlow leaves a thread behind for each step that has one (tensorflow#56423), and cannot trace a
gathering at all.
"""

from typing import TypeVar

import tensorflow as tf

Tensors = TypeVar("Tensors", tf.Tensor, dict[str, tf.Tensor])


def replica_sum(x: Tensors) -> Tensors:
    """The sum over all replicas.

    Args:
        x: a tensor of this replica, or a dict of them; of one shape on all replicas.
    """
    context = tf.distribute.get_replica_context()
    if context.num_replicas_in_sync == 1:
        return x
    return context.all_reduce(tf.distribute.ReduceOp.SUM, x)


def gather(x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The global batch, and the rows of it that are this replica's.

    Gradients flow back: to this replica's share comes the sum of what all replicas' losses ask of
    it.

    Args:
        x: float [n, ...], this replica's share in order; all shares are equally long.

    Returns:
        [replicas n, ...], and int32 [n].
    """
    context = tf.distribute.get_replica_context()
    count = tf.shape(x)[0]
    if context.num_replicas_in_sync == 1:
        return x, tf.range(count)
    first = tf.cast(context.replica_id_in_sync_group, tf.int32) * count
    # TensorFlow's collective gather does not know bfloat16.
    carried = tf.cast(x, tf.float32) if x.dtype == tf.bfloat16 else x
    gathered = tf.cast(context.all_gather(carried, axis=0), x.dtype)
    gathered.set_shape([None, *x.shape[1:]])  # which the collective forgets
    return gathered, first + tf.range(count)
