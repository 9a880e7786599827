"""Throughput of a run, and its time spent waiting for input."""

import contextlib
import time
from collections.abc import Iterator

from ssl_tf.training.callbacks import StepCallback
from ssl_tf.training.execution import INPUT_SECONDS

# Above this share of the step time spent waiting, faster compute would not shorten the run much.
_INPUT_BOUND = 0.2


class StepClock(StepCallback):
    """Images a second of the training steps, and the share of their time spent waiting for input.

    Compilation (the first execution after a start), monitors and checkpoints are not timed. The
    speed is of this process, whose machine may be another than before. A resumed run continues the
    counts of all its processes, which are in its last line of metrics.
    """

    def __init__(self, start_step: int, batch_size: int, before: dict[str, float] | None = None):
        """
        Args:
            start_step: step from which this process continues.
            batch_size: global batch size.
            before: `figures` of the process before this one.
        """
        super().__init__(start_step)
        self._batch_size = batch_size
        before = before or {}
        self._seconds_before = before.get("train_seconds", 0.0)
        self._steps_before = before.get("timed_steps", 0)
        self._seconds = self._waited = 0.0
        self._steps = 0
        self._began = 0.0
        # Name -> steps from one to the next, and the seconds of the last one.
        self._pauses: dict[str, tuple[int, float]] = {}

    def on_train_batch_begin(self, batch: int, logs: dict[str, float] | None = None) -> None:
        self._began = time.perf_counter()

    def on_step(self, step: int, logs: dict[str, float]) -> None:
        if self.is_first:
            return
        self._seconds += time.perf_counter() - self._began
        self._waited += logs[INPUT_SECONDS]
        self._steps += step - self.previous

    @property
    def images_per_second(self) -> float:
        return self._steps * self._batch_size / self._seconds if self._seconds else 0.0

    @property
    def input_wait(self) -> float:
        """Share of the step time spent waiting for the next batch, in [0, 1]."""
        return self._waited / self._seconds if self._seconds else 0.0

    def figures(self) -> dict[str, float]:
        """The values of the clock in metrics.jsonl; no speed before a step of it was timed."""
        speed = {
            "images_per_second": round(self.images_per_second, 1),
            "input_wait": round(self.input_wait, 4),
        }
        return {
            **(speed if self._steps else {}),
            "train_seconds": round(self._seconds_before + self._seconds, 3),
            "timed_steps": self._steps_before + self._steps,
        }

    @contextlib.contextmanager
    def pause(self, name: str, every: int) -> Iterator[None]:
        """Times the block, work between steps that comes every so many steps and at the last."""
        began = time.perf_counter()
        yield
        self._pauses[name] = every, time.perf_counter() - began

    def seconds_left(self, step: int, last_step: int) -> float | None:
        """Seconds until the last step, with the pauses; None before a step of it was timed."""
        if not self._steps:
            return None
        seconds = (last_step - step) * self._seconds / self._steps
        for every, taken in self._pauses.values():
            seconds += taken * (-(-last_step // every) - step // every)
        return seconds

    def summary(self) -> str:
        """Throughput and what limits it, input or compute, on one line."""
        line = f"{self.images_per_second:.1f} images/s over {self._steps} steps, "
        line += f"{100 * self.input_wait:.1f} % of the step time spent waiting for input: "
        if self.input_wait > _INPUT_BOUND:
            return line + (
                "input-bound (`python -m ssl_tf.benchmark input` says what it costs; more cores, "
                "or --augment_on=device, would help)"
            )
        return line + "compute-bound"
