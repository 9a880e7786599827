"""A TensorBoard profile of some steps of a run."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

import tensorflow as tf

from ssl_tf.training.callbacks import StepCallback


class Profile(StepCallback):
    """Profiles the steps first..last, counted over the whole run, into `directory`.

    Executions of several steps are profiled as a whole. A line on stderr tells if this process took
    none of the steps.

    `tensorboard --logdir=RUN/tensorboard` shows it with the package tensorboard-plugin-profile.
    """

    def __init__(self, start_step: int, directory: Path, first: int, last: int):
        super().__init__(start_step)
        self._directory = str(directory)
        self._first, self._last = first, last
        self._running = self._has_run = False

    def on_train_batch_begin(self, batch: int, logs: dict[str, float] | None = None) -> None:
        first, last = self.step + 1, self.step + self.model.steps_at_once
        if not self._has_run and first <= self._last and self._first <= last:
            tf.profiler.experimental.start(self._directory)
            self._running = self._has_run = True

    def on_step(self, step: int, logs: dict[str, float]) -> None:
        if self._running and step >= self._last:
            self._stop()

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        try:
            yield
        finally:
            if self._running:
                self._stop()
            if not self._has_run:
                print(
                    f"--profile_steps={self._first},{self._last}: this process took none of them, "
                    "so there is no profile",
                    file=sys.stderr,
                )

    def _stop(self) -> None:
        tf.profiler.experimental.stop()
        self._running = False
