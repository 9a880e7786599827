"""The gradients of a training step: of a loss as the optimizer wants it, from all replicas."""

from collections.abc import Sequence

import tensorflow as tf


def scaled_loss(optimizer: tf.keras.optimizers.Optimizer, loss: tf.Tensor) -> tf.Tensor:
    """The loss whose gradients `apply_gradients` takes: scaled up by a `LossScaleOptimizer`."""
    is_scaled = isinstance(optimizer, tf.keras.mixed_precision.LossScaleOptimizer)
    return optimizer.get_scaled_loss(loss) if is_scaled else loss


def scale_logs(optimizer: tf.keras.optimizers.Optimizer) -> dict[str, tf.Tensor]:
    """To be logged: the scale of a `LossScaleOptimizer`, which halves at a step that overflows."""
    is_scaled = isinstance(optimizer, tf.keras.mixed_precision.LossScaleOptimizer)
    return {"loss_scale": optimizer.loss_scale} if is_scaled else {}


def apply_gradients(
    optimizer: tf.keras.optimizers.Optimizer,
    gradients: Sequence[tf.Tensor],
    variables: Sequence[tf.Variable],
) -> None:
    """Steps along the sum of the gradients over replicas. Called in replica context.

    Args:
        optimizer: may be a `LossScaleOptimizer`.
        gradients: of the `scaled_loss` of this replica's share.
        variables: in the same order.
    """
    if isinstance(optimizer, tf.keras.mixed_precision.LossScaleOptimizer):
        gradients = optimizer.get_unscaled_gradients(gradients)
    # As in networks/replicas.py: one replica has no collective.
    alone = tf.distribute.get_replica_context().num_replicas_in_sync == 1
    optimizer.apply_gradients(zip(gradients, variables), skip_gradients_aggregation=alone)
