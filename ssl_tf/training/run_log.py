"""The log of a run: metrics.jsonl, TensorBoard, a line of progress."""

import time
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from ssl_tf.training.callbacks import StepCallback
from ssl_tf.training.clock import StepClock
from ssl_tf.training.execution import INPUT_SECONDS
from ssl_tf.training.host_memory import resident_bytes
from ssl_tf.training.progress_line import ProgressLine
from ssl_tf.training.run_directory import MetricsFile
from ssl_tf.training.tracking import Track

# The first views of a run, drawn before its first step.
PICTURE = "views.png"
# The figures of the line of progress -> their names there.
_SHOWN = {
    "loss": "loss",
    "images_per_second": "images/s",
    "knn_top1": "kNN",
    "knn_map": "kNN mAP",
    "embedding_std": "embedding_std",
    "rankme": "rankme",
}


class RunLog(StepCallback):
    """Writes metrics.jsonl and TensorBoard, and prints the progress.

    Other callbacks put their values of the current step into `extra`. This one is called after them
    and writes one line a step.

    Attributes:
        extra: values for the next line.
        clock: measures the steps and the work between them.
    """

    def __init__(
        self,
        start_step: int,
        file: MetricsFile,
        clock: StepClock,
        *,
        last_step: int,
        images: int,
        batch_size: int,
        every: int,
        constants: dict[str, float | None],
        learning_rate: tf.keras.optimizers.schedules.LearningRateSchedule,
        track: Track = lambda step, figures: None,
    ):
        """
        Args:
            start_step: step from which this process continues.
            file: metrics.jsonl of the run; tensorboard/ lies next to it.
            clock: measures the steps.
            last_step: of the run.
            images: in one epoch.
            batch_size: global.
            every: steps between two lines.
            constants: put into every line that holds a loss, but for those that are None.
            learning_rate: schedule whose value of the step just taken is logged.
            track: takes the figures of each line, too.
        """
        super().__init__(start_step)
        self.extra: dict[str, float] = {}
        self._file = file
        self._writer = _event_writer(file.path.parent / "tensorboard")
        # Rewritten from the lines that are kept, so that no curve shows a step twice.
        for line in file.read(file.path):
            self._write_summaries(line)
        self._show_first_views(file.path.parent / PICTURE)
        self.clock = clock
        self._last_step = last_step
        self._images = images
        self._batch_size = batch_size
        self._every = every
        self._constants = {name: x for name, x in constants.items() if x is not None}
        self._learning_rate = learning_rate
        self._track = track
        self._progress = ProgressLine(start_step, last_step)

    def running(self) -> AbstractContextManager:
        return self._progress.drawn()

    def on_step(self, step: int, logs: dict[str, float]) -> None:
        self._progress.advance(step)
        due = self.passed(self._every) or self.previous == 0 or step == self._last_step
        if not due and not self.extra:
            return
        self.write(
            step,
            {
                **{name: float(value) for name, value in logs.items() if name != INPUT_SECONDS},
                **self._constants,
                "learning_rate": float(self._learning_rate(step - 1)),
                **self.clock.figures(),
                "host_memory_mib": round(resident_bytes() / 2**20, 1),
            },
        )

    def write(self, step: int, values: dict[str, float]) -> None:
        """Writes one line: the values and those in `extra`, which is emptied."""
        values = {**values, **self.extra}
        self.extra = {}
        epoch = step * self._batch_size / self._images
        line = {
            "step": step,
            "epoch": round(epoch, 4),
            **values,
            "wall_time": round(time.time(), 3),
        }
        self._file.append(line)
        self._write_summaries(line)
        self._writer.flush()
        self._track(step, {"epoch": epoch, **values})
        self._print_progress(step, epoch, values)

    def write_picture(self, name: str, picture: np.ndarray, step: int) -> None:
        """Shows a picture, uint8 [H, W, 3], in TensorBoard under Images."""
        with self._writer.as_default(step=step):
            tf.summary.image(name, picture[None])

    def _write_summaries(self, line: dict[str, float]) -> None:
        with self._writer.as_default(step=line["step"]):
            for name, value in line.items():
                if name not in ("step", "epoch", "wall_time"):
                    tf.summary.scalar(name, value)

    def _show_first_views(self, path: Path) -> None:
        """The first views of a run, where there are any."""
        try:
            picture = tf.io.decode_png(path.read_bytes(), channels=3)
        except (OSError, tf.errors.InvalidArgumentError):
            return  # a picture is only a note
        self.write_picture("first views", picture.numpy(), 0)

    def _print_progress(self, step: int, epoch: float, values: dict[str, Any]) -> None:
        parts = [f"epoch {epoch:.2f}"]
        for name, title in _SHOWN.items():
            if name in values:
                parts.append(f"{title} {values[name]:.4g}")
            if name == "loss" and {"loss", "chance_loss"} <= values.keys():
                parts[-1] += f" (chance {values['chance_loss']:.4g})"
        seconds_left = self.clock.seconds_left(step, self._last_step)
        if 0 < step < self._last_step and seconds_left is not None:
            # Early, where a narrow terminal does not cut it off.
            parts.insert(2, f"ETA {timedelta(seconds=int(seconds_left))}")
        # The figures of the monitors are rare, and worth a line that stays.
        self._progress.tell(step, "  ".join(parts), kept="rankme" in values)


def _event_writer(directory: Path) -> tf.summary.SummaryWriter:
    """A writer into a directory, from which the events of earlier starts are removed."""
    for earlier in directory.glob("events.out.tfevents.*"):
        earlier.unlink()
    return tf.summary.create_file_writer(str(directory))
