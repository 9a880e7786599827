"""The reader of a proposal store; `format` describes the files."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from ssl_tf.data.boxes import check_boxes
from ssl_tf.data.proposals.format import (
    FORMAT,
    MANIFEST,
    SIDES,
    ImageProposals,
    Manifest,
    Shard,
)
from ssl_tf.data.record_framing import UNPARSED, count_records
from ssl_tf.errors import UserError
from ssl_tf.files import sha256_of

_READ_AT_ONCE = 4096
_FEATURES = {
    "image/id": tf.io.FixedLenFeature([], tf.string),
    "image/height": tf.io.FixedLenFeature([], tf.int64),
    "image/width": tf.io.FixedLenFeature([], tf.int64),
    "image/object/score": tf.io.RaggedFeature(tf.float32, row_splits_dtype=tf.int64),
    "image/object/mask": tf.io.RaggedFeature(tf.string, row_splits_dtype=tf.int64),
    **{
        f"image/object/bbox/{side}": tf.io.RaggedFeature(tf.float32, row_splits_dtype=tf.int64)
        for side in SIDES
    },
}


class ProposalStore:
    """An existing proposal store.

    Attributes:
        path: directory of the store.
        manifest: description of the store.
    """

    def __init__(self, path: str | Path):
        """Reads the manifest and compares the sizes of the shards with it.

        Raises:
            UserError: the directory is no store, or a shard is missing or truncated.
        """
        self.path = Path(path)
        self.manifest = _read_manifest(self.path)
        for shard in self.manifest.shards:
            file = self.path / shard.name
            if not file.exists():
                raise UserError(f"{file} is missing: restore it, or make the proposals again")
            if file.stat().st_size != shard.bytes:
                # Names the record at which the file breaks off.
                found = count_records(str(file))
                raise UserError(
                    f"{file} has {found} whole records and {file.stat().st_size} bytes, where "
                    f"{MANIFEST} promises {shard.records} and {shard.bytes}: restore the file"
                )

    def read(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """All ids and boxes.

        Returns:
            ids: bytes objects [images], in the order of the store.
            splits: int64 [images + 1]; image i has the boxes splits[i]..splits[i + 1] - 1.
            boxes: float32 [boxes, 4].

        Raises:
            UserError: a shard is damaged, or has another number of records than in the manifest.
        """
        manifest = self.manifest
        ids = np.empty(manifest.images, object)
        splits = np.zeros(manifest.images + 1, np.int64)
        boxes = np.empty((manifest.boxes, 4), np.float32)
        row = 0
        for batch in self._batches():
            stop = row + len(batch["image/id"])
            ids[row:stop] = batch["image/id"].numpy()
            corners = [batch[f"image/object/bbox/{side}"] for side in SIDES]
            splits[row + 1 : stop + 1] = splits[row] + corners[0].row_splits.numpy()[1:]
            for n, side in enumerate(corners):
                boxes[splits[row] : splits[stop], n] = side.values.numpy()
            row = stop
        return ids, splits, boxes

    def images(self) -> Iterator[ImageProposals]:
        """The proposals, image by image, in the order of the store."""
        for batch in self._batches():
            splits = batch["image/object/score"].row_splits.numpy()
            boxes = tf.stack(
                [batch[f"image/object/bbox/{side}"].values for side in SIDES], axis=-1
            ).numpy()
            scores = batch["image/object/score"].values.numpy()
            masks = batch["image/object/mask"]
            mask_splits, masks = masks.row_splits.numpy(), masks.values.numpy()
            heights, widths = batch["image/height"].numpy(), batch["image/width"].numpy()
            for i, image_id in enumerate(batch["image/id"].numpy()):
                part = slice(splits[i], splits[i + 1])
                yield ImageProposals(
                    image_id.decode("utf-8", "surrogateescape"),
                    boxes[part],
                    scores[part],
                    int(heights[i]),
                    int(widths[i]),
                    tuple(m.decode() for m in masks[mask_splits[i] : mask_splits[i + 1]]),
                )

    def verify(self) -> None:
        """Reads all shards through and compares their digests.

        Raises:
            UserError: a file differs from the one that was written, or a box is invalid.
        """
        for shard in self.manifest.shards:
            if sha256_of(self.path / shard.name) != shard.sha256:
                count_records(str(self.path / shard.name))
                raise UserError(
                    f"{self.path / shard.name} is not the file that was written, although its "
                    "records can be read: restore it, or make the proposals again"
                )
        check_boxes(tf.data.Dataset.from_tensors(self.read()[2]), str(self.path))

    def _batches(self) -> Iterator[dict[str, Any]]:
        for shard in self.manifest.shards:
            file, found = str(self.path / shard.name), 0
            try:
                for serialized in tf.data.TFRecordDataset(file).batch(_READ_AT_ONCE):
                    yield _parsed(serialized, file, found)
                    found += len(serialized)
            except tf.errors.OpError as error:
                count_records(file)
                raise UserError(f"{file}: {error.message}") from None
            if found != shard.records:
                raise UserError(
                    f"{file} has {found} records where {MANIFEST} promises {shard.records}: "
                    "restore the file"
                )


def _parsed(serialized: tf.Tensor, file: str, first: int) -> dict[str, Any]:
    """The features of some records, of which `first` is the number in their file.

    Raises:
        UserError: a record holds no proposals.
    """
    try:
        return tf.io.parse_example(serialized, _FEATURES)
    except UNPARSED:
        raise UserError(
            f"{file}: a record from {first} to {first + len(serialized) - 1} (counted from 0) "
            "holds no proposals: restore the file"
        ) from None


def _read_manifest(path: Path) -> Manifest:
    file = path / MANIFEST
    if not file.exists():
        raise UserError(
            f"{path} is no proposal store, it has no {MANIFEST}: make one with "
            "`python -m ssl_tf.proposals import` or `python -m ssl_tf.discover`"
        )
    try:
        content = json.loads(file.read_text())
        version = content.pop("format")
        if version != FORMAT:
            raise UserError(f"{file} has format {version}, this version reads {FORMAT}")
        shards = tuple(Shard(**shard) for shard in content.pop("shards"))
        return Manifest(shards=shards, **content)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{file} is damaged: {error}") from None
