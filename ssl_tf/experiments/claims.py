"""Who works on which trial, where several machines share the directory of a study."""

import contextlib
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from ssl_tf.errors import UserError
from ssl_tf.locks import SUFFIX, exclusive, is_this_process, parse_holder, write_holder

# Directory of the claims in that of a study.
CLAIMS = "claims"
# Times that a holder says that it is alive in the time after which it is taken for dead.
_BEATS = 6


class Taken(UserError):
    """Another process works on the trial."""


class Claims:
    """The claims of a process on trials.

    The kernel's lock tells the processes of a machine apart, and of machines whose file system
    passes locks on. It ends with its holder. For other file systems the holder also writes that it
    is alive: a claim of another machine counts until its file has not changed for `silence` seconds
    of our own clock. So a dead machine holds nobody up, and clocks need not agree.
    """

    def __init__(self, directory: Path, silence: float):
        """
        Args:
            directory: of the claims; all that share it share the trials.
            silence: seconds after which another machine is taken for dead.
        """
        self._directory = directory
        self._silence = silence
        # Trial -> what its file said last, and since when.
        self._seen: dict[str, tuple[str, float]] = {}

    @contextlib.contextmanager
    def take(self, trial: str) -> Iterator["Claim"]:
        """Holds a trial inside the block.

        Raises:
            Taken: another process holds it.
        """
        other = self._elsewhere(trial)
        if other:
            raise Taken(other)
        with contextlib.ExitStack() as stack:
            try:
                file = stack.enter_context(exclusive(self._directory, trial + SUFFIX))
            except UserError as error:
                raise Taken(str(error)) from None
            yield Claim(file, self._directory / (trial + SUFFIX), self._silence / _BEATS)

    def _elsewhere(self, trial: str) -> str:
        """Who holds a trial on another machine, in words; empty if nobody does that is alive."""
        try:
            text = (self._directory / (trial + SUFFIX)).read_text(errors="replace")
        except OSError:
            return ""
        seen, since = self._seen.get(trial, ("", 0.0))
        now = time.monotonic()
        if text != seen:
            self._seen[trial] = text, now
            since = now
        host = parse_holder(text).get("host", "")
        if host == socket.gethostname() or now - since > self._silence:
            return ""
        return f"{trial} is held by {host or 'another machine'}"


class Claim:
    """A trial that this process holds.

    Attributes:
        descriptor: of the lock's file; a child that inherits it holds the trial, too.
    """

    def __init__(self, file: TextIO, path: Path, every: float):
        self._file = file
        self._path = path
        self._every = every
        self._beats = 0
        self._last = time.monotonic()
        self.descriptor = file.fileno()

    def beat(self) -> bool:
        """Says that this process is alive, if it is time; whether the trial is still its own."""
        now = time.monotonic()
        if now - self._last < self._every:
            return True
        self._last = now
        try:
            holder = parse_holder(self._path.read_text(errors="replace"))
            if not is_this_process(holder):
                return False
            self._beats += 1
            write_holder(self._file, {**holder, "beats": self._beats})
        except OSError:
            pass  # a full disk, or a file server that is away for a moment
        return True
