"""The workers of one run, which watch each other through files in the run directory.

TensorFlow lets the survivors of a dead worker wait: up to an hour at the start, and for ever in a
collective whose partner is stopped. Here every worker writes a heartbeat once a second to its own
file. It watches the files of the others from a thread that no collective can block.
"""

import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

from ssl_tf.errors import EXIT_LOST_WORKER, LostWorker, UserError
from ssl_tf.files import NotWritten, write_text
from ssl_tf.training.cluster import Cluster

DIRECTORY = "workers"
_BEAT_SECONDS = 1.0
# Of the entries in which two workers differ, so many are told.
_LISTED = 3

_RUNNING, _DONE, _FAILED = "running", "done", "failed"


class Workers:
    """The other workers of a run, watched inside the `with` block; a single process has none.

    A worker is lost when it dies, sends no heartbeat for `timeout` seconds or leaves with an error.
    Inside the block a lost worker ends this process too, with a line that names the worker and the
    exit code of `errors`.
    """

    def __init__(self, directory: Path, cluster: Cluster, timeout: float):
        """
        Args:
            directory: of the run, on a file system that all workers share.
            cluster: of this process.
            timeout: seconds without a heartbeat after which a worker is lost.
        """
        self._directory = directory / DIRECTORY
        self._cluster = cluster
        self._timeout = timeout
        self._facts: dict[str, Any] = {}
        self._state, self._reason, self._exit_code = _RUNNING, "", EXIT_LOST_WORKER
        self._count = 0
        self._lock = threading.Lock()
        self._finished = threading.Event()
        self._peers = [_Peer(i) for i in range(cluster.workers) if i != cluster.index]
        self._thread = threading.Thread(target=self._watch, name="workers", daemon=True)

    def __enter__(self) -> "Workers":
        if not self._peers:
            return self
        self._directory.mkdir(parents=True, exist_ok=True)
        for peer in self._peers:
            # Heartbeats of an earlier start must not count for this one.
            peer.content = self._read(peer)
        self._write_heartbeat()
        self._wait_until("start", lambda peer: peer.beats > 0)
        self._thread.start()
        return self

    def __exit__(self, kind, error, traceback) -> None:
        if not self._peers:
            return
        if isinstance(error, ConnectionError):
            # A worker is gone. The thread finds out which one, and ends this process.
            time.sleep(self._timeout + 2 * _BEAT_SECONDS)
        self._finished.set()
        self._state = _DONE if error is None else _FAILED
        self._reason = " ".join(str(error or "").split())[:300]
        if isinstance(error, UserError):  # others may pass, such as those of a device
            self._exit_code = error.exit_code
        self._write_heartbeat()

    def publish(self, **facts: Any) -> None:
        """Sends values with the next heartbeat; the other workers see them within seconds."""
        # A new dict: the thread may be writing the old one.
        self._facts = {**self._facts, **facts}

    def agree(self, name: str, value: Any) -> None:
        """Waits until all workers have published their value and checks that all are equal.

        Args:
            name: of the value.
            value: of JSON; of two dicts that differ the entries are told.

        Raises:
            UserError: a worker has another value.
            LostWorker: a worker does not publish its value in time.
        """
        self.publish(**{name: value})
        self._wait_until(f"publish its {name}", lambda peer: name in peer.facts)
        for peer in self._peers:
            if peer.facts[name] != value:
                raise UserError(
                    f"{self._cluster.name(peer.index)} has "
                    f"{_difference(name, peer.facts[name], value)}: all workers need the same "
                    "command, the same images and the same --run_dir on a file system that they "
                    "share"
                )

    def wait_for_chief(self, name: str) -> None:
        """Waits, unless this is the chief, until the chief has published a value.

        Raises:
            LostWorker: the chief does not publish it in time.
        """
        if not self._cluster.is_chief:
            self._wait_until(f"publish its {name}", lambda peer: peer.index or name in peer.facts)

    def shared_value(self, name: str) -> Any:
        """The value published by the first other worker that has one; None if none has."""
        return next((o.facts[name] for o in self._peers if name in o.facts), None)

    def lost_worker(self) -> LostWorker | None:
        """The first lost worker and the reason; None if all are well."""
        for peer in self._peers:
            if peer.state == _FAILED:
                return self._failure(peer)
            name = self._cluster.name(peer.index)
            silent = time.monotonic() - peer.heard
            if peer.state == _RUNNING and silent > self._timeout:
                at = peer.facts.get("step")
                step = f", last at step {at}" if at is not None else ""
                return LostWorker(
                    f"{name} has not been heard of for {silent:.0f} s (--worker_timeout){step}"
                )
        return None

    def _failure(self, peer: "_Peer") -> LostWorker:
        name = self._cluster.name(peer.index)
        return LostWorker(f"{name} has left: {peer.reason}", peer.exit_code)

    def _wait_until(self, what: str, is_ready) -> None:
        if not self._peers:
            return
        while True:
            self._write_heartbeat()
            self._read_heartbeats()
            missing = [peer for peer in self._peers if not is_ready(peer)]
            for peer in self._peers:
                if peer.state == _FAILED:
                    raise self._failure(peer)
            if not missing:
                return
            # A worker with a heartbeat is at work, however long its work takes.
            silent = [o for o in missing if time.monotonic() - o.heard > self._timeout]
            if silent:
                names = ", ".join(self._cluster.name(peer.index) for peer in silent)
                raise LostWorker(
                    f"{names} did not {what} within {self._timeout:g} s: start all workers with "
                    "the same command and a --run_dir that they share, or raise --worker_timeout"
                )
            time.sleep(min(_BEAT_SECONDS, self._timeout) / 4)

    def _watch(self) -> None:
        while not self._finished.wait(_BEAT_SECONDS):
            try:
                self._write_heartbeat()
            except (OSError, NotWritten):
                pass  # a full disk or a slow mount: the next heartbeat may succeed
            self._read_heartbeats()
            lost_worker = self.lost_worker()
            if lost_worker and not self._finished.is_set():
                # The main thread may hang in a collective for ever: only this ends it.
                way_out = "the same command on all of them resumes from the last checkpoint"
                if lost_worker.exit_code != EXIT_LOST_WORKER:
                    way_out = "what it has told is to be mended first"
                print(
                    f"error: {lost_worker}; this worker ends too, and {way_out}",
                    file=sys.stderr,
                    flush=True,
                )
                os._exit(lost_worker.exit_code)

    def _file(self, index: int) -> Path:
        return self._directory / f"worker_{index}.json"

    def _write_heartbeat(self) -> None:
        with self._lock:
            self._count += 1
            content = {
                "process": os.getpid(),
                "count": self._count,
                "state": self._state,
                "reason": self._reason,
                "exit_code": self._exit_code,
                "facts": self._facts,
            }
            # Not synced: a heartbeat is soon out of date.
            write_text(self._file(self._cluster.index), json.dumps(content), sync=False)

    def _read(self, peer: "_Peer") -> str:
        try:
            return self._file(peer.index).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""

    def _read_heartbeats(self) -> None:
        for peer in self._peers:
            content = self._read(peer)
            if not content or content == peer.content:
                continue
            peer.content = content
            heartbeat = _parsed(content)
            if heartbeat is None:
                continue  # by something else; a worker that lives writes the next within seconds
            peer.heard = time.monotonic()
            # A worker that already left an earlier start is not one of this start.
            if peer.beats or heartbeat["state"] == _RUNNING:
                peer.beats += 1
                peer.state, peer.reason = heartbeat["state"], str(heartbeat.get("reason", ""))
                peer.exit_code = heartbeat.get("exit_code", EXIT_LOST_WORKER)
                peer.facts = heartbeat["facts"]


def _difference(name: str, theirs: Any, ours: Any) -> str:
    """What differs between the values of another worker and of this one, in words."""
    if not (isinstance(theirs, dict) and isinstance(ours, dict)):
        theirs, ours = {name: theirs}, {name: ours}
    differing = [entry for entry in {**ours, **theirs} if ours.get(entry) != theirs.get(entry)]
    return "; ".join(
        f"{entry} {theirs.get(entry)!r}, this worker {ours.get(entry)!r}"
        for entry in differing[:_LISTED]
    )


def _parsed(content: str) -> dict[str, Any] | None:
    """The heartbeat in a file; None if it is none."""
    try:
        heartbeat = json.loads(content)
        known = heartbeat["state"] in (_RUNNING, _DONE, _FAILED)
        return heartbeat if known and isinstance(heartbeat["facts"], dict) else None
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


class _Peer:
    """Another worker.

    Attributes:
        index: of the worker.
        content: of its file, as last read.
        beats: number of heartbeats seen.
        heard: monotonic time of the last one, by the clock of this process, in seconds.
        state, reason, exit_code, facts: of its last heartbeat.
    """

    def __init__(self, index: int):
        self.index = index
        self.content = ""
        self.beats = 0
        self.heard = time.monotonic()
        self.state, self.reason, self.exit_code = _RUNNING, "", EXIT_LOST_WORKER
        self.facts: dict[str, Any] = {}
