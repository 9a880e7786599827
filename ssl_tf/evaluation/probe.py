"""A linear classifier on a frozen encoder."""

import dataclasses
import hashlib
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from ssl_tf.data.decoding import UnreadableImages
from ssl_tf.data.pipeline import training_batches
from ssl_tf.data.sources import Source
from ssl_tf.errors import UserError
from ssl_tf.evaluation.features import compute_features
from ssl_tf.evaluation.metrics import (
    batchwise_mean_average_precision,
    mean_average_precision,
    top_k_accuracy,
)
from ssl_tf.networks.normalization import normalize_images
from ssl_tf.settings import LinearSettings, ViewSettings
from ssl_tf.training import schedules
from ssl_tf.training.execution import TimedModel
from ssl_tf.training.optimizers import build_optimizer
from ssl_tf.training.trainer import fit
from ssl_tf.views.recipe import Recipe

_FEATURE_BATCH = 250


@dataclasses.dataclass(frozen=True)
class ProbeResult:
    """What the probe came to.

    Attributes:
        figures: on the test images, in [0, 1]: "top1" and, with more than five classes, "top5"; of
            images with several labels "map", over all of them (the figure to compare), and
            "map_batchwise", in batches of --batch_size as released code has it.
        train_loss: of the last batch.
    """

    figures: dict[str, float]
    train_loss: float


class Probe(TimedModel):
    """Classifier on features; where `encode` is given, on the features of images.

    One label an image: softmax cross-entropy. Several (`multi_label`): a logistic classifier for
    each class, binary cross-entropy, mean over the classes.
    """

    def __init__(
        self,
        num_classes: int,
        multi_label: bool,
        standardize: bool,
        encode: Callable[[tf.Tensor], tf.Tensor] | None = None,
    ):
        super().__init__(name="probe")
        # Without offset and scale it folds into the linear layer: the classifier stays linear.
        self._standardize = (
            tf.keras.layers.BatchNormalization(
                momentum=0.9, epsilon=1e-5, center=False, scale=False, name="standardize"
            )
            if standardize
            else None
        )
        self._classifier = tf.keras.layers.Dense(
            num_classes, kernel_initializer="zeros", name="classifier"
        )
        self._multi_label = multi_label
        self._encode = encode

    def call(self, features: tf.Tensor, training: bool = False) -> tf.Tensor:
        if self._standardize is not None:
            features = self._standardize(features, training=training)
        return self._classifier(features)

    def train_step(self, batch: tuple[tf.Tensor, tf.Tensor]) -> dict[str, tf.Tensor]:
        inputs, labels = batch
        features = inputs if self._encode is None else tf.stop_gradient(self._encode(inputs))
        with tf.GradientTape() as tape:
            logits = self(features, training=True)
            cross_entropy = (
                tf.nn.sigmoid_cross_entropy_with_logits
                if self._multi_label
                else tf.nn.sparse_softmax_cross_entropy_with_logits
            )
            loss = tf.reduce_mean(cross_entropy(labels=labels, logits=logits))
        variables = self._classifier.trainable_variables
        self.optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables))
        return {"loss": loss}


def probe_encoder(
    encoder: tf.keras.Model,
    train: Source,
    test: Source,
    image_size: int,
    settings: LinearSettings,
    unreadable: UnreadableImages,
) -> ProbeResult:
    """Trains a linear classifier on the frozen encoder and reports it on the test images.

    By default SGD with Nesterov momentum 0.9, cosine decay to 0, no warm-up (BYOL C.1, SimCLR B.6).
    Without augmentation the features are computed once.

    Args:
        encoder: normalized images to features; runs in inference mode.
        train, test: labelled, with the same classes.
        image_size: side of the images.

    Raises:
        UserError: the encoder changed, which would make the result worthless.
    """
    before = digest(encoder)
    encode = tf.function(lambda images: encoder(normalize_images(images), training=False))
    steps = max(1, schedules.total_steps(settings.epochs, train.size, settings.batch_size))
    probe = Probe(
        train.num_classes,
        train.multi_label,
        settings.standardize,
        encode if settings.augment else None,
    )
    probe.build((None, encoder.output_shape[-1]))
    probe.compile(
        optimizer=build_optimizer(
            "sgd",
            _schedule(settings, train.size, steps),
            weight_decay=settings.weight_decay,
            nesterov=settings.nesterov,
        )
    )
    if settings.augment:
        batches = _augmented_batches(train, image_size, settings, steps, unreadable)
    else:
        features, labels = compute_features(encode, train, image_size, _FEATURE_BATCH, unreadable)
        batches = _feature_batches(features, labels, settings, steps)
    losses = _LastLoss()
    fit(probe, batches, source=train, steps=steps, callbacks=[losses], unreadable=unreadable)
    features, labels = compute_features(encode, test, image_size, _FEATURE_BATCH, unreadable)
    logits = probe(features, training=False).numpy()
    if digest(encoder) != before:
        raise UserError("the encoder changed while it was probed; this is a defect, not a result")
    return ProbeResult(_figures(logits, labels, settings.batch_size), losses.value)


def digest(encoder: tf.keras.Model) -> str:
    """SHA-256 over the bytes of all variables, batch statistics included."""
    sha = hashlib.sha256()
    for variable in encoder.variables:
        sha.update(variable.numpy().tobytes())
    return sha.hexdigest()


def _figures(logits: np.ndarray, labels: np.ndarray, batch_size: int) -> dict[str, float]:
    if labels.ndim == 2:
        return {
            "map": mean_average_precision(logits, labels),
            "map_batchwise": batchwise_mean_average_precision(logits, labels, batch_size),
        }
    ks = (1, 5) if logits.shape[1] > 5 else (1,)
    return {f"top{k}": top_k_accuracy(logits, labels, k) for k in ks}


def _schedule(
    settings: LinearSettings, examples: int, steps: int
) -> tf.keras.optimizers.schedules.LearningRateSchedule:
    rate = schedules.scaled_learning_rate(settings.base_learning_rate, settings.batch_size)
    if settings.schedule == "cosine":
        return schedules.WarmupCosine(rate, 0, steps)
    drops = [
        schedules.total_steps(epoch, examples, settings.batch_size)
        for epoch in settings.drop_epochs
    ]
    return schedules.StepDecay(rate, drops)


class _LastLoss(tf.keras.callbacks.Callback):
    value = float("nan")

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        self.value = float(logs["loss"])


def _feature_batches(
    features: np.ndarray, labels: np.ndarray, settings: LinearSettings, steps: int
) -> tf.data.Dataset:
    """Steps of features, each epoch in an order of its own from the seed."""
    size, batch = len(labels), min(settings.batch_size, len(labels))
    epochs = -(-steps * batch // size)
    order = np.concatenate(
        [np.random.default_rng([settings.seed, epoch]).permutation(size) for epoch in range(epochs)]
    )[: steps * batch]
    held_features, held_labels = tf.constant(features), tf.constant(labels)
    rows = tf.data.Dataset.from_tensor_slices(order.reshape(steps, batch))
    return rows.map(
        lambda row: (tf.gather(held_features, row), tf.gather(held_labels, row))
    ).prefetch(2)


def _augmented_batches(
    source: Source,
    image_size: int,
    settings: LinearSettings,
    steps: int,
    unreadable: UnreadableImages,
) -> tf.data.Dataset:
    """Random resized crop and flip, nothing else."""
    views = ViewSettings(image_size=image_size, crop="byol", view_strategies=("plain",))
    batches = training_batches(
        source,
        Recipe(views),
        seed=settings.seed,
        batch_size=settings.batch_size,
        start_step=0,
        stop_step=steps,
        unreadable=unreadable,
    )
    return batches.map(lambda batch: (batch["views"][0], batch["label"]))
