"""Keras callbacks of every stage: step counting, checkpoints, the stop on NaN.

A stage is one `fit` over all its steps. Every period is therefore counted in optimizer steps of the
whole run, and does not move when a run is resumed.
"""

import math
import signal
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import tensorflow as tf

from ssl_tf.errors import Stopped, UserError
from ssl_tf.training.checkpoints import Checkpoints
from ssl_tf.training.stop_signals import StopSignals
from ssl_tf.training.workers import Workers


class StepCallback(tf.keras.callbacks.Callback):
    """Counts optimizer steps over the whole run: `on_step(step, logs)` after each execution.

    An execution is one step, or `steps_at_once` of them (see `TimedModel`).

    Attributes:
        step: the last optimizer step taken.
        previous: the last optimizer step before this execution.
    """

    def __init__(self, start_step: int):
        super().__init__()
        self._start_step = start_step
        self.step = self.previous = start_step

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        self.previous = self.step
        self.step = self._start_step + (int(batch) + 1) * self.model.steps_at_once
        if self.model.last_step is not None:
            self.step = min(self.step, self.model.last_step)
        self.on_step(self.step, logs or {})

    def on_step(self, step: int, logs: dict[str, float]) -> None:
        raise NotImplementedError

    def running(self) -> AbstractContextManager:
        """What lasts as long as the training of this process, however it ends."""
        return nullcontext()

    @property
    def is_first(self) -> bool:
        """Whether this is the first execution of this process, which compiles."""
        return self.previous == self._start_step

    def passed(self, every: int) -> bool:
        """Whether this execution reached a multiple of `every`."""
        return self.step // every > self.previous // every


class Diverged(UserError):
    """The loss is NaN or infinite.

    Attributes:
        cause: the loss and the step, without advice.
    """

    def __init__(self, loss: float, step: int):
        self.cause = f"the loss is {loss} at step {step}"
        super().__init__(
            f"{self.cause}: lower --base_learning_rate or lengthen --warmup_epochs; the last "
            "checkpoint is from before that step"
        )


class StopOnNaN(StepCallback):
    """Ends the run when the loss is NaN or infinite, before it is saved in a checkpoint."""

    def on_step(self, step: int, logs: dict[str, float]) -> None:
        if not math.isfinite(logs["loss"]):
            raise Diverged(logs["loss"], step)


class SaveCheckpoint(StepCallback):
    """Saves every `every` steps, at the last step and when a signal asks to stop.

    After such a signal it ends the run. It is the last callback, so that everything else of a step
    is written before its checkpoint.
    """

    def __init__(
        self,
        start_step: int,
        checkpoints: Checkpoints,
        every: int,
        last_step: int,
        signals: StopSignals,
        pause: Callable[[str, int], AbstractContextManager] = lambda name, every: nullcontext(),
    ):
        """
        Args:
            start_step: step from which this process continues.
            checkpoints: of the run.
            every: steps between two of them.
            last_step: of the run.
            signals: stop signals.
            pause: `StepClock.pause`, which times the saving.
        """
        super().__init__(start_step)
        self._pause = pause
        self._checkpoints = checkpoints
        self._every = every
        self._last_step = last_step
        self._signals = signals

    def on_step(self, step: int, logs: dict[str, float]) -> None:
        stopping = self._signals.received
        if stopping or self.passed(self._every) or step == self._last_step:
            with self._pause("checkpoint", self._every):
                self._checkpoints.save(step)
        if stopping and step < self._last_step:
            raise Stopped(stopping, f" at step {step}, which is saved")


class ReportStep(StepCallback):
    """Publishes the step to the other workers, and passes a stop signal on to all of them."""

    def __init__(self, start_step: int, workers: Workers, signals: StopSignals):
        super().__init__(start_step)
        self._workers = workers
        self._signals = signals

    def on_step(self, step: int, logs: dict[str, float]) -> None:
        self._workers.publish(step=step)
        if self._signals.received:
            self._workers.publish(stop=int(self._signals.received))
        elif stop := self._workers.shared_value("stop"):
            self._signals.received = signal.Signals(stop)
