"""Files: written whole or not at all, read as JSON, digested, removed."""

import contextlib
import csv
import errno
import hashlib
import io
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from ssl_tf.errors import SettingsError, UserError

# Suffix of files that are not complete yet. A killed process may leave such files.
UNFINISHED = ".writing"


# What a disk answers that takes no more.
_REFUSALS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)
# Modules of errors that have the words of the answer, but no number.
_WITHOUT_NUMBERS = ("tensorflow.", "safetensors")


class NotWritten(UserError):
    """A file that the disk refuses; what was there before is untouched.

    Attributes:
        cause: the answer of the disk, in a few words.
    """

    def __init__(self, path: Path, cause: str):
        self.cause = cause
        super().__init__(
            f"{path} is not written ({cause}): make room and start the same command again"
        )


def refusal(error: BaseException) -> str | None:
    """The reason for which a disk refused to write, in a few words; None for other errors."""
    if isinstance(error, OSError):
        return os.strerror(error.errno) if error.errno in _REFUSALS else None
    if type(error).__module__.startswith(_WITHOUT_NUMBERS):
        message = str(error)
        return next((text for text in map(os.strerror, _REFUSALS) if text in message), None)
    return None


@contextlib.contextmanager
def replacing(path: Path, *, shared: bool = False, sync: bool = True) -> Iterator[Path]:
    """Renames a temporary path to `path` when the block ends without an error.

    The block writes a file or a directory at the temporary path. An error removes it and leaves
    `path` unchanged.

    Args:
        path: the final path; a file or an empty directory there is replaced.
        shared: several processes may write `path` at the same time, on several machines, too; each
            gets another temporary path.
        sync: write the content to the disk before the rename, so that a power cut cannot leave an
            empty file at `path`.

    Yields:
        The temporary path, next to `path`.

    Raises:
        NotWritten: the disk is full, or refuses for another reason.
    """
    # Containers and machines have processes of the same number.
    writer = f".{os.getpid()}.{os.urandom(4).hex()}" if shared else ""
    temporary = path.with_name(f"{path.name}{writer}{UNFINISHED}")
    remove(temporary)
    try:
        yield temporary
        if sync:
            for content in (*temporary.rglob("*"), temporary):
                _sync(content)
        temporary.replace(path)
        if sync:
            _sync(path.parent)
    except BaseException as error:
        remove(temporary)
        cause = refusal(error)
        if cause is None:
            raise
        raise NotWritten(path, cause) from None


def write_text(path: Path, text: str, *, sync: bool = True) -> None:
    """Writes a text file in UTF-8; see `replacing`."""
    with replacing(path, sync=sync) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Writes a JSON file, indented for people; see `replacing`."""
    write_text(path, json.dumps(value, indent=1) + "\n")


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Writes a CSV file with a line of names; see `replacing`."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    write_text(path, text.getvalue())


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_json(path: Path, kind: type | tuple[type, ...], remedy: str) -> Any:
    """The value in a JSON file.

    Args:
        path: of the file.
        kind: that the value must have, or several of which it must have one.
        remedy: what a user can do if the file is damaged, for the message.

    Raises:
        UserError: the file is no JSON, its value is of another kind, or it cannot be read.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); {remedy}") from None
    except (ValueError, RecursionError):
        raise UserError(f"{path} is damaged, it is no JSON; {remedy}") from None
    if not isinstance(value, kind):
        raise UserError(f"{path} is damaged or of something else; {remedy}")
    return value


def prepare_output(path: Path, *, is_directory: bool = False) -> None:
    """Makes sure, before the work, that its result can be written; missing parents are created.

    Args:
        path: of the result, by --output.
        is_directory: whether the result is a directory, which may exist, and not a file.

    Raises:
        SettingsError: something is in the way, or the place cannot be written.
    """
    if path.exists() and path.is_dir() != is_directory:
        found, wanted = ("directory", "file") if path.is_dir() else ("file", "directory")
        raise SettingsError(f"--output={path} is a {found}; give a {wanted}")
    directory = path if is_directory else path.parent
    try:
        directory.mkdir(parents=True, exist_ok=True)
        # Permissions do not tell everything, a read-only mount for one.
        with tempfile.TemporaryFile(dir=directory):
            pass
    except OSError as error:
        raise SettingsError(
            f"--output={path} cannot be written ({error.strerror}); give another path"
        ) from None


def remove(path: Path) -> None:
    """Removes a file or a directory, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def remove_unfinished(directory: Path) -> None:
    """Removes what killed processes left in a directory and its folders; it is locked."""
    for pattern in (f"*{UNFINISHED}", f"*/*{UNFINISHED}"):
        for path in directory.glob(pattern):
            remove(path)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
