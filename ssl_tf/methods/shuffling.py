"""Shuffling a global batch over the replicas, and back (MoCo section 3.3).

The permutation is a function of a seed alone, so all replicas draw the same one, and no draw has
to be kept for the way back. Called in replica context.
"""

import tensorflow as tf

from ssl_tf.networks.replicas import gather


def shuffle(x: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """This replica's share of the permuted global batch.

    Args:
        x: float [n, ...], this replica's share in order; all shares are equally long.
        seed: int [2], equal on all replicas.
    """
    everything, own = gather(x)
    return tf.gather(everything, tf.gather(_permutation(everything, seed), own))


def unshuffle(x: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """The inverse of `shuffle` of the same seed."""
    everything, own = gather(x)
    return tf.gather(everything, tf.gather(tf.argsort(_permutation(everything, seed)), own))


def _permutation(x: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    return tf.random.experimental.stateless_shuffle(tf.range(tf.shape(x)[0]), seed)
