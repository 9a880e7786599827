"""The learning rate and the optimizer of a network on an encoder."""

from collections.abc import Sequence

import tensorflow as tf

from ssl_tf.settings.downstream import DownstreamSettings
from ssl_tf.training import schedules
from ssl_tf.training.optimizers import MomentumSGD, build_optimizer

Schedule = tf.keras.optimizers.schedules.LearningRateSchedule


def learning_rate(settings: DownstreamSettings) -> Schedule:
    """The learning rate of a step."""
    peak = schedules.scaled_learning_rate(settings.base_learning_rate, settings.batch_size)
    if settings.schedule == "cosine":
        return schedules.WarmupCosine(peak, settings.warmup_steps, settings.steps)
    if settings.schedule == "poly":
        after: Schedule = schedules.Polynomial(peak, settings.steps)
    else:
        after = schedules.StepDecay(peak, settings.drop_steps)
    return schedules.LinearWarmup(after, settings.warmup_steps)


def compile_network(
    network: tf.keras.Model,
    settings: DownstreamSettings,
    learned: Sequence[tf.Variable],
    of_encoder: Sequence[tf.Variable],
) -> None:
    """Gives a network its optimizer, with all slots; call it in the scope of the strategy.

    Args:
        network: whose `train_step` uses the optimizer.
        settings: of the training.
        learned: all variables that are learned.
        of_encoder: those of them that learn at the rate of the encoder.
    """
    optimizer = build_optimizer(
        settings.optimizer,
        learning_rate(settings),
        weight_decay=settings.weight_decay,
        momentum=settings.momentum,
        variables=learned,
    )
    if isinstance(optimizer, MomentumSGD):
        optimizer.scale_learning_rate(of_encoder, settings.trunk_rate_multiplier)
    if settings.precision == "mixed_float16":
        optimizer = tf.keras.mixed_precision.LossScaleOptimizer(optimizer)
    optimizer.build(learned)
    network.last_step = settings.steps
    network.compile(optimizer=optimizer)
