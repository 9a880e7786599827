"""What is to be prepared: a folder or a list of files, and its classes."""

import dataclasses
import errno
import hashlib
import os
from pathlib import Path

from ssl_tf.data.listing import (
    are_splits,
    list_images,
    warn_of_like_classes,
    warn_of_no_classes,
    warn_of_one_class,
)
from ssl_tf.data.parallel_reading import read_each
from ssl_tf.errors import UserError, warn
from ssl_tf.preparation.as_seen import EXTENSIONS

# The file is at fault, not the disk or the network, which may be well again later.
OF_THE_FILE = (
    errno.ENOENT, errno.EACCES, errno.EPERM, errno.EISDIR, errno.ENOTDIR, errno.ELOOP,
    errno.ENAMETOOLONG,
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class FileList:
    """The files to prepare.

    Attributes:
        root: the folder, to which the paths are relative; absolute, without links.
        paths: sorted; they are the ids, as those of an image folder.
        sizes: of the files, in bytes; None for a file that cannot be looked at.
        classes: sorted names of the classes: the folders at the top, if no image lies beside them;
            else empty.
    """

    root: str
    paths: list[str]
    sizes: list[int | None]
    classes: list[str]

    @classmethod
    def at(cls, root: str, paths: list[str], classes: list[str]) -> "FileList":
        """The list with the sizes that the files have now.

        Raises:
            OSError: the disk fails.
        """
        sizes = list(read_each(size_of, [os.path.join(root, path) for path in paths]))
        return cls(root, paths, sizes, classes)

    @property
    def sha256(self) -> str:
        """A digest of all paths, hexadecimal."""
        names = b"".join(b"%d:%s" % (len(p), p) for p in map(os.fsencode, self.paths))
        return hashlib.sha256(names).hexdigest()

    def listing(self) -> dict[str, int | str]:
        """What tells the files from others: their number, and digests of paths and sizes."""
        sizes = b" ".join(b"-" if size is None else b"%d" % size for size in self.sizes)
        digest = hashlib.sha256(sizes).hexdigest()
        return {"count": len(self.paths), "sha256": self.sha256, "sizes": digest}


def collect(source: str, output: str) -> FileList:
    """Lists a folder, or reads a list of files.

    Args:
        source: the folder or the list (--input).
        output: the directory of the results, which must not lie in the folder.

    Raises:
        UserError: it does not exist, cannot be read, or names no image.
        OSError: the disk fails.
    """
    if not os.path.exists(source):
        raise UserError(f"--input={source} does not exist; give a folder, or a file of paths")
    files = _folder(source, output) if os.path.isdir(source) else _list(source)
    if are_splits(files.classes):
        warn(
            f"--input={source} has only the folders {', '.join(files.classes)}, which are taken "
            "for classes, and their images are mixed; prepare each of them by itself"
        )
    classes = list(map(os.fsencode, files.classes))
    warn_of_no_classes(f"--input={source}", list(map(os.fsencode, files.paths)))
    warn_of_one_class(f"--input={source}", classes)
    warn_of_like_classes(f"--input={source}", classes)
    return files


def size_of(path: str) -> int | None:
    """The size of a file in bytes; None if it cannot be looked at, through its own fault.

    Raises:
        OSError: the disk fails.
    """
    try:
        return os.path.getsize(path)
    except OSError as error:
        if error.errno not in OF_THE_FILE:
            raise
        return None


def class_of(path: str) -> str:
    """The class of an image in a collection that has classes."""
    return path.partition("/")[0]


def _folder(source: str, output: str) -> FileList:
    root, inside = os.path.realpath(source), os.path.realpath(output)
    if os.path.commonpath([root, inside]) == root:
        raise UserError(
            f"--output={output} lies in --input={source}, so its own files would be prepared; give "
            "a directory outside"
        )
    listing = list_images(f"--input={source}", source, EXTENSIONS)
    classes = listing.classes()
    listing.warn(f"--input={source}", classes)
    paths = map(os.fsdecode, sorted(listing.paths))
    return FileList.at(root, list(paths), list(map(os.fsdecode, classes)))


def _list(source: str) -> FileList:
    """Reads the list; its paths are relative to its folder, or absolute."""
    try:
        text = Path(source).read_bytes().decode("utf-8-sig", "surrogateescape")
    except OSError as error:
        raise UserError(f"--input={source} cannot be read ({error.strerror})") from None
    folder = os.path.realpath(os.path.dirname(source) or ".")
    # A name may hold what Python takes for an end of a line, or end in a space.
    lines = [line.removesuffix("\r") for line in text.split("\n") if line.strip()]
    if not lines or "\0" in text:
        raise UserError(f"--input={source} names no file; give one path a line")
    lines = [line if os.path.exists(os.path.join(folder, line)) else line.strip() for line in lines]
    paths = {_absolute(folder, line) for line in lines}
    root = _root(source, folder, lines, paths)
    names = sorted((os.path.relpath(path, root) for path in paths), key=os.fsencode)
    with_folders = all("/" in name for name in names)
    classes = sorted({class_of(name) for name in names}, key=os.fsencode) if with_folders else []
    return FileList.at(os.path.realpath(root), names, classes)


def _absolute(folder: str, line: str) -> str:
    """The path of a line. Links keep their names, but `..` behind one leads from where it leads.

    Args:
        folder: of the list, without links.
        line: of the list.
    """
    parts = line.split(os.sep)
    if os.pardir not in parts:
        return os.path.normpath(os.path.join(folder, line))
    above = len(parts) - parts[::-1].index(os.pardir)
    start = os.path.realpath(os.path.join(folder, os.sep.join(parts[:above])))
    return os.path.normpath(os.path.join(start, *parts[above:]))


def _root(source: str, folder: str, lines: list[str], paths: set[str]) -> str:
    """The folder to which the ids of a list are relative.

    It is the folder of the list if the list names images below it by relative paths. It is the
    deepest folder of all images if they are named by absolute paths, wherever the list lies, or by
    relative ones of which some lead out of the folder.

    Args:
        source: the list.
        folder: of the list.
        lines: of the list.
        paths: the same as absolute paths.
    """
    absolute = sum(map(os.path.isabs, lines))
    if absolute < len(lines) and os.path.commonpath([folder, *paths]) == folder:
        return folder
    if 0 < absolute < len(lines):
        raise UserError(
            f"--input={source} names {absolute} images by absolute paths and "
            f"{len(lines) - absolute} by relative ones, not all in {folder}; write all alike"
        )
    return os.path.commonpath([os.path.dirname(path) for path in paths])
