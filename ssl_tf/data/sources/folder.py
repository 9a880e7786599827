"""A source of image files: a flat, unlabelled folder, or one folder a class."""

import os
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from ssl_tf.data import orientation
from ssl_tf.data.decoding import EXTENSIONS, read_file
from ssl_tf.data.listing import (
    list_images,
    warn_of_like_classes,
    warn_of_no_classes,
    warn_of_one_class,
)
from ssl_tf.data.parallel_reading import read_each
from ssl_tf.data.source import IndexedSource
from ssl_tf.errors import UserError, warn

# Images of a folder that are looked at for a warning.
_SAMPLE = 100


class ImageFolder(IndexedSource):
    """The images under a folder, sorted by their path, which is also their id.

    The source is unlabelled if an image lies at the top level; it then has the images of all
    folders below. Else each folder at the top level is a class, with its images at any depth. An
    empty folder is a class, too, so that parts of a data set agree on the labels. Hidden files and
    folders are left out. Links to folders are followed, except to those that were read already.
    Other files are left out, too, and counted on stderr by their extension.

    Attributes:
        directory: the folder, absolute and without links.
        orient: images are turned upright, as EXIF says.
    """

    are_files = True

    def __init__(self, folder: str, orient: bool = False):
        """Lists the images.

        Args:
            folder: the folder.
            orient: give examples the key "orientation", by which decoding turns images upright.
                Without it, a warning tells if images of a sample would be turned.

        Raises:
            UserError: the folder does not exist, is no folder, or has no image.
        """
        if not os.path.isdir(folder):
            problem = "is a file, not a folder" if os.path.exists(folder) else "does not exist"
            place = "" if os.path.isabs(folder) else f" in {os.getcwd()}"
            raise UserError(f"--image_folder={folder} {problem}{place}; correct the path")
        listing = list_images(f"--image_folder={folder}", folder, EXTENSIONS)
        paths = sorted(listing.paths)
        classes = listing.classes()
        listing.warn(f"--image_folder={folder}", classes)
        warn_of_no_classes(f"--image_folder={folder}", listing.paths)
        warn_of_one_class(f"--image_folder={folder}", classes)
        warn_of_like_classes(f"--image_folder={folder}", classes)
        super().__init__(
            f"folder {folder}", len(paths), len(classes) or None, tuple(map(os.fsdecode, classes))
        )
        self.directory = os.path.realpath(folder)
        self._folder = os.fsencode(os.path.join(folder, ""))
        self._paths = tf.constant(paths)
        self._links = listing.links
        self.orient = orient
        if not orient:
            self._warn_of_turns()
        self._labels = None
        if classes:
            label_of = {name: label for label, name in enumerate(classes)}
            self._labels = tf.constant([label_of[path.split(b"/")[0]] for path in paths], tf.int64)

    def details(self) -> Iterator[bytes]:
        """The size of each file. Its times are left out, since a copy has others."""
        paths = self._paths.numpy()[self._row_numbers()]
        return read_each(lambda path: b"%d" % os.path.getsize(self._folder + path), paths)

    def has_turned_images(self) -> bool:
        """Whether EXIF says of any image that it is seen in another way than it is stored.

        The heads of files are read until one says so.
        """
        return any(turn > 1 for turn in read_each(self._turn, self._paths.numpy()))

    def turns(self, most: int) -> tuple[np.ndarray, np.ndarray]:
        """The EXIF orientations, 1 to 8, of evenly spaced images, whose heads are read.

        Args:
            most: the largest number of them.

        Returns:
            Index and orientation of each: int64 and uint8 [N].
        """
        indices = np.arange(0, self.size, -(-self.size // most))
        paths = self._paths.numpy()[self._row_numbers()[indices]]
        return indices, np.fromiter(read_each(self._turn, paths), np.uint8, len(paths))

    def _turn(self, path: bytes) -> int:
        return orientation.in_file(self._folder + path)

    def files(self) -> set[bytes]:
        """The path of each image, whatever the name under which the folder was given.

        Of a link that of the file that it leads to.
        """
        paths = self._paths.numpy()[self._row_numbers()]
        # Its folders may be links, too.
        places = {
            name: os.path.realpath(self._folder + name) for name in set(map(os.path.dirname, paths))
        }
        return {
            os.path.realpath(self._folder + path)
            if path in self._links
            else os.path.join(places[os.path.dirname(path)], os.path.basename(path))
            for path in paths
        }

    def _id(self, row: tf.Tensor) -> tf.Tensor:
        return tf.gather(self._paths, row)

    def _annotation(self, row: tf.Tensor) -> dict[str, tf.Tensor]:
        annotation = {"id": self._id(row)}
        if self._labels is not None:
            annotation["label"] = tf.gather(self._labels, row)
        return annotation

    def _example(self, row: tf.Tensor) -> dict[str, tf.Tensor]:
        path = tf.strings.join([self._folder, self._id(row)])
        encoded = read_file(path)
        turn = {"orientation": orientation.of(encoded)} if self.orient else {}
        return {**self._annotation(row), "image": encoded, **turn}

    def _warn_of_turns(self) -> None:
        """Tells on stderr how many of a sample of images EXIF would turn, if there are any."""
        _, turns = self.turns(_SAMPLE)
        turned = (turns > 1).sum()
        if turned:
            warn(
                f"{self.name}: {turned} of {len(turns)} images that were looked at have "
                "an EXIF orientation, which is not applied: give --orient, or prepare the folder"
            )
