"""A training inside an evaluation that is logged as a run is, on the replicas of a strategy."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import tensorflow as tf

from ssl_tf.data.order import Steps
from ssl_tf.data.source import Source
from ssl_tf.training.callbacks import StepCallback, StopOnNaN
from ssl_tf.training.clock import StepClock
from ssl_tf.training.execution import TimedModel
from ssl_tf.training.resumption import fit_to_end
from ssl_tf.training.run_directory import METRICS, MetricsFile
from ssl_tf.training.run_log import RunLog
from ssl_tf.training.stop_signals import StopSignals

Schedule = tf.keras.optimizers.schedules.LearningRateSchedule


def fit_logged(
    model: TimedModel,
    batches: Callable[[Steps], tf.data.Dataset],
    *,
    strategy: tf.distribute.Strategy,
    directory: Path,
    items: dict[str, tf.Module],
    source: Source,
    steps: Steps,
    learning_rate: Schedule,
    log_every: int,
    save_every: int,
    signals: StopSignals,
    observers: Callable[[int, RunLog], Sequence[StepCallback]] = lambda start, log: (),
) -> float:
    """Trains up to the last step, from the newest checkpoint if there is one, and logs the steps.

    Args:
        model: compiled, with all slots of its optimizer built.
        batches: the remaining steps -> their batches, of static shapes.
        strategy: its replicas divide each batch equally.
        directory: parent of the directory of checkpoints, of metrics.jsonl and of tensorboard/.
        items: objects to save in addition to the optimizer, by name.
        source: of the images in the batches.
        steps: of the whole training, including those of earlier processes.
        learning_rate: by optimizer step, as it is logged.
        log_every: steps between two lines of the log.
        save_every: steps between two checkpoints.
        signals: stop signals.
        observers: first step and log -> callbacks that add to its lines.

    Returns:
        The loss of the last step, whichever process took it.

    Raises:
        Diverged: the loss is NaN or infinite.
        UserError: as in `fit_to_end`.
        Stopped: a signal asked to stop.
    """

    def distributed(start: int) -> tf.distribute.DistributedDataset:
        remaining = dataclasses.replace(steps, start=start)

        def worker_batches(context: tf.distribute.InputContext) -> tf.data.Dataset:
            replicas = context.num_replicas_in_sync
            whole = batches(remaining)
            return whole.rebatch(steps.batch_size // replicas) if replicas > 1 else whole

        return strategy.distribute_datasets_from_function(worker_batches)

    def callbacks(start: int) -> list[tf.keras.callbacks.Callback]:
        metrics = MetricsFile(directory / METRICS, start)
        clock = StepClock(start, steps.batch_size, metrics.last)
        log = RunLog(
            start,
            metrics,
            clock,
            last_step=steps.stop,
            images=source.size,
            batch_size=steps.batch_size,
            every=log_every,
            constants={},
            learning_rate=learning_rate,
        )
        return [StopOnNaN(start), clock, *observers(start, log), log]

    return fit_to_end(
        model,
        distributed,
        directory=directory,
        items=items,
        logged=("loss",),
        source=source,
        steps=steps.stop,
        save_every=save_every,
        signals=signals,
        observers=callbacks,
    )["loss"]
