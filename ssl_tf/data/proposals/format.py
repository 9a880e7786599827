"""The format of a proposal store: boxes that may contain an object, in TFRecord files.

A store is a directory of `manifest.json` and shards of tf.train.Example, one record an image. The
features are image/id, image/height, image/width (pixels, 0 if unknown), image/object/score and
image/object/bbox/{ymin,xmin,ymax,xmax} (fractions of the image), the best box first; and, where the
generator has masks, image/object/mask, run lengths in pixels (see `masks`).
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
from ssl_tf.files import prepare_output, replacing, sha256_of

MAX_BOXES = 10
MANIFEST = "manifest.json"
FORMAT = 1
SIDES = ("ymin", "xmin", "ymax", "xmax")
_SHARD_IMAGES = 100_000
# Least length of a side. Below it, both ends may be the same number in single precision. No pixel
# is as small.
_SHORTEST = 1e-6
# Largest excess over 1 when pixels are divided by the side of the image.
_ROUNDING = 1e-6


@dataclasses.dataclass(frozen=True)
class ImageProposals:
    """The boxes of one image.

    Attributes:
        image_id: id of the image in its source; bytes that are no UTF-8, as in the names of old
            files, stand as lone surrogates (PEP 383).
        boxes: float [n, 4] of ymin, xmin, ymax, xmax, fractions of the image; n may be 0.
        scores: float [n], larger is better; empty: the best box is first already.
        height, width: size of the image in pixels; 0 if unknown.
        masks: one text a box, as of `encode_mask`; empty if there are none.
    """

    image_id: str
    boxes: np.ndarray
    scores: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0, np.float32))
    height: int = 0
    width: int = 0
    masks: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Shard:
    """One file of a store.

    Attributes:
        name: name of the file.
        records: number of records.
        bytes: size in bytes.
        sha256: digest of the content, hexadecimal.
    """

    name: str
    records: int
    bytes: int
    sha256: str


@dataclasses.dataclass(frozen=True)
class Manifest:
    """The description of a store.

    Attributes:
        generator: name of the method that generated the boxes.
        settings: settings of the generator.
        images: number of records, including those without a box.
        images_without_boxes: number of records without a box.
        boxes: number of boxes.
        mean_area: mean area of a box, as a fraction of its image; 0 without boxes.
        shards: the files, in order.
        boxes_left_out: number of boxes beyond the largest number of an image; 0 in the manifests of
            earlier versions, which did not count them.
    """

    generator: str
    settings: Mapping[str, Any]
    images: int
    images_without_boxes: int
    boxes: int
    mean_area: float
    shards: tuple[Shard, ...]
    boxes_left_out: int = 0


def write_proposals(
    output: str | Path,
    images: Iterable[ImageProposals],
    *,
    generator: str,
    settings: Mapping[str, Any],
    max_boxes: int | None = MAX_BOXES,
    shard_images: int = _SHARD_IMAGES,
) -> Manifest:
    """Writes a store; it is complete or absent.

    The boxes of an image are sorted by score, the best first; boxes of equal score stay in the
    given order. Those after the first `max_boxes` are left out, and counted in the manifest.

    Args:
        output: directory of the store, which must not exist.
        images: the proposals, written one by one; only a number for each id stays in memory.
        generator: name of the method that generated the boxes.
        settings: settings of the generator, for people to read; serializable as JSON.
        max_boxes: largest number of boxes of an image; None: all are kept.
        shard_images: number of images in a file.

    Returns:
        The manifest.

    Raises:
        UserError: the output exists, an id is there twice, or a box is invalid.
    """
    output = Path(output)
    if output.exists():
        raise UserError(f"{output} exists already: give another directory or remove it")
    prepare_output(output)
    with replacing(output) as temporary:
        temporary.mkdir()
        return _write(temporary, images, generator, settings, max_boxes, shard_images)


def invalid_reason(box: Sequence[float], tolerance: float = 0.0) -> str | None:
    """The reason why a box is invalid, None for a valid box.

    Args:
        box: ymin, xmin, ymax, xmax, fractions of the image.
        tolerance: largest distance outside of the image, as a fraction of it.
    """
    sides = ymin, xmin, ymax, xmax = [float(side) for side in box]
    if not all(map(math.isfinite, sides)):
        return "a side is no finite number"
    if ymin > ymax or xmin > xmax:
        return "its corners are swapped"
    if min(ymin, xmin) < -tolerance or max(ymax, xmax) > 1 + tolerance:
        return "it lies outside of the image"
    # The box is stored cut to the image and in single precision.
    if min(ymax, 1.0) - max(ymin, 0.0) < _SHORTEST or min(xmax, 1.0) - max(xmin, 0.0) < _SHORTEST:
        return "it has no area"
    return None


def _write(
    directory: Path,
    images: Iterable[ImageProposals],
    generator: str,
    settings: Mapping[str, Any],
    max_boxes: int | None,
    shard_images: int,
) -> Manifest:
    shards: list[Shard] = []
    seen: set[int] = set()
    empty, boxes, left_out, area = 0, 0, 0, 0.0
    writer, name, records = None, "", 0

    def close() -> None:
        writer.close()
        file = directory / name
        shards.append(Shard(name, records, file.stat().st_size, sha256_of(file)))

    for image in images:
        key = fingerprint(image.image_id)
        if key in seen:
            raise UserError(f"image {image.image_id!r} has its proposals twice")
        seen.add(key)
        best, scores, masks = _best_boxes(image, max_boxes)
        if writer is None or records == shard_images:
            if writer is not None:
                close()
            name, records = f"proposals-{len(shards):05}.tfrecord", 0
            writer = tf.io.TFRecordWriter(str(directory / name))
        writer.write(_serialized(image, best, scores, masks))
        records += 1
        empty += not len(best)
        boxes += len(best)
        left_out += len(image.boxes) - len(best)
        area += float(np.prod(best[:, 2:] - best[:, :2], axis=1).sum())
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
        boxes_left_out=left_out,
    )
    content = {"format": FORMAT, **dataclasses.asdict(manifest)}
    (directory / MANIFEST).write_text(json.dumps(content, indent=1))
    return manifest


def _best_boxes(
    image: ImageProposals, max_boxes: int | None
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """The checked boxes, their scores and masks, best first: float32 [k, 4], float32 [k], text."""
    boxes = np.asarray(image.boxes, np.float64).reshape(-1, 4)
    scores = np.asarray(image.scores, np.float32)
    if not scores.size:
        scores = np.ones(len(boxes), np.float32)
    if len(scores) != len(boxes) or not np.isfinite(scores).all():
        raise UserError(
            f"image {image.image_id!r} has {len(boxes)} boxes and the scores {scores.tolist()}: "
            "a finite number each"
        )
    if image.masks and len(image.masks) != len(boxes):
        raise UserError(
            f"image {image.image_id!r} has {len(boxes)} boxes and {len(image.masks)} masks: one "
            "each, or none"
        )
    for number, box in enumerate(boxes.tolist()):
        reason = invalid_reason(box, _ROUNDING)
        if reason:
            raise UserError(
                f"image {image.image_id!r}, box {number} (ymin, xmin, ymax, xmax = {box}): {reason}"
            )
    order = np.argsort(-scores, kind="stable")[:max_boxes]
    masks = [image.masks[index] for index in order] if image.masks else []
    return np.clip(boxes[order], 0.0, 1.0).astype(np.float32), scores[order], masks


def _serialized(
    image: ImageProposals, boxes: np.ndarray, scores: np.ndarray, masks: list[str]
) -> bytes:
    def floats(values: np.ndarray) -> tf.train.Feature:
        return tf.train.Feature(float_list=tf.train.FloatList(value=values))

    def integer(value: int) -> tf.train.Feature:
        return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))

    image_id = tf.train.BytesList(value=[_bytes(image.image_id)])
    features = {
        "image/id": tf.train.Feature(bytes_list=image_id),
        "image/height": integer(image.height),
        "image/width": integer(image.width),
        "image/object/score": floats(scores),
        **{f"image/object/bbox/{side}": floats(boxes[:, n]) for n, side in enumerate(SIDES)},
    }
    if masks:
        runs = tf.train.BytesList(value=[mask.encode() for mask in masks])
        features["image/object/mask"] = tf.train.Feature(bytes_list=runs)
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


def fingerprint(image_id: str) -> int:
    """A 64-bit hash of an id, to detect duplicates."""
    return int.from_bytes(hashlib.blake2b(_bytes(image_id), digest_size=8).digest(), "little")


def _bytes(image_id: str) -> bytes:
    return image_id.encode("utf-8", "surrogateescape")
