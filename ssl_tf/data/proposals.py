"""Proposals, boxes that may hold an object, kept as TFRecord files beside a manifest.

A store is a directory: `manifest.json` and shards of tf.train.Example, one an image, with
image/id, image/height, image/width (pixels, 0 where unknown), image/object/score and
image/object/bbox/{ymin,xmin,ymax,xmax} (fractions of the image), the best box first.
"""

import dataclasses
import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from ssl_tf.data.records import count_records
from ssl_tf.errors import UserError

MAX_BOXES = 10
MANIFEST = "manifest.json"
_FORMAT = 1
_SIDES = ("ymin", "xmin", "ymax", "xmax")
_SHARD_IMAGES = 100_000
_READ_AT_ONCE = 4096
# What dividing pixels by sides may add to 1.
_ROUNDING = 1e-6
_FEATURES = {
    "image/id": tf.io.FixedLenFeature([], tf.string),
    "image/height": tf.io.FixedLenFeature([], tf.int64),
    "image/width": tf.io.FixedLenFeature([], tf.int64),
    "image/object/score": tf.io.RaggedFeature(tf.float32, row_splits_dtype=tf.int64),
    **{
        f"image/object/bbox/{side}": tf.io.RaggedFeature(tf.float32, row_splits_dtype=tf.int64)
        for side in _SIDES
    },
}


@dataclasses.dataclass(frozen=True)
class ImageProposals:
    """The boxes of one image.

    Attributes:
      image_id: the id that the image has in its source.
      boxes: float [n, 4] of ymin, xmin, ymax, xmax, fractions of the image; n may be 0.
      scores: float [n], larger is better; empty: the boxes are in their order already.
      height, width: of the image in pixels; 0 where unknown.
    """

    image_id: str
    boxes: np.ndarray
    scores: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0, np.float32))
    height: int = 0
    width: int = 0


@dataclasses.dataclass(frozen=True)
class Shard:
    """One file of a store: its name, its records, and what tells that it is whole."""

    name: str
    records: int
    bytes: int
    sha256: str


@dataclasses.dataclass(frozen=True)
class Manifest:
    """What a store is.

    Attributes:
      generator: what made the boxes.
      settings: its settings.
      images: records, those without a box included.
      images_without_boxes: records of images in which nothing was found.
      boxes: number of boxes.
      mean_area: mean area of a box, as a fraction of its image; 0 without boxes.
      shards: the files, in order.
    """

    generator: str
    settings: Mapping[str, Any]
    images: int
    images_without_boxes: int
    boxes: int
    mean_area: float
    shards: tuple[Shard, ...]


def write_proposals(
    output: str | Path,
    images: Iterable[ImageProposals],
    *,
    generator: str,
    settings: Mapping[str, Any],
    max_boxes: int = MAX_BOXES,
    shard_images: int = _SHARD_IMAGES,
) -> Manifest:
    """Writes a store; it is complete or absent.

    Boxes are put in the order of their scores, equal ones in the given order, and those beyond the
    first `max_boxes` are left out.

    Args:
      output: directory of the store, which must not exist.
      images: the proposals; memory holds one shard's file buffer and eight bytes of each id.
      generator: what made the boxes.
      settings: its settings, to be read by people; values that JSON can hold.
      max_boxes: boxes kept of an image.
      shard_images: images in a file.

    Returns:
      The manifest.

    Raises:
      UserError: the output exists, an id comes twice, or a box cannot be one.
    """
    output = Path(output)
    if output.exists():
        raise UserError(f"{output} exists already: give another directory or remove it")
    temporary = output.with_name(output.name + ".writing")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        manifest = _write(temporary, images, generator, settings, max_boxes, shard_images)
        temporary.replace(output)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return manifest


def problem(box: np.ndarray, tolerance: float = 0.0) -> str | None:
    """What keeps ymin, xmin, ymax, xmax from being a box inside an image; None where nothing does.

    Args:
      box: [4], fractions of the image.
      tolerance: how far outside of the image it may lie, as a fraction.
    """
    ymin, xmin, ymax, xmax = (float(side) for side in box)
    if not all(np.isfinite((ymin, xmin, ymax, xmax))):
        return "a side is no finite number"
    if ymin > ymax or xmin > xmax:
        return "its corners are swapped"
    if min(ymin, xmin) < -tolerance or max(ymax, xmax) > 1 + tolerance:
        return "it lies outside of the image"
    # As it would be stored: cut to the image, in single precision.
    top, left, bottom, right = np.clip(np.float32(box), 0.0, 1.0)
    if top >= bottom or left >= right:
        return "it has no area"
    return None


class ProposalStore:
    """A store that is there to be read.

    Attributes:
      path: its directory.
      manifest: what it says of itself.
    """

    def __init__(self, path: str | Path):
        """Reads the manifest and compares the sizes of the shards with it.

        Raises:
          UserError: this is no store, or a shard is missing or truncated.
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
        """Everything at once.

        Returns:
          ids: bytes objects [images], in the order of the store.
          splits: int64 [images + 1]; image i has the boxes splits[i]..splits[i + 1] - 1.
          boxes: float32 [boxes, 4].

        Raises:
          UserError: a shard is damaged, or has not the records that the manifest promises.
        """
        manifest = self.manifest
        ids = np.empty(manifest.images, object)
        splits = np.zeros(manifest.images + 1, np.int64)
        boxes = np.empty((manifest.boxes, 4), np.float32)
        row = 0
        for batch in self._batches():
            stop = row + len(batch["image/id"])
            ids[row:stop] = batch["image/id"].numpy()
            corners = [batch[f"image/object/bbox/{side}"] for side in _SIDES]
            splits[row + 1 : stop + 1] = splits[row] + corners[0].row_splits.numpy()[1:]
            for n, side in enumerate(corners):
                boxes[splits[row] : splits[stop], n] = side.values.numpy()
            row = stop
        return ids, splits, boxes

    def images(self) -> Iterator[ImageProposals]:
        """The images, one by one, in the order of the store."""
        for batch in self._batches():
            splits = batch["image/object/score"].row_splits.numpy()
            boxes = tf.stack(
                [batch[f"image/object/bbox/{side}"].values for side in _SIDES], axis=-1
            ).numpy()
            scores = batch["image/object/score"].values.numpy()
            heights, widths = batch["image/height"].numpy(), batch["image/width"].numpy()
            for i, image_id in enumerate(batch["image/id"].numpy()):
                part = slice(splits[i], splits[i + 1])
                yield ImageProposals(
                    image_id.decode(), boxes[part], scores[part], int(heights[i]), int(widths[i])
                )

    def verify(self) -> None:
        """Reads all shards through and compares their digests.

        Raises:
          UserError: a file is not the one that was written.
        """
        for shard in self.manifest.shards:
            if _digest(self.path / shard.name) != shard.sha256:
                count_records(str(self.path / shard.name))
                raise UserError(
                    f"{self.path / shard.name} is not the file that was written, although its "
                    "records can be read: restore it, or make the proposals again"
                )
        boxes = self.read()[2]
        bad = np.flatnonzero(
            ~np.isfinite(boxes).all(1) | (boxes < 0).any(1) | (boxes > 1).any(1)
            | (boxes[:, :2] >= boxes[:, 2:]).any(1)
        )  # fmt: skip
        if bad.size:
            raise UserError(f"{self.path}: {bad.size} boxes lie outside or have no area")

    def _batches(self) -> Iterator[dict[str, Any]]:
        for shard in self.manifest.shards:
            file, found = str(self.path / shard.name), 0
            try:
                for serialized in tf.data.TFRecordDataset(file).batch(_READ_AT_ONCE):
                    found += len(serialized)
                    yield tf.io.parse_example(serialized, _FEATURES)
            except tf.errors.OpError as error:
                count_records(file)
                raise UserError(f"{file}: {error.message}") from None
            if found != shard.records:
                raise UserError(
                    f"{file} has {found} records where {MANIFEST} promises {shard.records}: "
                    "restore the file"
                )


def _write(
    directory: Path,
    images: Iterable[ImageProposals],
    generator: str,
    settings: Mapping[str, Any],
    max_boxes: int,
    shard_images: int,
) -> Manifest:
    shards: list[Shard] = []
    seen: set[int] = set()
    empty, boxes, area = 0, 0, 0.0
    writer, name, records = None, "", 0

    def close() -> None:
        writer.close()
        file = directory / name
        shards.append(Shard(name, records, file.stat().st_size, _digest(file)))

    for image in images:
        digest = hashlib.blake2b(image.image_id.encode(), digest_size=8).digest()
        key = int.from_bytes(digest, "little")
        if key in seen:
            raise UserError(f"image {image.image_id!r} has its proposals twice")
        seen.add(key)
        kept, scores = _ranked(image, max_boxes)
        if writer is None or records == shard_images:
            if writer is not None:
                close()
            name, records = f"proposals-{len(shards):05}.tfrecord", 0
            writer = tf.io.TFRecordWriter(str(directory / name))
        writer.write(_serialized(image, kept, scores))
        records += 1
        empty += not len(kept)
        boxes += len(kept)
        area += float(np.prod(kept[:, 2:] - kept[:, :2], axis=1).sum())
    if writer is None:
        raise UserError("there is no image to write proposals of")
    close()
    manifest = Manifest(
        generator=generator,
        settings=dict(settings),
        images=sum(shard.records for shard in shards),
        images_without_boxes=empty,
        boxes=boxes,
        mean_area=area / boxes if boxes else 0.0,
        shards=tuple(shards),
    )
    content = {"format": _FORMAT, **dataclasses.asdict(manifest)}
    with open(directory / MANIFEST, "w") as file:
        json.dump(content, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    return manifest


def _ranked(image: ImageProposals, max_boxes: int) -> tuple[np.ndarray, np.ndarray]:
    """(float32 [k, 4], float32 [k]): checked, by falling score."""
    boxes = np.asarray(image.boxes, np.float64).reshape(-1, 4)
    scores = np.asarray(image.scores, np.float32)
    if not scores.size:
        scores = np.ones(len(boxes), np.float32)
    if len(scores) != len(boxes) or not np.isfinite(scores).all():
        raise UserError(
            f"image {image.image_id!r} has {len(boxes)} boxes and the scores {scores.tolist()}: "
            "a finite number each"
        )
    for number, box in enumerate(boxes):
        wrong = problem(box, _ROUNDING)
        if wrong:
            raise UserError(
                f"image {image.image_id!r}, box {number} (ymin, xmin, ymax, xmax = "
                f"{box.tolist()}): {wrong}"
            )
    order = np.argsort(-scores, kind="stable")[:max_boxes]
    return np.clip(boxes[order], 0.0, 1.0).astype(np.float32), scores[order]


def _serialized(image: ImageProposals, boxes: np.ndarray, scores: np.ndarray) -> bytes:
    def floats(values: np.ndarray) -> tf.train.Feature:
        return tf.train.Feature(float_list=tf.train.FloatList(value=values))

    def integer(value: int) -> tf.train.Feature:
        return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))

    identity = tf.train.BytesList(value=[image.image_id.encode()])
    features = {
        "image/id": tf.train.Feature(bytes_list=identity),
        "image/height": integer(image.height),
        "image/width": integer(image.width),
        "image/object/score": floats(scores),
        **{f"image/object/bbox/{side}": floats(boxes[:, n]) for n, side in enumerate(_SIDES)},
    }
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


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
        if version != _FORMAT:
            raise UserError(f"{file} has format {version}, this version reads {_FORMAT}")
        shards = tuple(Shard(**shard) for shard in content.pop("shards"))
        return Manifest(shards=shards, **content)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{file} is damaged: {error}") from None


def _digest(file: Path) -> str:
    with open(file, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
