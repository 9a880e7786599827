"""The end of a training step: the optimizer takes the gradients of all replicas."""

from collections.abc import Sequence

import tensorflow as tf


def apply_gradients(
    optimizer: tf.keras.optimizers.Optimizer,
    gradients: Sequence[tf.Tensor],
    variables: Sequence[tf.Variable],
) -> None:
    """Steps along the sum of the gradients over replicas. Called in replica context.

    Args:
        optimizer: may be a `LossScaleOptimizer`.
        gradients: of this replica's share of the loss, which that optimizer has scaled.
        variables: in the same order.
    """
    if isinstance(optimizer, tf.keras.mixed_precision.LossScaleOptimizer):
        gradients = optimizer.get_unscaled_gradients(gradients)
    # As in networks/replicas.py: one replica has no collective.
    alone = tf.distribute.get_replica_context().num_replicas_in_sync == 1
    optimizer.apply_gradients(zip(gradients, variables), skip_gradients_aggregation=alone)
