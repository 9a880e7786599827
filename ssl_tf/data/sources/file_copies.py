"""Files of equal bytes."""

import hashlib
import os
from collections.abc import Sequence

from ssl_tf.data.parallel_reading import read_each

# Of files of equal size, so many bytes tell most photographs apart.
_HEAD_BYTES = 4096
_UNREADABLE = b""


def copied(files: Sequence[bytes], others: Sequence[bytes]) -> list[bytes]:
    """The files of which there is one of equal bytes among others.

    Only others of an equal size are opened, and read whole only if they begin alike, each once.
    """
    if not (files and others):
        return []
    wanted = set(read_each(_size, files)) - {0}
    others = [path for path, size in zip(others, read_each(_size, others)) if size in wanted]
    for digest in (_of_head, _of_all):
        ours, theirs = list(read_each(digest, files)), list(read_each(digest, others))
        common = {*ours} & {*theirs} - {_UNREADABLE}
        files = [path for path, found in zip(files, ours) if found in common]
        others = [path for path, found in zip(others, theirs) if found in common]
    return files


def _size(path: bytes) -> int:
    """0 of a file that cannot be read, which is no copy of another."""
    try:
        return os.path.getsize(path)
    except OSError:
        return 0


def _of_head(path: bytes) -> bytes:
    return _digest(path, _HEAD_BYTES)


def _of_all(path: bytes) -> bytes:
    return _digest(path, -1)


def _digest(path: bytes, count: int) -> bytes:
    """Of the first bytes of a file, and of its size."""
    try:
        with open(path, "rb") as file:
            begin = file.read(count)
            size = os.fstat(file.fileno()).st_size
    except OSError:
        return _UNREADABLE
    return hashlib.sha256(b"%d " % size + begin).digest()
