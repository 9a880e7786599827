"""The progress of a stage, printed on stderr from the shards that exist."""

import sys
import threading
import time
from datetime import timedelta
from pathlib import Path

import numpy as np


class Progress:
    """Prints the progress of a stage inside the `with` block, wherever its workers run.

    A line appears when a shard is complete, not otherwise. Its rate is that of the whole stage up
    to then, so that the time left does not swing with the length of a shard.
    """

    def __init__(
        self, stage: str, paths: list[Path], weights: np.ndarray, unit: str, every: float = 5.0
    ):
        """
        Args:
            stage: what it does, in words.
            paths: of all shards of the stage.
            weights: int [len(paths)], units of work in each shard.
            unit: name of the unit of work.
            every: least number of seconds between two lines.
        """
        self._stage, self._paths, self._weights = stage, paths, weights
        self._unit, self._every = unit, every
        self._finished = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "Progress":
        self._start = time.monotonic()
        self._before = self._told = self._done()
        self._thread.start()
        return self

    def __exit__(self, *failure) -> None:
        self._finished.set()
        self._thread.join()
        if failure[0] is None:
            self._tell()

    def _watch(self) -> None:
        while not self._finished.wait(self._every):
            self._tell()

    def _done(self) -> int:
        return int(sum(w for path, w in zip(self._paths, self._weights) if path.exists()))

    def _tell(self) -> None:
        done = self._done()
        if done != self._told:
            self._told = done
            seconds = time.monotonic() - self._start
            total = int(self._weights.sum())
            print(
                progress_line(self._stage, self._unit, self._before, done, total, seconds),
                file=sys.stderr,
                flush=True,
            )


def progress_line(stage: str, unit: str, before: int, done: int, total: int, seconds: float) -> str:
    """The line of a stage that has done `done` of `total` units, `before` of them in earlier runs.

    Args:
        stage: what it does, in words.
        unit: name of the unit of work.
        before: units that were done when the stage began.
        done: units that are done.
        total: all units.
        seconds: since the stage began.
    """
    rate = (done - before) / max(seconds, 1e-9)
    line = f"{stage}: {done} of {total} {unit}, {rate:.1f}/s"
    if done < total and rate:
        line += f", {timedelta(seconds=int((total - done) / rate))} left"
    return line
