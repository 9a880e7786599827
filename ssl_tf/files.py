"""Atomic writing: a file is complete or absent, even if its writer is killed."""

import contextlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# Suffix of files that are not complete yet. A killed process may leave such files.
UNFINISHED = ".writing"


@contextlib.contextmanager
def replacing(path: Path, *, shared: bool = False, sync: bool = True) -> Iterator[Path]:
    """Renames a temporary path to `path` when the block ends without an error.

    The block writes a file or a directory at the temporary path. An error removes it and leaves
    `path` unchanged.

    Args:
        path: the final path; a file or an empty directory there is replaced.
        shared: several processes may write `path` at the same time; each gets another temporary
            path.
        sync: write the content to the disk before the rename, so that a power cut cannot leave an
            empty file at `path`.

    Yields:
        The temporary path, next to `path`.
    """
    process = f".{os.getpid()}" if shared else ""
    temporary = path.with_name(f"{path.name}{process}{UNFINISHED}")
    _remove(temporary)
    try:
        yield temporary
        if sync:
            for content in (*temporary.rglob("*"), temporary):
                _sync(content)
        temporary.replace(path)
        if sync:
            _sync(path.parent)
    except BaseException:
        _remove(temporary)
        raise


def write_text(path: Path, text: str, *, sync: bool = True) -> None:
    """Writes a text file in UTF-8; see `replacing`."""
    with replacing(path, sync=sync) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Writes a JSON file, indented for people; see `replacing`."""
    write_text(path, json.dumps(value, indent=1) + "\n")


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
