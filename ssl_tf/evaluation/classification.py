"""Shared by linear probe and fine-tuning: loss, learning rate, batches, choice of the best."""

from collections.abc import Sequence

import tensorflow as tf

from ssl_tf.data.batches import training_batches
from ssl_tf.data.order import Steps
from ssl_tf.data.source import Source
from ssl_tf.errors import UserError
from ssl_tf.settings import ViewSettings
from ssl_tf.training import schedules
from ssl_tf.views.recipe import Recipe

Schedule = tf.keras.optimizers.schedules.LearningRateSchedule


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
    return schedules.StepDecay(rate, drops)


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


def best_index(figures: Sequence[dict[str, float] | None]) -> int:
    """The index of the classifier with the highest top-1 or mAP, the first among equals.

    Args:
        figures: `score_figures` of each classifier; None if it diverged.

    Raises:
        UserError: all diverged.
    """
    finite = [i for i, values in enumerate(figures) if values is not None]
    if not finite:
        raise UserError("no classifier has finite scores: lower --base_learning_rates")
    return max(finite, key=lambda i: figures[i].get("top1", figures[i].get("map")))
