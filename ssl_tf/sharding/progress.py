"""The progress of a stage, printed on stderr from the shards that exist."""

import sys
import threading
import time
from pathlib import Path

import numpy as np


class Progress:
    """Prints the progress of a stage inside the `with` block, wherever its workers run."""

    def __init__(
        self, stage: str, paths: list[Path], weights: np.ndarray, unit: str, every: float = 5.0
    ):
        """
        Args:
            stage: its name.
            paths: of all shards of the stage.
            weights: int [len(paths)], units of work in each shard.
            unit: name of the unit of work.
            every: seconds between two lines.
        """
        self._stage, self._paths, self._weights, self._unit = stage, paths, weights, unit
        self._every = every
        self._finished = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "Progress":
        self._start, self._before = time.monotonic(), self._done()
        self._thread.start()
        return self

    def __exit__(self, *failure) -> None:
        self._finished.set()
        self._thread.join()
        if failure[0] is None:
            self._print()

    def _watch(self) -> None:
        while not self._finished.wait(self._every):
            self._print()

    def _done(self) -> int:
        return int(sum(w for path, w in zip(self._paths, self._weights) if path.exists()))

    def _print(self) -> None:
        done, total = self._done(), int(self._weights.sum())
        seconds = time.monotonic() - self._start
        rate = (done - self._before) / max(seconds, 1e-9)
        left = f", ETA {time.strftime('%H:%M:%S', time.gmtime((total - done) / rate))}" if (
            rate and done < total
        ) else ""  # fmt: skip
        print(f"{self._stage}: {done} of {total} {self._unit}, {rate:.1f}/s{left}", file=sys.stderr)
