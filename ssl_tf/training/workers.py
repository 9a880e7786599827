"""Workers of one run that know of each other through files in the run directory.

TensorFlow lets the survivors of a dead worker wait: up to an hour at the start, and for ever in a
collective whose partner is stopped. Here every worker beats once a second into a file of its own
and watches the files of the others, from a thread that no collective can block.
"""

import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

from ssl_tf.errors import EXIT_LOST_WORKER, LostWorker, UserError
from ssl_tf.files import write_text
from ssl_tf.training.cluster import Cluster

DIRECTORY = "workers"
_BEAT_SECONDS = 1.0

_RUNNING, _DONE, _FAILED = "running", "done", "failed"


class Workers:
    """The other workers, for as long as the `with` block lasts; one process has none.

    Inside the block a worker that dies, stops beating for `timeout` seconds or leaves with an error
    ends this process too, with a line that names it and the exit code of `errors`.
    """

    def __init__(self, directory: Path, cluster: Cluster, timeout: float):
        """
        Args:
            directory: of the run; on a file system that all workers see.
            cluster: of this process.
            timeout: seconds without a beat, at the start or later, after which one is lost.
        """
        self._directory = directory / DIRECTORY
        self._cluster = cluster
        self._timeout = timeout
        self._facts: dict[str, Any] = {}
        self._state, self._reason = _RUNNING, ""
        self._count = 0
        self._lock = threading.Lock()
        self._finished = threading.Event()
        self._others = [_Other(i) for i in range(cluster.workers) if i != cluster.index]
        self._thread = threading.Thread(target=self._watch, name="workers", daemon=True)

    def __enter__(self) -> "Workers":
        if not self._others:
            return self
        self._directory.mkdir(parents=True, exist_ok=True)
        for other in self._others:
            # Beats of an earlier start must not be taken for those of this one.
            other.content = self._read(other)
        self._beat()
        self._await("start", lambda other: other.beats > 0)
        self._thread.start()
        return self

    def __exit__(self, kind, error, traceback) -> None:
        if not self._others:
            return
        if isinstance(error, ConnectionError):
            # A partner is gone; the thread knows which within its time-out, and ends this process.
            time.sleep(self._timeout + 2 * _BEAT_SECONDS)
        self._finished.set()
        self._state = _DONE if error is None else _FAILED
        self._reason = " ".join(str(error or "").split())[:300]
        self._beat()

    def publish(self, **facts: Any) -> None:
        """Goes out with the next beat: the others see it within seconds."""
        # A new dict: the thread may be writing the old one.
        self._facts = {**self._facts, **facts}

    def agree(self, name: str, value: Any) -> None:
        """Waits until all workers have published their value and checks that all are equal.

        Raises:
            UserError: a worker has another value.
            LostWorker: a worker does not tell it in time.
        """
        self.publish(**{name: value})
        self._await(f"tell its {name}", lambda other: name in other.facts)
        for other in self._others:
            if other.facts[name] != value:
                raise UserError(
                    f"{self._cluster.name(other.index)} has {name} {other.facts[name]!r}, this "
                    f"worker {value!r}: all workers need the same command and the same --run_dir "
                    "on a file system that they share"
                )

    def await_chief(self, name: str) -> None:
        """Waits, unless this is the chief, until the chief has published a value.

        Raises:
            LostWorker: it does not in time.
        """
        if not self._cluster.is_chief:
            self._await(f"tell its {name}", lambda other: other.index or name in other.facts)

    def shared_value(self, name: str) -> Any:
        """Returns the value that the first other worker has published; None where none has."""
        return next((o.facts[name] for o in self._others if name in o.facts), None)

    def lost(self) -> str | None:
        """Names the first worker that has failed or is silent, with what is known; else None."""
        for other in self._others:
            name = self._cluster.name(other.index)
            if other.state == _FAILED:
                return f"{name} has left: {other.reason}"
            silent = time.monotonic() - other.heard
            if other.state == _RUNNING and silent > self._timeout:
                at = other.facts.get("step")
                step = f", last at step {at}" if at is not None else ""
                return f"{name} has not been heard of for {silent:.0f} s (--worker_timeout){step}"
        return None

    def _await(self, what: str, is_there) -> None:
        if not self._others:
            return
        while True:
            self._beat()
            self._look()
            missing = [other for other in self._others if not is_there(other)]
            failed = next((other for other in self._others if other.state == _FAILED), None)
            if failed:
                raise LostWorker(f"{self._cluster.name(failed.index)} has left: {failed.reason}")
            if not missing:
                return
            # A worker that beats is at work, however long that takes it.
            silent = [o for o in missing if time.monotonic() - o.heard > self._timeout]
            if silent:
                names = ", ".join(self._cluster.name(other.index) for other in silent)
                raise LostWorker(
                    f"{names} did not {what} within {self._timeout:g} s: start all workers with "
                    "the same command and a --run_dir that they share, or raise --worker_timeout"
                )
            time.sleep(min(_BEAT_SECONDS, self._timeout) / 4)

    def _watch(self) -> None:
        while not self._finished.wait(_BEAT_SECONDS):
            try:
                self._beat()
            except OSError:
                pass  # a full disk or a slow mount: the next beat may go through again
            self._look()
            lost = self.lost()
            if lost and not self._finished.is_set():
                # The main thread may hang in a collective for ever: nothing softer ends it.
                print(
                    f"error: {lost}; this worker ends too, and the same command on all of them "
                    "goes on from the last checkpoint",
                    file=sys.stderr,
                    flush=True,
                )
                os._exit(EXIT_LOST_WORKER)

    def _file(self, index: int) -> Path:
        return self._directory / f"worker_{index}.json"

    def _beat(self) -> None:
        with self._lock:
            self._count += 1
            content = {
                "process": os.getpid(),
                "count": self._count,
                "state": self._state,
                "reason": self._reason,
                "facts": self._facts,
            }
            # Not synced: a beat is of the moment.
            write_text(self._file(self._cluster.index), json.dumps(content), sync=False)

    def _read(self, other: "_Other") -> str:
        try:
            return self._file(other.index).read_text()
        except OSError:
            return ""

    def _look(self) -> None:
        for other in self._others:
            content = self._read(other)
            if not content or content == other.content:
                continue
            other.content, other.heard = content, time.monotonic()
            beat = json.loads(content)
            # A worker that already left an earlier start is not one of this start.
            if other.beats or beat["state"] == _RUNNING:
                other.beats += 1
                other.state, other.reason = beat["state"], beat["reason"]
                other.facts = beat["facts"]


class _Other:
    """What is known of another worker; `heard` is in the clock of this process alone."""

    def __init__(self, index: int):
        self.index = index
        self.content = ""
        self.beats = 0
        self.heard = time.monotonic()
        self.state, self.reason = _RUNNING, ""
        self.facts: dict[str, Any] = {}
