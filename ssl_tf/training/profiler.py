"""A TensorBoard profile of some steps of a run."""

from pathlib import Path

import tensorflow as tf

from ssl_tf.training.callbacks import StepCallback


class Profile(StepCallback):
    """Profiles the steps first..last, counted over the whole run, into `directory`.

    `tensorboard --logdir=RUN/tensorboard` shows it with the package tensorboard-plugin-profile.
    """

    def __init__(self, start_step: int, directory: Path, first: int, last: int):
        super().__init__(start_step)
        self._directory = str(directory)
        self._first, self._last = first, last
        self._running = False

    def on_train_batch_begin(self, batch: int, logs: dict[str, float] | None = None) -> None:
        if not self._running and self._first <= self.step + 1 <= self._last:
            tf.profiler.experimental.start(self._directory)
            self._running = True

    def on_step(self, step: int, logs: dict[str, float]) -> None:
        if self._running and step >= self._last:
            self._stop()

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        if self._running:
            self._stop()

    def _stop(self) -> None:
        tf.profiler.experimental.stop()
        self._running = False
