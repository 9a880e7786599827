"""The training of one network on an encoder, to its last step, whatever interrupts it."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import tensorflow as tf

from ssl_tf.data.source import Source
from ssl_tf.downstream.optimization import learning_rate
from ssl_tf.settings import DownstreamSettings, flagfiles
from ssl_tf.training.callbacks import StopOnNaN
from ssl_tf.training.clock import StepClock
from ssl_tf.training.execution import TimedModel
from ssl_tf.training.resumption import fit_to_end
from ssl_tf.training.run_directory import MetricsFile
from ssl_tf.training.run_log import RunLog
from ssl_tf.training.stop_signals import StopSignals


@dataclasses.dataclass(frozen=True)
class Training:
    """What the trainings of one stage, one an encoder, have in common.

    Attributes:
        settings: of the training.
        source: images to learn from.
        batches: first of the remaining steps -> the batches of all replicas together.
        strategy: whose replicas train.
        signals: stop signals.
    """

    settings: DownstreamSettings
    source: Source
    batches: Callable[[int], tf.data.Dataset]
    strategy: tf.distribute.Strategy
    signals: StopSignals

    def fit(
        self,
        network: TimedModel,
        items: dict[str, tf.Module],
        directory: Path,
        logged: Sequence[str],
        more: Callable[[int, RunLog], list[tf.keras.callbacks.Callback]] = lambda start, log: [],
    ) -> dict[str, float]:
        """Trains a network to its last step, from its newest checkpoint if there is one.

        Args:
            network: compiled, with all slots of its optimizer built.
            items: what checkpoints hold beside the optimizer, by name.
            directory: of this training.
            logged: names of the logs to return.
            more: first step and log -> further callbacks, before the log.

        Returns:
            The logs of the last step.

        Raises:
            Diverged: the loss is NaN or infinite.
            UserError: the data cannot be read, or the checkpoints do not fit.
            Stopped: a signal asked to stop; the state is saved.
        """
        settings, size = self.settings, self.source.size
        replicas = self.strategy.num_replicas_in_sync

        def distributed(start: int) -> tf.data.Dataset:
            def of_worker(context: tf.distribute.InputContext) -> tf.data.Dataset:
                batches = self.batches(start)
                if replicas == 1:
                    return batches
                return batches.rebatch(settings.batch_size // replicas, drop_remainder=True)

            return self.strategy.distribute_datasets_from_function(of_worker)

        def observers(first: int) -> list[tf.keras.callbacks.Callback]:
            metrics = MetricsFile(directory / "metrics.jsonl", first)
            clock = StepClock(first, settings.batch_size, metrics.last)
            log = RunLog(
                first,
                metrics,
                clock,
                last_step=settings.steps,
                images=size,
                batch_size=settings.batch_size,
                every=settings.log_every,
                constants={},
                learning_rate=learning_rate(settings),
            )
            return [StopOnNaN(first), clock, *more(first, log), log]

        directory.mkdir(exist_ok=True)
        return fit_to_end(
            network,
            distributed,
            directory=directory,
            items=items,
            logged=logged,
            source=self.source,
            steps=settings.steps,
            save_every=max(1, round(settings.checkpoint_every * size / settings.batch_size)),
            signals=self.signals,
            observers=observers,
        )


def identity(
    settings: object, sources: dict[str, Source], digests: dict[str, str]
) -> dict[str, str]:
    """Everything that the results of a stage depend on, by name.

    Args:
        settings: of the stage.
        sources: images, by their part in it.
        digests: of the encoders, by name.
    """
    images = {name: f"{source.name}, {source.size} images" for name, source in sources.items()}
    flags = {f"--{name}": text for name, text in flagfiles.bound(settings).items()}
    return {**flags, **images, **{f"encoder {n}": digest for n, digest in digests.items()}}
