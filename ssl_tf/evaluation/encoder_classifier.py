"""An encoder with a linear classifier, trained together."""

from collections.abc import Callable

import tensorflow as tf

from ssl_tf.evaluation.classification import Schedule, cross_entropy
from ssl_tf.networks.batch_normalization import MOMENTUM, set_momentum
from ssl_tf.networks.normalization import normalize_images
from ssl_tf.networks.replicas import replica_sum
from ssl_tf.networks.resnet import split_after_stage
from ssl_tf.settings import TuningSettings
from ssl_tf.training.execution import TimedModel
from ssl_tf.training.gradients import apply_gradients, scaled_loss
from ssl_tf.training.optimizers import build_optimizer

# `new_encoder(synchronized)` builds an encoder, normalized images to features, with the initial
# weights. `synchronized`: batch statistics are those of all replicas.
EncoderFactory = Callable[[bool], tf.keras.Model]


class EncoderClassifier(TimedModel):
    """An encoder whose upper layers are trained, and a classifier initialized to zero.

    Attributes:
        encoder: normalized images to features, frozen layers included.
        classifier: features to logits.
        trunk_variables: trained variables of the encoder.
    """

    def __init__(self, encoder: tf.keras.Model, num_classes: int, frozen_blocks: int = 0):
        """
        Args:
            encoder: normalized images [N, S, S, 3] to features [N, D].
            num_classes: C.
            frozen_blocks: 0: all of the encoder is trained; K: the stem and K stages are frozen,
                with their moving statistics.
        """
        super().__init__(name="fine_tuned")
        self.encoder = encoder
        self._below, self._above = None, encoder
        if frozen_blocks:
            self._below, self._above = split_after_stage(encoder, frozen_blocks)
        self.classifier = tf.keras.layers.Dense(
            num_classes, kernel_initializer="zeros", dtype="float32", name="classifier"
        )
        self.classifier.build((None, encoder.output_shape[-1]))
        self.trunk_variables = self._above.trainable_variables

    @property
    def learned_variables(self) -> list[tf.Variable]:
        return [*self.trunk_variables, *self.classifier.trainable_variables]

    def call(self, images: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Logits of images: uint8 [N, S, S, 3] -> float32 [N, C]."""
        x = normalize_images(images)
        if self._below is not None:
            x = self._below(x, training=False)
        return self.classifier(self._above(x, training=training))

    def train_step(self, batch: tuple[tf.Tensor, tf.Tensor]) -> dict[str, tf.Tensor]:
        """One step on the global batch, of which each replica has an equal part."""
        images, labels = batch
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        with tf.GradientTape() as tape:
            logits = self(images, training=True)
            loss = cross_entropy(labels, logits) / replicas
            total = scaled_loss(self.optimizer, loss)
        variables = self.learned_variables
        apply_gradients(self.optimizer, tape.gradient(total, variables), variables)
        return {"loss": replica_sum(loss)}


def build_encoder_classifier(
    new_encoder: EncoderFactory,
    num_classes: int,
    settings: TuningSettings,
    schedule: Schedule,
    weight_decay: float,
    examples: int,
    steps: int,
) -> EncoderClassifier:
    """The compiled network, with SGD of momentum 0.9; call it in the scope of the strategy.

    Args:
        new_encoder: builds the encoder.
        num_classes: of the classifier.
        settings: of the training.
        schedule: learning rate of the classifier.
        weight_decay: of the optimizer.
        examples: number of examples of an epoch.
        steps: number of steps of the training.
    """
    encoder = new_encoder(tf.distribute.get_strategy().num_replicas_in_sync > 1)
    if settings.bn_momentum_rule == "kornblith":
        set_momentum(encoder, max(1 - 10 * settings.batch_size / examples, MOMENTUM))
    model = EncoderClassifier(encoder, num_classes, settings.frozen_blocks)
    optimizer = build_optimizer(
        "sgd", schedule, weight_decay=weight_decay, nesterov=settings.nesterov
    )
    optimizer.scale_learning_rate(model.trunk_variables, settings.trunk_rate_multiplier)
    model.compile_training(optimizer, precision=settings.precision, last_step=steps)
    return model
