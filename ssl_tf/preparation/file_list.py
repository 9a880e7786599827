"""What is to be prepared: a folder or a list of files, and its classes."""

import dataclasses
import hashlib
import os
from pathlib import Path

from ssl_tf.data.listing import list_images
from ssl_tf.data.parallel_reading import read_each
from ssl_tf.errors import UserError
from ssl_tf.preparation.as_seen import EXTENSIONS


@dataclasses.dataclass(frozen=True)
class FileList:
    """The files to prepare.

    Attributes:
        root: the folder, to which the paths are relative.
        paths: sorted; they are the ids, as those of an image folder.
        classes: sorted names of the classes: the folders at the top, if no image lies beside them;
            else empty.
    """

    root: str
    paths: list[str]
    classes: list[str]

    @property
    def sha256(self) -> str:
        """A digest of all paths, hexadecimal."""
        names = b"".join(b"%d:%s" % (len(p), p) for p in map(os.fsencode, self.paths))
        return hashlib.sha256(names).hexdigest()

    def listing(self) -> dict[str, int | str]:
        """What tells the files from others: their number, and digests of paths and sizes.

        A file that cannot be looked at has no size.
        """
        sizes = b" ".join(read_each(_size, [os.path.join(self.root, p) for p in self.paths]))
        digest = hashlib.sha256(sizes).hexdigest()
        return {"count": len(self.paths), "sha256": self.sha256, "sizes": digest}


def collect(source: str, output: str) -> FileList:
    """Lists a folder, or reads a list of files.

    Args:
        source: the folder or the list (--input).
        output: the directory of the results, which must not lie in the folder.

    Raises:
        UserError: it does not exist, cannot be read, or names no image.
    """
    if os.path.isdir(source):
        return _folder(source, output)
    if not os.path.exists(source):
        raise UserError(f"--input={source} does not exist; give a folder, or a file of paths")
    return _list(source)


def _size(path: str) -> bytes:
    try:
        return b"%d" % os.path.getsize(path)
    except OSError:
        return b"-"


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
    return FileList(root, list(paths), list(map(os.fsdecode, classes)))


def _list(source: str) -> FileList:
    """Reads the list; its paths are relative to its folder, or all absolute."""
    try:
        text = Path(source).read_bytes().decode("utf-8-sig", "surrogateescape")
    except OSError as error:
        raise UserError(f"--input={source} cannot be read ({error.strerror})") from None
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines or "\0" in text:
        raise UserError(f"--input={source} names no file; give one path a line")
    folder = os.path.realpath(os.path.dirname(source) or ".")
    paths = {os.path.normpath(os.path.join(folder, line)) for line in lines}
    root = folder
    if os.path.commonpath([folder, *paths]) != folder:
        root = os.path.commonpath([os.path.dirname(path) for path in paths])
    names = sorted((os.path.relpath(path, root) for path in paths), key=os.fsencode)
    with_folders = all("/" in name for name in names)
    return FileList(root, names, sorted({class_of(n) for n in names}) if with_folders else [])
