"""Proposals, boxes that may hold an object, written as TFRecord files beside a manifest.

A store is a directory: `manifest.json` and shards of tf.train.Example, one an image, with
image/id, image/height, image/width (pixels, 0 where unknown), image/object/score and
image/object/bbox/{ymin,xmin,ymax,xmax} (fractions of the image), the best box first.
"""

import dataclasses
import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from ssl_tf.errors import UserError
from ssl_tf.files import replacing

MAX_BOXES = 10
MANIFEST = "manifest.json"
FORMAT = 1
SIDES = ("ymin", "xmin", "ymax", "xmax")
_SHARD_IMAGES = 100_000
# Below it, two sides may be one number in single precision; no pixel is as small.
_SHORTEST = 1e-6
# What dividing pixels by sides may add to 1.
_ROUNDING = 1e-6


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
        images: the proposals, written as they come; memory holds a number for each id alone.
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
    output.parent.mkdir(parents=True, exist_ok=True)
    with replacing(output) as temporary:
        temporary.mkdir()
        return _write(temporary, images, generator, settings, max_boxes, shard_images)


def problem(box: Sequence[float], tolerance: float = 0.0) -> str | None:
    """What keeps ymin, xmin, ymax, xmax from being a box inside an image; None where nothing does.

    Args:
        box: [4], fractions of the image.
        tolerance: how far outside of the image it may lie, as a fraction.
    """
    sides = ymin, xmin, ymax, xmax = [float(side) for side in box]
    if not all(map(math.isfinite, sides)):
        return "a side is no finite number"
    if ymin > ymax or xmin > xmax:
        return "its corners are swapped"
    if min(ymin, xmin) < -tolerance or max(ymax, xmax) > 1 + tolerance:
        return "it lies outside of the image"
    # As it would be stored, cut to the image and in single precision.
    if min(ymax, 1.0) - max(ymin, 0.0) < _SHORTEST or min(xmax, 1.0) - max(xmin, 0.0) < _SHORTEST:
        return "it has no area"
    return None


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
        shards.append(Shard(name, records, file.stat().st_size, digest(file)))

    for image in images:
        key = fingerprint(image.image_id)
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
    content = {"format": FORMAT, **dataclasses.asdict(manifest)}
    (directory / MANIFEST).write_text(json.dumps(content, indent=1))
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
    for number, box in enumerate(boxes.tolist()):
        wrong = problem(box, _ROUNDING)
        if wrong:
            raise UserError(
                f"image {image.image_id!r}, box {number} (ymin, xmin, ymax, xmax = {box}): {wrong}"
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
        **{f"image/object/bbox/{side}": floats(boxes[:, n]) for n, side in enumerate(SIDES)},
    }
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


def fingerprint(image_id: str) -> int:
    """64 bits that tell an id from all others, to remember which have come."""
    return int.from_bytes(hashlib.blake2b(image_id.encode(), digest_size=8).digest(), "little")


def digest(file: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with open(file, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
