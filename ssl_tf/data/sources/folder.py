"""A source of image files: a flat, unlabelled folder, or one folder a class."""

import filecmp
import os
import sys
from collections import Counter

import tensorflow as tf

from ssl_tf.data.decoding import EXTENSIONS, read_file
from ssl_tf.data.source import IndexedSource
from ssl_tf.errors import UserError

_ENDINGS = tuple(map(str.encode, EXTENSIONS))
_KINDS_LISTED = 5


class ImageFolder(IndexedSource):
    """The images under a folder, sorted by their path, which is also their id.

    The source is unlabelled if an image lies at the top level; it then has the images of all
    folders below. Else each folder at the top level is a class, with its images at any depth. An
    empty folder is a class, too, so that parts of a data set agree on the labels. Hidden files and
    folders are left out. Links to folders are followed, except back into a folder above them.
    Other files are left out, too, and counted on stderr by their extension.

    Attributes:
        directory: the folder, absolute and without links.
    """

    def __init__(self, folder: str):
        """Lists the images.

        Raises:
            UserError: the folder does not exist, is no folder, or has no image.
        """
        if not os.path.isdir(folder):
            problem = "is a file, not a folder" if os.path.exists(folder) else "does not exist"
            raise UserError(f"--image_folder={folder} {problem}")
        try:
            listing = _Listing(os.fsencode(folder))
        except OSError as error:
            raise UserError(
                f"--image_folder={folder} cannot be listed: {error.strerror}, "
                f"{os.fsdecode(error.filename or folder)}"
            ) from None
        paths = sorted(listing.paths)
        if not paths:
            found = listing.left_out_summary()
            raise UserError(
                f"--image_folder={folder} holds no image "
                f"({', '.join(EXTENSIONS)}, in any case, at any depth)"
                + (f"; it holds {found}: convert or rename them" if found else "")
            )
        classes: list[bytes] = []
        if all(b"/" in path for path in paths):
            classes = sorted(listing.folders)
        listing.warn(folder, classes)
        super().__init__(
            f"folder {folder}", len(paths), len(classes) or None, tuple(map(os.fsdecode, classes))
        )
        self.directory = os.path.realpath(folder)
        self._folder = os.fsencode(os.path.join(folder, ""))
        self._paths = tf.constant(paths)
        self._labels = None
        if classes:
            label_of = {name: label for label, name in enumerate(classes)}
            self._labels = tf.constant([label_of[path.split(b"/")[0]] for path in paths], tf.int64)

    def copies_in(self, other: "ImageFolder") -> list[str]:
        """Paths of images here that the other folder holds under the same name with equal bytes.

        A name is the last part of a path. Names come first, then sizes, so that few files are read.
        """
        named: dict[bytes, list[bytes]] = {}
        ours = set(map(os.path.basename, self._paths.numpy()))
        for path in other._paths.numpy():
            if os.path.basename(path) in ours:
                named.setdefault(os.path.basename(path), []).append(other._folder + path)
        return [
            os.fsdecode(path)
            for path in self._paths.numpy()
            if any(
                filecmp.cmp(self._folder + path, theirs, shallow=False)
                for theirs in named.get(os.path.basename(path), ())
            )
        ]

    def _id(self, row: tf.Tensor) -> tf.Tensor:
        return tf.gather(self._paths, row)

    def _annotation(self, row: tf.Tensor) -> dict[str, tf.Tensor]:
        annotation = {"id": self._id(row)}
        if self._labels is not None:
            annotation["label"] = tf.gather(self._labels, row)
        return annotation

    def _example(self, row: tf.Tensor) -> dict[str, tf.Tensor]:
        path = tf.strings.join([self._folder, self._id(row)])
        return {**self._annotation(row), "image": read_file(path)}


class _Listing:
    """What lies under a folder.

    Attributes:
        paths: the images, relative to the folder, in no order.
        folders: names of the folders at the top level.
        left_out: (folder at the top level or b"", kind) -> number of files that are no images by
            their name; a kind is an extension in lower case.
    """

    def __init__(self, folder: bytes):
        """Lists the folder.

        Raises:
            OSError: a folder cannot be listed.
        """
        self.paths: list[bytes] = []
        self.folders: list[bytes] = []
        self.left_out: Counter[tuple[bytes, str]] = Counter()
        self._walk(folder, b"", ())

    def left_out_summary(self) -> str:
        """The kinds of files that are left out with their numbers, the most frequent first."""
        kinds: Counter[str] = Counter()
        for (_, kind), count in self.left_out.items():
            kinds[kind] += count
        more = ", ..." if len(kinds) > _KINDS_LISTED else ""
        return ", ".join(f"{n} {kind}" for kind, n in kinds.most_common(_KINDS_LISTED)) + more

    def warn(self, folder: str, classes: list[bytes]) -> None:
        """Tells on stderr which files are left out, and which classes lose all images by that."""
        if not self.left_out:
            return
        print(
            f"warning: --image_folder={folder}: left out as no images "
            f"({', '.join(EXTENSIONS)}): {self.left_out_summary()}; convert or rename images",
            file=sys.stderr,
        )
        with_images = {path.split(b"/")[0] for path in self.paths}
        emptied = {top for top, _ in self.left_out} & set(classes) - with_images
        if emptied:
            names = [_printable(name) for name in sorted(emptied)]
            more = ", ..." if len(names) > _KINDS_LISTED else ""
            print(
                f"warning: {len(names)} classes are empty without these files: "
                f"{', '.join(names[:_KINDS_LISTED])}{more}",
                file=sys.stderr,
            )

    def _walk(self, folder: bytes, prefix: bytes, above: tuple[tuple[int, int], ...]) -> None:
        """Adds what lies under a folder.

        Args:
            folder: the folder to list.
            prefix: its path relative to the top folder, with a slash at its end.
            above: device and inode of each folder above it; a link must not lead back into one.
        """
        status = os.stat(folder)
        here = (status.st_dev, status.st_ino)
        if here in above:
            return
        with os.scandir(folder) as entries:
            entries = [entry for entry in entries if not entry.name.startswith(b".")]
        for entry in entries:
            if _leads_to(entry, "dir"):
                if not prefix:
                    self.folders.append(entry.name)
                self._walk(entry.path, prefix + entry.name + b"/", (*above, here))
            elif not _leads_to(entry, "file"):
                kind = "broken links" if entry.is_symlink() else "special files"
                self.left_out[prefix.split(b"/")[0], kind] += 1
            elif entry.name.lower().endswith(_ENDINGS):
                self.paths.append(prefix + entry.name)
            else:
                extension = os.path.splitext(entry.name)[1].lower()
                kind = _printable(extension) if extension else "without extension"
                self.left_out[prefix.split(b"/")[0], kind] += 1


def _leads_to(entry: os.DirEntry, kind: str) -> bool:
    """Whether an entry is, or is a link to, a "dir" or a regular "file"."""
    try:
        return entry.is_dir() if kind == "dir" else entry.is_file()
    except OSError:  # a link in a circle
        return False


def _printable(name: bytes) -> str:
    """A name for a message, without control characters."""
    return os.fsdecode(name).encode("unicode_escape", "backslashreplace").decode()
