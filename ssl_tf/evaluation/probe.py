"""A linear classifier on a frozen encoder."""

import dataclasses

import numpy as np
import tensorflow as tf

from ssl_tf.data.decoding import UnreadableImages
from ssl_tf.data.pipeline import training_batches
from ssl_tf.data.sources import Source
from ssl_tf.errors import SettingsError, UserError
from ssl_tf.evaluation.features import Encode, FeatureReader, warn_of_absent_classes
from ssl_tf.evaluation.freezing import frozen
from ssl_tf.evaluation.metrics import batchwise_mean_average_precision, score_figures
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
        figures: of the chosen classifier on the test images, in [0, 1]: `score_figures`; of images
            with several labels also "map_batchwise", in batches of --batch_size as released code
            has it ("map" is the figure to compare).
        train_loss: of the chosen classifier, of the last batch.
        base_learning_rate: of the chosen classifier.
        validation: base learning rate -> the figures of its classifier on the validation images;
            empty without such images.
    """

    figures: dict[str, float]
    train_loss: float
    base_learning_rate: float
    validation: dict[float, dict[str, float]]


class Probe(TimedModel):
    """Classifiers side by side on the same features; with `encode`, on the features of images.

    One label an image: softmax cross-entropy. Several (`multi_label`): a logistic classifier for
    each class, binary cross-entropy, mean over the classes. The loss is the sum over classifiers,
    of which none touches another.
    """

    def __init__(
        self,
        num_classes: int,
        multi_label: bool,
        standardize: bool,
        encode: Encode | None = None,
        count: int = 1,
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
        self.classifiers = [
            tf.keras.layers.Dense(num_classes, kernel_initializer="zeros", name=f"classifier_{i}")
            for i in range(count)
        ]
        self._multi_label = multi_label
        self._encode = encode

    def call(self, features: tf.Tensor, training: bool = False) -> list[tf.Tensor]:
        """Logits of each classifier, [N, C]."""
        if self._standardize is not None:
            features = self._standardize(features, training=training)
        return [classifier(features) for classifier in self.classifiers]

    def train_step(self, batch: tuple[tf.Tensor, tf.Tensor]) -> dict[str, tf.Tensor]:
        inputs, labels = batch
        features = inputs if self._encode is None else tf.stop_gradient(self._encode(inputs))
        cross_entropy = (
            tf.nn.sigmoid_cross_entropy_with_logits
            if self._multi_label
            else tf.nn.sparse_softmax_cross_entropy_with_logits
        )
        with tf.GradientTape() as tape:
            losses = [
                tf.reduce_mean(cross_entropy(labels=labels, logits=logits))
                for logits in self(features, training=True)
            ]
            loss = tf.add_n(losses)
        variables = [v for layer in self.classifiers for v in layer.trainable_variables]
        self.optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables))
        return {"loss": loss, **{f"loss_{i}": each for i, each in enumerate(losses)}}


def probe_encoder(
    encoder: tf.keras.Model,
    train: Source,
    test: Source,
    image_size: int,
    settings: LinearSettings,
    unreadable: UnreadableImages,
) -> ProbeResult:
    """Trains linear classifiers on the frozen encoder and reports one on the test images.

    By default SGD with Nesterov momentum 0.9, cosine decay to 0, no warm-up (BYOL C.1, SimCLR B.6).
    Without augmentation the features are computed once. Of several learning rates the best on
    validation images is reported, which are held out of the train images; the test images are
    looked at after the choice.

    Args:
        encoder: normalized images to features; runs in inference mode.
        train, test: labelled, with the same classes.
        image_size: side of the images.

    Raises:
        UserError: the encoder changed, which would make the result worthless; or no classifier has
            finite scores.
    """
    validation = None
    if settings.validation >= train.size:
        raise SettingsError(
            f"--validation={settings.validation}: {train.name} has {train.size} images; hold out "
            "fewer"
        )
    if settings.validation:
        train, validation = train.hold_out(settings.validation)
    steps = max(1, schedules.total_steps(settings.epochs, train.size, settings.batch_size))
    with frozen(encoder) as encode:

        def features_of(source: Source) -> tuple[np.ndarray, np.ndarray]:
            how = image_size, _FEATURE_BATCH, unreadable
            return FeatureReader(encode, source, *how).read()

        probe = _build_probe(train, encoder.output_shape[-1], encode, settings, steps)
        train_labels = None
        if settings.augment:
            batches = _augmented_batches(train, image_size, settings, steps, unreadable)
        else:
            features, train_labels = features_of(train)
            batches = _feature_batches(features, train_labels, settings, steps)
        losses = _LastLosses()
        fit(probe, batches, source=train, steps=steps, callbacks=[losses], unreadable=unreadable)
        chosen, by_rate = 0, {}
        if validation is not None:
            features, labels = features_of(validation)
            scores = [logits.numpy() for logits in probe(features, training=False)]
            by_rate = {
                rate: score_figures(each, labels) for rate, each in zip(settings.rates, scores)
            }
            chosen = _best(scores, list(by_rate.values()))
        features, labels = features_of(test)
        if train_labels is not None:
            warn_of_absent_classes(train, train_labels, labels)
        scores = probe(features, training=False)[chosen].numpy()
    figures = score_figures(scores, labels)
    if train.multi_label:
        figures["map_batchwise"] = batchwise_mean_average_precision(
            scores, labels, settings.batch_size
        )
    return ProbeResult(figures, losses.values[f"loss_{chosen}"], settings.rates[chosen], by_rate)


def _build_probe(
    train: Source, features: int, encode: Encode, settings: LinearSettings, steps: int
) -> Probe:
    """One classifier a learning rate, with the optimizer."""
    probe = Probe(
        train.num_classes,
        train.multi_label,
        settings.standardize,
        encode if settings.augment else None,
        len(settings.rates),
    )
    probe.build((None, features))
    optimizer = build_optimizer(
        "sgd",
        _schedule(settings, train.size, steps),
        weight_decay=settings.weight_decay,
        nesterov=settings.nesterov,
    )
    for classifier, rate in zip(probe.classifiers, settings.rates):
        optimizer.scale_rate(classifier.trainable_variables, rate / max(settings.rates))
    probe.compile(optimizer=optimizer)
    return probe


def _best(scores: list[np.ndarray], figures: list[dict[str, float]]) -> int:
    """The classifier with the highest top-1 or mAP, the first of equal ones.

    Raises:
        UserError: all have diverged.
    """
    finite = [i for i, each in enumerate(scores) if np.isfinite(each).all()]
    if not finite:
        raise UserError("no classifier has finite scores: lower --base_learning_rates")
    return max(finite, key=lambda i: figures[i].get("top1", figures[i].get("map")))


def _schedule(
    settings: LinearSettings, examples: int, steps: int
) -> tf.keras.optimizers.schedules.LearningRateSchedule:
    """Of the largest of the rates."""
    rate = schedules.scaled_learning_rate(max(settings.rates), settings.batch_size)
    if settings.schedule == "cosine":
        return schedules.WarmupCosine(rate, 0, steps)
    drops = [
        schedules.total_steps(epoch, examples, settings.batch_size)
        for epoch in settings.drop_epochs
    ]
    return schedules.StepDecay(rate, drops)


class _LastLosses(tf.keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.values: dict[str, float] = {}

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        self.values = {name: float(value) for name, value in logs.items()}


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
