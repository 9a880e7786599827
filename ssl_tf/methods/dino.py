"""DINO (Caron et al. 2021): predict from one view to which prototypes a teacher assigns another.

Order of a step: the teacher sees the two large views, the student all views; the optimizer moves
the student, the teacher follows as its moving average, and the center follows the teacher's scores.
"""

import math

import tensorflow as tf

from ssl_tf.methods import losses
from ssl_tf.methods.base import Batch, Tensors
from ssl_tf.methods.branch import Heads
from ssl_tf.methods.network_builder import NetworkBuilder
from ssl_tf.methods.online_target import OnlineTarget
from ssl_tf.methods.online_views import OnlineViews, encode_by_size
from ssl_tf.networks.heads import build_unit_mlp, build_unit_prototypes
from ssl_tf.networks.replicas import replica_sum
from ssl_tf.settings.methods import DinoFlags, ProjectorFlags, PrototypeFlags, TemperatureFlags
from ssl_tf.training.schedules import linear_warmup

# The views that the teacher sees: those of --image_size.
_LARGE = 2


class DINO(OnlineTarget):
    """The student is the online network, the teacher its target; cross-entropy between them.

    As in the authors' code all views of one size pass the encoder together, and all views the head,
    whose prototypes have length 1.

    Two things keep the teacher from a constant answer (section 3.1): the center, a moving average
    of its scores over the global batch, is taken from them, so that no prototype wins always; and a
    temperature below the student's sharpens what is left, so that not all prototypes win alike.
    """

    against_collapse = (
        "Lower --teacher_temperature or --base_learning_rate, or lengthen --freeze_prototypes or "
        "--warmup_epochs"
    )

    def __init__(self, builder: NetworkBuilder):
        flags, plan = builder.flags(DinoFlags), builder.plan
        prototypes = builder.flags(PrototypeFlags)
        # What equal scores cost.
        super().__init__(builder, chance=math.log(prototypes.prototypes))
        self.temperature = builder.flags(TemperatureFlags).temperature
        self.teacher_temperatures = flags.first_teacher_temperature, flags.teacher_temperature
        self.teacher_warmup = plan.steps_until(flags.teacher_temperature_epochs)
        self.frozen_steps = plan.steps_until(prototypes.freeze_prototypes)
        self.center_momentum = flags.center_momentum
        # Without aggregation a replica writes its own copy; all write the same.
        self.center = tf.Variable(
            tf.zeros(
                [prototypes.prototypes], tf.keras.mixed_precision.global_policy().variable_dtype
            ),
            trainable=False,
            aggregation=tf.VariableAggregation.NONE,
            name="center",
        )

    @staticmethod
    def build_heads(builder: NetworkBuilder) -> Heads:
        size = builder.flags(ProjectorFlags)
        count = builder.flags(PrototypeFlags).prototypes
        return {
            "projector": build_unit_mlp(
                builder.features,
                size.projector_hidden,
                size.projection,
                normalized=builder.flags(DinoFlags).head_batch_norm,
                synchronized=builder.synchronized,
                seed=builder.seed,
            ),
            "prototypes": build_unit_prototypes(size.projection, count, seed=builder.seed),
        }

    @property
    def held_variables(self) -> tuple[list[tf.Variable], int]:
        return self.online.heads["prototypes"].trainable_variables, self.frozen_steps

    @property
    def state(self) -> dict[str, tf.Variable]:
        return {"center": self.center}

    def teacher_temperature(self, step: tf.Tensor) -> tf.Tensor:
        return linear_warmup(step, *self.teacher_temperatures, self.teacher_warmup)

    def compare(self, batch: Batch, online: OnlineViews, training: bool) -> tuple[Tensors, Tensors]:
        """The mean over both large views of the mean over the other views that predict it."""
        del online
        views = batch["views"]
        scores = self._student_scores(views, training)
        teacher_scores = self._teacher_scores(views[:_LARGE], training)
        temperature = self.teacher_temperature(self.optimizer.iterations)
        terms = []
        for taught, of_teacher in enumerate(teacher_scores):
            target = teacher_probabilities(of_teacher, self.center, temperature)
            terms += [
                losses.code_cross_entropy(other, target, self.temperature)
                for view, other in enumerate(scores)
                if view != taught
            ]
        kept = {"teacher_scores": tf.stop_gradient(losses.summed(teacher_scores) / _LARGE)}
        return {"distillation_loss": losses.summed(terms) / len(terms)}, kept

    def after_step(self, step: tf.Tensor, kept: Tensors) -> None:
        super().after_step(step, kept)
        total = replica_sum(tf.reduce_mean(kept["teacher_scores"], axis=0))
        mean = total / tf.distribute.get_strategy().num_replicas_in_sync
        self.center.assign(moved_center(self.center, mean, self.center_momentum))

    def step_logs(self, step: tf.Tensor) -> Tensors:
        return {**super().step_logs(step), "teacher_temperature": self.teacher_temperature(step)}

    def _student_scores(self, views: tuple[tf.Tensor, ...], training: bool) -> list[tf.Tensor]:
        """Scores [N, K] of each view."""
        features = encode_by_size(self.encoder, (views[:_LARGE], views[_LARGE:]), training)
        embedded = self.online.heads["projector"](features, training=training)
        prototypes = self.online.heads["prototypes"].get_layer("prototypes").prototypes()
        # Frozen prototypes have no gradient, and are held.
        frozen = self.optimizer.iterations < self.frozen_steps
        learned = tf.where(frozen, tf.stop_gradient(prototypes), prototypes)
        return tf.split(tf.matmul(embedded, learned), len(views))

    def _teacher_scores(self, views: tuple[tf.Tensor, ...], training: bool) -> list[tf.Tensor]:
        """Scores [N, K] of each large view."""
        features = encode_by_size(self.target.encoder, (views,), training)
        embedded = self.target.heads["projector"](features, training=training)
        scores = self.target.heads["prototypes"](embedded, training=training)
        return tf.split(scores, len(views))


def teacher_probabilities(
    scores: tf.Tensor, center: tf.Tensor, temperature: float | tf.Tensor
) -> tf.Tensor:
    """softmax((scores - center) / temperature) of each example, [N, K] (section 3.1).

    Args:
        scores: [N, K].
        center: [K].
        temperature: scalar above 0.
    """
    return tf.nn.softmax((scores - center) / tf.cast(temperature, scores.dtype))


def moved_center(center: tf.Tensor, batch_mean: tf.Tensor, momentum: float) -> tf.Tensor:
    """The center [K] after a step: momentum center + (1 - momentum) batch_mean (Eq. 4)."""
    return momentum * center + (1 - momentum) * batch_mean
