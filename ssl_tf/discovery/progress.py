"""What is done of a stage, told on stderr by the shards that are there."""

import sys
import threading
import time
from pathlib import Path

import numpy as np


class Progress:
    """Watches a directory while a stage fills it, in whatever processes or machines it runs."""

    def __init__(self, paths: list[Path], weights: np.ndarray, unit: str, every: float = 5.0):
        """Args:

        paths: of all shards of the stage.
        weights: int [len(paths)], units of work in each.
        unit: what is counted.
        every: seconds between two lines.
        """
        self._paths, self._weights, self._unit, self._every = paths, weights, unit, every
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "Progress":
        self._begun, self._before = time.monotonic(), self._done()
        self._thread.start()
        return self

    def __exit__(self, *failure) -> None:
        self._over.set()
        self._thread.join()
        if failure[0] is None:
            self._tell()

    def _watch(self) -> None:
        while not self._over.wait(self._every):
            self._tell()

    def _done(self) -> int:
        return int(sum(w for path, w in zip(self._paths, self._weights) if path.exists()))

    def _tell(self) -> None:
        done, total = self._done(), int(self._weights.sum())
        seconds = time.monotonic() - self._begun
        rate = (done - self._before) / max(seconds, 1e-9)
        left = f", ETA {time.strftime('%H:%M:%S', time.gmtime((total - done) / rate))}" if (
            rate and done < total
        ) else ""  # fmt: skip
        stage = self._paths[0].parent.name
        print(f"{stage}: {done} of {total} {self._unit}, {rate:.1f}/s{left}", file=sys.stderr)
