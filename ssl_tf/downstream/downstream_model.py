"""A network on an encoder that learns from annotated images: its step, and what of it learns."""

import abc

import tensorflow as tf

from ssl_tf.networks.batch_normalization import BatchNormalization
from ssl_tf.networks.replicas import replica_sum
from ssl_tf.settings import DownstreamSettings
from ssl_tf.training import schedules
from ssl_tf.training.accumulation import accumulated
from ssl_tf.training.execution import TimedModel
from ssl_tf.training.gradients import apply_gradients, scaled_loss
from ssl_tf.training.optimizers import build_optimizer

Tensors = dict[str, tf.Tensor]
Schedule = tf.keras.optimizers.schedules.LearningRateSchedule

_NORMALIZATIONS = (tf.keras.layers.BatchNormalization, BatchNormalization)


class DownstreamModel(TimedModel):
    """An encoder and the layers on it.

    Subclasses implement `losses`, and `normalizers` where a loss is divided by what is counted in
    the whole batch.

    Attributes:
        encoder: a `build_resnet`, maybe `dilated`.
        head: the layers on it, of which all that train learn.
        accumulate: number of parts of a replica's batch whose gradients are summed.
    """

    def __init__(self, name: str, encoder: tf.keras.Model, head: tf.keras.Model):
        super().__init__(name=name)
        self.encoder = encoder
        self.head = head
        self.accumulate = 1

    @property
    def learned_variables(self) -> list[tf.Variable]:
        """The variables that the optimizer moves, in a fixed order."""
        return [*self.encoder.trainable_variables, *self.head.trainable_variables]

    def normalizers(self, batch: Tensors) -> Tensors:
        """Counts in this replica's share of a batch, by which losses are divided once summed."""
        return {}

    @abc.abstractmethod
    def losses(self, part: Tensors, normalizers: Tensors) -> Tensors:
        """The share of a part of the batch in the losses of the global batch.

        Called in replica context, in training. The shares of all parts of all replicas add up to
        the loss of the global batch, so one device and several take the same step.

        Args:
            part: a part of this replica's share of the batch; all of it without --accumulate.
            normalizers: sums of `normalizers` over all replicas.

        Returns:
            Name -> scalar; the total is the sum over names.
        """

    def train_step(self, batch: Tensors) -> Tensors:
        """One optimizer step on the global batch; returns its losses."""
        local = self.normalizers(batch)
        normalizers = replica_sum(local) if local else {}
        variables = self.learned_variables

        def compute(part: Tensors) -> tuple[list[tf.Tensor], Tensors, Tensors]:
            with tf.GradientTape() as tape:
                shares = self.losses(part, normalizers)
                total = tf.add_n(list(shares.values()))
                scaled = scaled_loss(self.optimizer, total)
            gradients = tape.gradient(scaled, variables)
            return gradients, {"loss": total, **shares}, {}

        gradients, shares, _ = accumulated(compute, batch, self.accumulate)
        apply_gradients(self.optimizer, gradients, variables)
        return replica_sum(shares)


def freeze(encoder: tf.keras.Model, settings: DownstreamSettings) -> None:
    """Stops the layers of an encoder that shall stay as they are, before it is called.

    A frozen normalization uses its moving statistics, and neither they nor its scale and offset
    change.

    Args:
        encoder: of `build_resnet`.
        settings: give `frozen_stages` and `batch_norm`.
    """
    for layer in encoder.layers:
        stage = int(layer.name[5]) if layer.name.startswith("layer") else 0
        is_frozen_norm = settings.batch_norm == "frozen" and isinstance(layer, _NORMALIZATIONS)
        if stage <= settings.frozen_stages or is_frozen_norm:
            layer.trainable = False


def make_schedule(settings: DownstreamSettings) -> Schedule:
    """The learning rate of the encoder by optimizer step."""
    rate, steps = settings.learning_rate, settings.steps
    if settings.schedule == "poly":
        schedule = schedules.PolyDecay(rate, steps)
    elif settings.schedule == "step":
        schedule = schedules.StepDecay(rate, settings.drop_steps)
    else:
        schedule = schedules.WarmupCosine(rate, 0, steps)
    if settings.warmup_steps:
        schedule = schedules.Warmed(schedule, settings.warmup_steps)
    return schedule


def compile_model(model: DownstreamModel, settings: DownstreamSettings) -> None:
    """Gives a model its optimizer, with all slots; call it in the scope of the strategy."""
    optimizer = build_optimizer(
        settings.optimizer,
        make_schedule(settings),
        weight_decay=settings.weight_decay,
        momentum=settings.momentum,
        variables=model.learned_variables,
    )
    if settings.head_rate != 1:
        optimizer.scale_learning_rate(model.head.trainable_variables, settings.head_rate)
    model.accumulate = settings.accumulate
    model.compile_training(optimizer, precision=settings.precision, last_step=settings.steps)
