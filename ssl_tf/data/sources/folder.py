"""A source of image files: a flat, unlabelled folder, or one folder a class."""

import os
from collections.abc import Iterator

import tensorflow as tf

from ssl_tf.data.decoding import EXTENSIONS, read_file
from ssl_tf.data.source import IndexedSource
from ssl_tf.errors import UserError


class ImageFolder(IndexedSource):
    """The images under a folder, sorted by their path, which is also their id.

    The source is unlabelled if an image lies at the top level; it then has the images of all
    folders below. Else each folder at the top level is a class, with its images at any depth. An
    empty folder is a class, too, so that parts of a data set agree on the labels. Hidden files and
    folders are left out. Links to folders are followed, except back into a folder above them.

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
            paths = sorted(_images(os.fsencode(folder), b"", ()))
            folders = sorted(
                entry.name for entry in _entries(os.fsencode(folder)) if entry.is_dir()
            )
        except OSError as error:
            raise UserError(
                f"--image_folder={folder} cannot be listed: {error.strerror}, "
                f"{os.fsdecode(error.filename or folder)}"
            ) from None
        if not paths:
            raise UserError(
                f"--image_folder={folder} holds no image "
                f"({', '.join(EXTENSIONS)}, in any case, at any depth)"
            )
        classes: list[bytes] = []
        if all(b"/" in path for path in paths):
            classes = folders
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


def _entries(folder: bytes) -> list[os.DirEntry]:
    with os.scandir(folder) as entries:
        return [entry for entry in entries if not entry.name.startswith(b".")]


def _images(folder: bytes, prefix: bytes, above: tuple[tuple[int, int], ...]) -> Iterator[bytes]:
    """The paths of the images under a folder, relative to the top folder.

    Args:
        folder: the folder to list.
        prefix: its path relative to the top folder.
        above: device and inode of each folder above it; a link must not lead back into one.

    Yields:
        prefix + path of an image.
    """
    status = os.stat(folder)
    here = (status.st_dev, status.st_ino)
    if here in above:
        return
    for entry in _entries(folder):
        if entry.is_dir():
            yield from _images(entry.path, prefix + entry.name + b"/", (*above, here))
        elif entry.is_file() and entry.name.lower().endswith(tuple(map(str.encode, EXTENSIONS))):
            yield prefix + entry.name
