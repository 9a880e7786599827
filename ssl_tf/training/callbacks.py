"""Keras callbacks of every stage: progress and metrics, checkpoints, the guard against NaN.

A stage is one `fit` over all its steps, so that every period is counted in optimizer steps of the
whole run and does not move when a run is resumed.
"""

import math
import os
import sys
import time
from pathlib import Path
from typing import Any

import tensorflow as tf

from ssl_tf.errors import Stopped, UserError
from ssl_tf.training.checkpoints import Checkpoints
from ssl_tf.training.run_directory import MetricsFile
from ssl_tf.training.stop_signals import StopSignals


class StepCallback(tf.keras.callbacks.Callback):
    """Counts optimizer steps over the whole run: `on_step(step, logs)` after step 1, 2, ..."""

    def __init__(self, start_step: int):
        super().__init__()
        self._start_step = start_step

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        self.on_step(self._start_step + batch + 1, logs or {})

    def on_step(self, step: int, logs: dict[str, float]) -> None:
        raise NotImplementedError


class StopOnNaN(StepCallback):
    """A loss that is no number ends the run before it can reach a checkpoint."""

    def on_step(self, step: int, logs: dict[str, float]) -> None:
        if not math.isfinite(logs["loss"]):
            raise UserError(
                f"the loss is {logs['loss']} at step {step}: lower --base_learning_rate or "
                "lengthen --warmup_epochs; the last checkpoint is from before that step"
            )


class SaveCheckpoint(StepCallback):
    """Saves every `every` steps, at the last step, and when a signal asks to stop, which it does.

    It stands last, so that whatever belongs to a step is written before its checkpoint is.
    """

    def __init__(
        self,
        start_step: int,
        checkpoints: Checkpoints,
        every: int,
        last_step: int,
        signals: StopSignals,
    ):
        super().__init__(start_step)
        self._checkpoints = checkpoints
        self._every = every
        self._last_step = last_step
        self._signals = signals

    def on_step(self, step: int, logs: dict[str, float]) -> None:
        stopping = self._signals.received
        if stopping or step % self._every == 0 or step == self._last_step:
            self._checkpoints.save(step)
        if stopping and step < self._last_step:
            raise Stopped(stopping, step)


class StepClock(StepCallback):
    """Images a second of the training steps alone.

    Compilation (the first step after a start), monitors and checkpoints are outside the measured
    time.
    """

    def __init__(self, start_step: int, batch_size: int):
        super().__init__(start_step)
        self._batch_size = batch_size
        self._seconds = 0.0
        self._steps = 0
        self._began = 0.0

    def on_train_batch_begin(self, batch: int, logs: dict[str, float] | None = None) -> None:
        self._began = time.perf_counter()

    def on_step(self, step: int, logs: dict[str, float]) -> None:
        if step > self._start_step + 1:
            self._seconds += time.perf_counter() - self._began
            self._steps += 1

    @property
    def images_per_second(self) -> float:
        return self._steps * self._batch_size / self._seconds if self._seconds else 0.0

    def seconds_left(self, steps: int) -> float:
        return steps * self._seconds / self._steps if self._steps else 0.0


class Record(StepCallback):
    """Writes metrics.jsonl and TensorBoard, and tells the progress.

    Other callbacks put their figures of the current step into `extra`; this one stands behind them
    and writes one line a step.
    """

    def __init__(
        self,
        start_step: int,
        directory: Path,
        clock: StepClock,
        *,
        last_step: int,
        images: int,
        batch_size: int,
        every: int,
        constants: dict[str, float],
        learning_rate: tf.keras.optimizers.schedules.LearningRateSchedule,
    ):
        """
        Args:
            start_step: step from which this process goes on.
            directory: of the run.
            clock: measures the steps.
            last_step: of the run.
            images: in one epoch.
            batch_size: global.
            every: steps between two lines.
            constants: put into every line that holds a loss.
            learning_rate: schedule whose value of the step just taken is logged.
        """
        super().__init__(start_step)
        self.extra: dict[str, float] = {}
        self._file = MetricsFile(directory / "metrics.jsonl", start_step)
        self._writer = _event_writer(directory / "tensorboard")
        # Written anew from what is kept, so that no curve shows a step twice after a resume.
        for line in self._file.read(directory / "metrics.jsonl"):
            self._show(line)
        self._clock = clock
        self._last_step = last_step
        self._images = images
        self._batch_size = batch_size
        self._every = every
        self._constants = constants
        self._learning_rate = learning_rate

    def on_step(self, step: int, logs: dict[str, float]) -> None:
        due = step % self._every == 0 or step in (1, self._last_step)
        if not due and not self.extra:
            return
        self.write(
            step,
            {
                **{name: float(value) for name, value in logs.items()},
                **self._constants,
                "learning_rate": float(self._learning_rate(step - 1)),
                "images_per_second": round(self._clock.images_per_second, 1),
                **_host_memory(),
            },
        )

    def write(self, step: int, values: dict[str, float]) -> None:
        """Writes one line: the values and whatever stands in `extra`."""
        values = {**values, **self.extra}
        self.extra = {}
        epoch = step * self._batch_size / self._images
        line = {"step": step, "epoch": round(epoch, 4), **values}
        self._file.append(line)
        self._show(line)
        self._writer.flush()
        self._tell(step, epoch, values)

    def _show(self, line: dict[str, float]) -> None:
        with self._writer.as_default(step=line["step"]):
            for name, value in line.items():
                if name not in ("step", "epoch"):
                    tf.summary.scalar(name, value)

    def _tell(self, step: int, epoch: float, values: dict[str, Any]) -> None:
        done = step / self._last_step
        bar = "#" * int(20 * done)
        parts = [f"[{bar:<20}] {step}/{self._last_step} epoch {epoch:.2f}"]
        shown = ("loss", "images_per_second", "knn_top1", "embedding_std", "rankme")
        names = {"images_per_second": "images/s", "knn_top1": "kNN"}
        parts += [f"{names.get(n, n)} {values[n]:.4g}" for n in shown if n in values]
        if 0 < step < self._last_step:
            parts.append(f"ETA {_duration(self._clock.seconds_left(self._last_step - step))}")
        print("  ".join(parts), file=sys.stderr, flush=True)


def _host_memory() -> dict[str, float]:
    """Resident size of this process in MiB, where the system tells it (Linux)."""
    statm = Path("/proc/self/statm")
    if not statm.exists():
        return {}
    pages = int(statm.read_text().split()[1])
    return {"host_memory_mib": round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, 1)}


def _event_writer(directory: Path) -> tf.summary.SummaryWriter:
    """A writer into a directory from which the events of earlier starts are removed."""
    for earlier in directory.glob("events.out.tfevents.*"):
        earlier.unlink()
    return tf.summary.create_file_writer(str(directory))


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}"
