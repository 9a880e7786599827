"""The linear probe: linear classifiers on a frozen encoder."""

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf

from ssl_tf.data.labels import read_annotations, readable_labels
from ssl_tf.data.order import Steps
from ssl_tf.data.source import Source
from ssl_tf.errors import SettingsError
from ssl_tf.evaluation.bootstrap import Interval, score_intervals
from ssl_tf.evaluation.classification import (
    best_index,
    check_scores,
    cropped_batches,
    cross_entropy,
    rate_schedule,
    training_steps,
    with_real_batch,
)
from ssl_tf.evaluation.features import Encode, FeatureReader, warn_of_absent_classes
from ssl_tf.evaluation.freezing import digest, frozen
from ssl_tf.evaluation.metrics import batchwise_mean_average_precision, score_figures
from ssl_tf.settings import LinearSettings, fields
from ssl_tf.training.execution import TimedModel
from ssl_tf.training.optimizers import build_optimizer
from ssl_tf.training.resumption import LastLogs, fit_to_end, training_directory
from ssl_tf.training.stop_signals import StopSignals
from ssl_tf.training.trainer import fit


@dataclasses.dataclass(frozen=True)
class ProbeResult:
    """The result of a linear probe.

    Attributes:
        figures: `score_figures` of the chosen classifier on the test images, in [0, 1]. Images with
            several labels also have "map_batchwise", in batches of --batch_size as in released
            code; the figure to compare is "map".
        intervals: the 95 % intervals of the figures (see `bootstrap.score_intervals`), but for that
            of "map_batchwise", which depends on the order of the images.
        train_loss: of the chosen classifier on the last batch.
        base_learning_rate: of the chosen classifier.
        validation: base learning rate -> figures of its classifier on the validation images; empty
            without such images, and None if it diverged.
        batch_size: of the training, which is at most the number of train images.
    """

    figures: dict[str, float]
    intervals: dict[str, Interval]
    train_loss: float
    base_learning_rate: float
    validation: dict[float, dict[str, float] | None]
    batch_size: int


class Probe(TimedModel):
    """Independent classifiers on the same features; with `encode`, on the features of images.

    The loss is the sum of the classifiers' `cross_entropy`, so that no classifier affects another.
    """

    def __init__(
        self,
        num_classes: int,
        standardize: bool,
        encode: Encode | None = None,
        count: int = 1,
    ):
        super().__init__(name="probe")
        # Without offset and scale it can be merged into the linear layer.
        self._standardize = (
            tf.keras.layers.BatchNormalization(
                momentum=0.9,
                epsilon=1e-5,
                center=False,
                scale=False,
                moving_variance_initializer="zeros",
                name="standardize",
            )
            if standardize
            else None
        )
        self.classifiers = [
            tf.keras.layers.Dense(num_classes, kernel_initializer="zeros", name=f"classifier_{i}")
            for i in range(count)
        ]
        self._encode = encode

    def call(self, features: tf.Tensor, training: bool = False) -> list[tf.Tensor]:
        """The logits [N, C] of each classifier."""
        if self._standardize is not None:
            features = self._standardize(features, training=training)
        return [classifier(features) for classifier in self.classifiers]

    def train_step(self, batch: tuple[tf.Tensor, tf.Tensor]) -> dict[str, tf.Tensor]:
        inputs, labels = batch
        features = inputs if self._encode is None else tf.stop_gradient(self._encode(inputs))
        with tf.GradientTape() as tape:
            losses = [cross_entropy(labels, logits) for logits in self(features, training=True)]
            loss = tf.add_n(losses)
        variables = [v for layer in self.classifiers for v in layer.trainable_variables]
        self.optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables))
        return {"loss": loss, **{f"loss_{i}": x for i, x in enumerate(losses)}}

    def correct_averages(self, steps: int) -> None:
        """Takes their start out of the moving averages of a training, once, after it.

        They begin at 0, of which 0.9^steps is left (Adam's bias, Kingma and Ba 2015, section 3).

        Args:
            steps: of the training, at least 1.
        """
        if self._standardize is not None:
            taken = 1.0 - self._standardize.momentum**steps
            for average in (self._standardize.moving_mean, self._standardize.moving_variance):
                average.assign(average / taken)


def probe_encoder(
    encoder: tf.keras.Model,
    train: Source,
    test: Source,
    image_size: int,
    settings: LinearSettings,
    directory: Path | None = None,
) -> ProbeResult:
    """Trains linear classifiers on the frozen encoder and reports one on the test images.

    By default SGD with Nesterov momentum 0.9, cosine decay to 0, no warm-up (BYOL C.1, SimCLR B.6).
    Without augmentation the features are computed once. Of several learning rates the one that is
    best on validation images is reported. These are held out of the train images. The test images
    are used after the choice.

    Args:
        encoder: normalized images to features; runs in inference mode.
        train, test: labelled images of the same classes.
        image_size: side of the images, in pixels.
        settings: of the classifiers.
        directory: for the checkpoints of a probe with augmentation, from which it resumes after a
            kill; None: it is not saved. Without augmentation nothing is saved and everything is
            recomputed, from the same features in the same order.

    Raises:
        UserError: the encoder changed, so that the result is void; a label is outside of the
            classes; no classifier has finite scores; or the directory belongs to other settings.
        Stopped: a signal asked to stop; the state is saved.
    """
    train, validation = _held_out(train, settings.validation)
    scored_at_once = settings.batch_size
    settings = with_real_batch(settings, train)
    steps = training_steps(settings.epochs, train.size, settings.batch_size)
    with frozen(encoder) as encode:

        def features_of(source: Source) -> tuple[np.ndarray, np.ndarray]:
            return FeatureReader(encode, source, image_size).read()

        probe = _build_probe(train, encoder.output_shape[-1], encode, settings, steps)
        if settings.augment:
            annotations = read_annotations(train)
            batches = functools.partial(cropped_batches, train, image_size)
        else:
            features, train_labels = features_of(train)
            batches = functools.partial(_feature_batches, features, train_labels)

        def batches_from(start: int) -> tf.data.Dataset:
            return batches(Steps(settings.seed, settings.batch_size, start, steps))

        if settings.augment and directory is not None:
            identity = _identity(settings, image_size, digest(encoder))
            losses = _resumed_losses(probe, batches_from, train, settings, directory, identity)
        else:
            last = LastLogs(_loss_names(settings))
            fit(probe, batches_from(0), source=train, steps=steps, callbacks=[last])
            losses = last.values()
        probe.correct_averages(steps)
        chosen, by_rate = 0, {}
        if validation is not None:
            chosen, by_rate = _choice(probe, *features_of(validation), settings)
        features, labels = features_of(test)
        if settings.augment:
            train_labels = readable_labels(train, *annotations)
        warn_of_absent_classes(train, train_labels, labels)
        scores = probe(features, training=False)[chosen].numpy()
    check_scores(scores)
    figures = score_figures(scores, labels)
    if train.multi_label:
        figures["map_batchwise"] = batchwise_mean_average_precision(scores, labels, scored_at_once)
    return ProbeResult(
        figures,
        score_intervals(scores, labels),
        losses[f"loss_{chosen}"],
        settings.rates[chosen],
        by_rate,
        settings.batch_size,
    )


def _held_out(train: Source, images: int) -> tuple[Source, Source | None]:
    """The train images without those of validation, and these; None for 0 images.

    Raises:
        SettingsError: there are no more train images than that.
    """
    if images >= train.size:
        raise SettingsError(
            f"--validation={images}: {train.name} has {train.size} images; hold out fewer"
        )
    return train.hold_out(images) if images else (train, None)


def _resumed_losses(
    probe: Probe,
    batches_from: Callable[[int], tf.data.Dataset],
    train: Source,
    settings: LinearSettings,
    directory: Path,
    identity: dict[str, str],
) -> dict[str, float]:
    """Trains the classifiers in a directory, from its newest checkpoint if there is one.

    Args:
        probe: of `_build_probe`.
        batches_from: first of the remaining steps -> their batches.
        train: of the images in the batches.
        settings: of the classifiers.
        directory: as in `probe_encoder`.
        identity: of `_identity`.

    Returns:
        The losses of the last batch, by their `_loss_names`.
    """
    reading = fields.result_flags(settings.evaluation.data)
    with (
        training_directory(directory, identity, {"train": train}, reading),
        StopSignals() as signals,
    ):
        return fit_to_end(
            probe,
            batches_from,
            directory=directory,
            items={"probe": probe},
            logged=_loss_names(settings),
            source=train,
            steps=probe.last_step,
            save_every=max(1, round(settings.checkpoint_every * train.size / settings.batch_size)),
            signals=signals,
        )


def _loss_names(settings: LinearSettings) -> list[str]:
    """The names of the classifiers' losses in the logs of a `Probe`."""
    return [f"loss_{i}" for i in range(len(settings.rates))]


def _choice(
    probe: Probe, features: np.ndarray, labels: np.ndarray, settings: LinearSettings
) -> tuple[int, dict[float, dict[str, float] | None]]:
    """The index of the classifier that is best on validation images, and the figures of each.

    Args:
        probe: the trained classifiers.
        features: of the validation images, [N, D].
        labels: of these, [N] or [N, C].
        settings: of the classifiers.

    Returns:
        The index; base learning rate -> figures, None if it diverged.
    """
    scores = [logits.numpy() for logits in probe(features, training=False)]
    figures = [score_figures(x, labels) if np.isfinite(x).all() else None for x in scores]
    return best_index(figures), dict(zip(settings.rates, figures))


def _identity(settings: LinearSettings, image_size: int, encoder: str) -> dict[str, str]:
    """Everything that the trained classifiers depend on beside images and their flags, by name."""
    others = fields.result_flags(settings.evaluation)
    flags = {f"--{n}": x for n, x in fields.result_flags(settings).items() if n not in others}
    return {**flags, "image_size": str(image_size), "encoder": encoder}


def _build_probe(
    train: Source, features: int, encode: Encode, settings: LinearSettings, steps: int
) -> Probe:
    """The compiled probe, with one classifier a learning rate."""
    probe = Probe(
        train.num_classes,
        settings.standardize,
        encode if settings.augment else None,
        len(settings.rates),
    )
    probe.build((None, features))
    probe.last_step = steps
    optimizer = build_optimizer(
        "sgd",
        rate_schedule(
            max(settings.rates),
            schedule=settings.schedule,
            drop_epochs=settings.drop_epochs,
            batch_size=settings.batch_size,
            examples=train.size,
            steps=steps,
        ),
        weight_decay=settings.weight_decay,
        nesterov=settings.nesterov,
    )
    for classifier, rate in zip(probe.classifiers, settings.rates):
        optimizer.scale_learning_rate(classifier.trainable_variables, rate / max(settings.rates))
    optimizer.build([v for layer in probe.classifiers for v in layer.trainable_variables])
    probe.compile(optimizer=optimizer)
    return probe


def _feature_batches(features: np.ndarray, labels: np.ndarray, steps: Steps) -> tf.data.Dataset:
    """The batches of features of these steps; the seed gives each epoch its own order."""
    size, batch = len(labels), min(steps.batch_size, len(labels))
    epochs = -(-steps.stop * batch // size)
    order = np.concatenate(
        [np.random.default_rng([steps.seed, epoch]).permutation(size) for epoch in range(epochs)]
    )[steps.start * batch : steps.stop * batch]
    all_features, all_labels = tf.constant(features), tf.constant(labels)
    rows = tf.data.Dataset.from_tensor_slices(order.reshape(-1, batch))
    return rows.map(
        lambda row: (tf.gather(all_features, row), tf.gather(all_labels, row))
    ).prefetch(2)
