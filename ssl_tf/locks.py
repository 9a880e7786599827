"""The lock on a directory: one process writes there at a time."""

import contextlib
import errno
import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

from ssl_tf.errors import UserError, warn

# Ends the name of the file of a lock.
SUFFIX = ".lock"
# Name of the lock's file in the directory. It names the holder, for people.
LOCK = f"run{SUFFIX}"
_UNSUPPORTED = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


@contextlib.contextmanager
def exclusive(directory: Path, name: str = LOCK) -> Iterator[TextIO]:
    """Holds the lock of a directory inside the block.

    The kernel holds the lock, not the file: it ends with the process, however that ends, so the
    file of a killed process holds nobody up. On a file system that passes locks on (NFSv4, CephFS,
    Lustre with flock) it also holds between machines.

    Args:
        directory: to lock; created if missing, and removed again if it is then still empty.
        name: of the lock's file, for directories with several locks.

    Yields:
        The lock's file. A process that inherits its descriptor holds the lock, too.

    Raises:
        UserError: another process holds the lock, or the directory cannot be written.
    """
    created = not directory.exists()
    try:
        directory.mkdir(parents=True, exist_ok=True)
        file = _lock(directory / name)
    except OSError as error:
        raise UserError(
            f"{directory} cannot be written ({error.strerror}); give another directory"
        ) from None
    try:
        yield file
    finally:
        # Removed before it is released: who opened it meanwhile sees that, and opens a new one.
        # Where there are no locks, another process may have taken it over.
        with contextlib.suppress(OSError):
            holder = parse_holder((directory / name).read_text(errors="replace"))
            if is_this_process(holder):
                (directory / name).unlink()
            if created:
                directory.rmdir()
        file.close()


def _lock(path: Path) -> TextIO:
    """The locked file, with this process as its content."""
    while True:
        file = path.open("a+", encoding="utf-8", errors="replace")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = _described(parse_holder(file.read()))
            file.close()
            locked = path.parent if path.name == LOCK else path.with_suffix("")
            raise UserError(
                f"{locked} is in use by {holder}; wait until that process has ended, or give "
                "another directory"
            ) from None
        except OSError as error:
            if error.errno not in _UNSUPPORTED:
                file.close()
                raise
            warn(
                f"the file system of {path.parent} has no locks; start one process there at a time"
            )
        if _is_at(file, path):
            break
        file.close()
    write_holder(
        file,
        {
            "host": socket.gethostname(),
            "process": os.getpid(),
            "since": time.strftime("%Y-%m-%d %H:%M:%S"),
        },
    )
    return file


def parse_holder(text: str) -> dict[str, Any]:
    """What the file of a lock tells of its holder, by name; empty if it is damaged."""
    try:
        holder = json.loads(text)
    except ValueError:
        return {}
    return holder if isinstance(holder, dict) else {}


def is_this_process(holder: Mapping[str, Any]) -> bool:
    """Whether a holder is this process; one of which a damaged file tells nothing counts so."""
    host, process = socket.gethostname(), os.getpid()
    return (holder.get("host", host), holder.get("process", process)) == (host, process)


def write_holder(file: TextIO, holder: Mapping[str, str | int]) -> None:
    """Names the holder in the file of a lock, in the place of what is there."""
    file.truncate(0)
    file.write(json.dumps(holder) + "\n")
    file.flush()


def _is_at(file: TextIO, path: Path) -> bool:
    """Whether the path still leads to the open file, and not to a later one or nowhere."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _described(holder: Mapping[str, Any]) -> str:
    try:
        return f"process {holder['process']} on {holder['host']} since {holder['since']}"
    except KeyError:
        return "another process"
