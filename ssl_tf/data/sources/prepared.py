"""Sources of what `prepare` wrote: encoded images in records, or raw pixels."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf

from ssl_tf.data.parallel_reading import read_each
from ssl_tf.data.prepared_manifest import ID, IMAGE, LABEL, Manifest, PixelIndex, RecordFile
from ssl_tf.data.record_framing import FRAME_BYTES, first_checksums
from ssl_tf.data.source import IndexedSource, Source
from ssl_tf.data.sources.originals import original_files
from ssl_tf.data.sources.record_files import RecordSource, Shard
from ssl_tf.errors import NoSuchSplit


def open_prepared(directory: str, split: str, shuffle_mib: int) -> Source:
    """One split of prepared images; the ids are the paths of the originals.

    The manifest has all numbers, so no image is read until it is needed.

    Args:
        directory: the output of `prepare`.
        split: "train" or "validation".
        shuffle_mib: memory for the shuffle buffer of encoded images, in MiB.

    Raises:
        NoSuchSplit: there is no such split.
        UserError: the directory is no complete output, or a record file is gone or cut.
    """
    manifest = Manifest.read(Path(directory))
    files = manifest.splits.get(split)
    if not files:
        raise NoSuchSplit(
            f"--split={split}: --prepared={directory} has {', '.join(manifest.splits)}"
        )
    for file in files:
        file.check(Path(directory))
    name = f"prepared {directory}:{split}"
    if manifest.encoding == "raw":
        source = RawImages(name, directory, files, manifest)
    else:
        source = PreparedImages(name, directory, files, shuffle_mib, manifest)
    source.prepared = Path(directory), split
    return source


class _Prepared:
    """Images that were prepared from files.

    Attributes:
        prepared: the output of `prepare`, and the split.
    """

    prepared: tuple[Path, str]

    def files(self) -> set[bytes]:
        return original_files(*self.prepared)


class PreparedImages(_Prepared, RecordSource):
    """Encoded images, in the order drawn by `prepare`."""

    def __init__(
        self,
        name: str,
        directory: str,
        files: list[RecordFile],
        shuffle_mib: int,
        manifest: Manifest,
    ):
        """Lists the files of the split."""
        self._labelled = bool(manifest.class_names)
        self._listing = _listing(manifest)
        records = sum(file.records for file in files)
        super().__init__(
            name,
            [Shard(os.path.join(directory, file.name), 0, file.records) for file in files],
            record_bytes=sum(file.size for file in files) / records - FRAME_BYTES,
            shuffle_mib=shuffle_mib,
            num_classes=len(manifest.class_names) or None,
            class_names=manifest.class_names,
        )

    def details(self) -> Iterator[bytes]:
        """Those of record files, and of which files the images were prepared."""
        yield from super().details()
        yield self._listing

    def _parse(self, serialized: tf.Tensor, row: tf.Tensor) -> dict[str, tf.Tensor]:
        wanted = {name: tf.io.FixedLenFeature([], tf.string) for name in (IMAGE, ID)}
        if self._labelled:
            wanted[LABEL] = tf.io.FixedLenFeature([], tf.int64)
        features = tf.io.parse_single_example(serialized, wanted)
        example = {"id": features[ID], "image": features[IMAGE]}
        return {**example, "label": features[LABEL]} if self._labelled else example


class RawImages(_Prepared, IndexedSource):
    """Raw pixels, read from their places in the record files, in any order.

    Records would be read, parsed and kept in a shuffle buffer, which takes twice as long as to read
    the pixels once.
    """

    def __init__(self, name: str, directory: str, files: list[RecordFile], manifest: Manifest):
        """Reads the indices of the record files.

        Raises:
            UserError: an index is damaged, gone, or of another preparation.
        """
        paths = [os.path.join(directory, file.name) for file in files]
        indices = [PixelIndex.read(Path(path), file.index) for path, file in zip(paths, files)]
        sizes = [len(index.id) for index in indices]
        classes = manifest.class_names
        super().__init__(name, sum(sizes), len(classes) or None, classes)
        self._paths = paths
        self._listing = _listing(manifest)
        self._columns = {
            field: tf.constant(np.concatenate([getattr(index, field) for index in indices]))
            for field in ("id", "label", "offset", "height", "width")
        }
        if sizes:
            self.largest_side = max(
                int(tf.reduce_max(self._columns[s])) for s in ("height", "width")
            )
        self._columns["file"] = tf.constant(np.repeat(np.arange(len(paths)), sizes))

    def details(self) -> Iterator[bytes]:
        """Sizes and checksums of the record files, place, sides and label of each image.

        And of which files the images were prepared.

        Raises:
            UserError: a record file cannot be read, or is damaged at its begin.
        """
        for path in self._paths:
            yield b"%d" % os.path.getsize(path)
        for name in ("file", "offset", "height", "width", "label"):
            yield self._columns[name].numpy()[self._row_numbers()].tobytes()
        yield from read_each(first_checksums, self._paths)
        yield self._listing

    def places(self) -> dict[str, np.ndarray]:
        """Each record file -> the offsets of its images."""
        file, offset = (self._columns[n].numpy()[self._row_numbers()] for n in ("file", "offset"))
        return {os.path.realpath(path): offset[file == n] for n, path in enumerate(self._paths)}

    def _id(self, row: tf.Tensor) -> tf.Tensor:
        return tf.gather(self._columns["id"], row)

    def _annotation(self, row: tf.Tensor) -> dict[str, tf.Tensor]:
        label = tf.gather(self._columns["label"], row)
        return {"id": self._id(row), **({"label": label} if self.num_classes else {})}

    def _example(self, row: tf.Tensor) -> dict[str, tf.Tensor]:
        file, offset, height, width = (
            tf.gather(self._columns[name], row) for name in ("file", "offset", "height", "width")
        )
        values = tf.numpy_function(self._read, [file, offset, 3 * height * width], tf.uint8, False)
        image = tf.reshape(values, tf.stack([height, width, 3]))
        return {**self._annotation(row), "image": tf.ensure_shape(image, [None, None, 3])}

    def _read(self, file: np.ndarray, offset: np.ndarray, size: np.ndarray) -> np.ndarray:
        """The bytes of an image; other threads work on while the disk is read.

        Raises:
            UserError: the file has become shorter, or cannot be read any more.
        """
        values, read = np.empty(size, np.uint8), 0
        try:
            # Opened for each image, since a large data set has more files than a process may hold
            # open.
            opened = os.open(self._paths[file], os.O_RDONLY)
            try:
                # A file system over a network may give a part at a time.
                while read < size and (part := os.preadv(opened, [values[read:]], offset + read)):
                    read += part
            finally:
                os.close(opened)
        except OSError as error:
            self.unreadable.refuse(f"{self._paths[file]} cannot be read any more: {error.strerror}")
        if read != size:
            self.unreadable.refuse(f"{self._paths[file]} has become shorter: restore the file")
        return values


def _listing(manifest: Manifest) -> bytes:
    """The files of which the images were prepared, by the digests in their manifest."""
    return json.dumps(manifest.listing, sort_keys=True).encode()
