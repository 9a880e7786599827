"""Shared by linear probe and fine-tuning: loss, learning rate, batches, choice of the best."""

import dataclasses
import sys
from collections.abc import Iterable, Sequence
from typing import TypeVar

import numpy as np
import tensorflow as tf

from ssl_tf.data.batches import training_batches
from ssl_tf.data.order import Steps
from ssl_tf.data.source import Source
from ssl_tf.errors import SettingsError, UserError, warn
from ssl_tf.settings import LinearSettings, TuningSettings, ViewSettings
from ssl_tf.training import schedules
from ssl_tf.views.recipe import Recipe

Schedule = tf.keras.optimizers.schedules.LearningRateSchedule
Settings = TypeVar("Settings", LinearSettings, TuningSettings)


def real_batch_size(batch_size: int, examples: int, replicas: int = 1) -> int:
    """The largest global batch up to `batch_size` that shows no example twice.

    Args:
        batch_size: the one asked for, a multiple of `replicas`.
        examples: number of examples of an epoch.
        replicas: number of replicas, which divide a batch equally; each has an example at least.
    """
    return min(batch_size, max(1, examples // replicas) * replicas)


def with_real_batch(settings: Settings, source: Source, replicas: int = 1) -> Settings:
    """The settings with the `real_batch_size` of the images; a smaller batch is told on stderr.

    Steps, learning rate, decay and statistics follow from the batch in the settings, so all of them
    are those of the batches that are trained on.

    Args:
        settings: of the training.
        source: its images.
        replicas: number of replicas.
    """
    batch_size = real_batch_size(settings.batch_size, source.size, replicas)
    if batch_size == settings.batch_size:
        return settings
    print(
        f"--batch_size={settings.batch_size}: {source.name} has {source.size} images; batches are "
        f"of {batch_size}, and steps and learning rate are those of such batches",
        file=sys.stderr,
    )
    return dataclasses.replace(settings, batch_size=batch_size)


def cross_entropy(labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """The loss of a batch, scalar.

    Args:
        labels: integer [N], for softmax cross-entropy; or [N, C] of 0 and 1, for the binary
            cross-entropy of one logistic classifier a class, averaged over the classes.
        logits: float [N, C].
    """
    if labels.shape.rank == 2:
        losses = tf.nn.sigmoid_cross_entropy_with_logits(labels=labels, logits=logits)
    else:
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
    return tf.reduce_mean(losses)


def rate_schedule(
    base_rate: float,
    *,
    schedule: str,
    drop_epochs: Sequence[float],
    batch_size: int,
    examples: int,
    steps: int,
) -> Schedule:
    """The learning rate schedule, without warm-up: half a cosine to 0, or drops to a tenth.

    Args:
        base_rate: learning rate for a batch of 256.
        schedule: "cosine" or "step".
        drop_epochs: epochs of the drops of the step schedule.
        batch_size: global batch size.
        examples: number of examples of an epoch.
        steps: number of steps of the training.
    """
    rate = schedules.scaled_learning_rate(base_rate, batch_size)
    if schedule == "cosine":
        return schedules.WarmupCosine(rate, 0, steps)
    drops = [schedules.total_steps(epoch, examples, batch_size) for epoch in drop_epochs]
    late = [f"{epoch:g}" for epoch, drop in zip(drop_epochs, drops) if drop >= steps]
    if late:
        warn(
            f"--drop_epochs={','.join(late)}: the training is over by then, so the rate "
            "does not drop"
        )
    return schedules.StepDecay(rate, drops)


def training_steps(epochs: float, examples: int, batch_size: int) -> int:
    """The number of steps of a training.

    Raises:
        SettingsError: the epochs do not fill one batch.
    """
    steps = schedules.total_steps(epochs, examples, batch_size)
    if not steps:
        raise SettingsError(
            f"--epochs={epochs:g}: of {examples} images do not fill one batch of {batch_size}; "
            "raise it"
        )
    return steps


def cropped_batches(source: Source, image_size: int, steps: Steps) -> tf.data.Dataset:
    """Batches (uint8 [B, S, S, 3], labels) with random resized crop and flip only.

    Args:
        source: labelled images.
        image_size: S, in pixels.
        steps: as in `training_batches`.
    """
    views = ViewSettings(image_size=image_size, crop="byol", view_strategies=("plain",))
    batches = training_batches(source, Recipe(views), steps)
    return batches.map(lambda batch: (batch["views"][0], batch["label"]))


def check_scores(scores: np.ndarray) -> None:
    """Checks the scores [N, C] of the test images, of which figures would say something.

    Raises:
        UserError: a score is NaN or infinite.
    """
    if not np.isfinite(scores).all():
        raise UserError(
            "the scores of the test images are not finite, so the classifier has diverged: lower "
            "--base_learning_rate"
        )


def best_index(figures: Sequence[dict[str, float] | None], metric: str = "") -> int:
    """The index of the classifier with the highest figure, the first among equals.

    Args:
        figures: `score_figures` of each classifier; None if it diverged.
        metric: the figure; empty: top-1 or mAP.

    Raises:
        UserError: all diverged.
    """
    finite = [i for i, values in enumerate(figures) if values is not None]
    if not finite:
        raise UserError("no classifier has finite scores: lower --base_learning_rates")
    if not metric:
        metric = "top1" if "top1" in figures[finite[0]] else "map"
    return max(finite, key=lambda i: figures[i][metric])


def mark_of_choice(chosen: float, tried: Iterable[float]) -> str:
    """What marks the chosen one of several rates; beyond an end of them may lie a better one."""
    distinct = sorted(set(tried))
    ends = {distinct[0]: "smallest", distinct[-1]: "largest"} if len(distinct) > 1 else {}
    return f" <- chosen, the {ends[chosen]} that was tried" if chosen in ends else " <- chosen"
