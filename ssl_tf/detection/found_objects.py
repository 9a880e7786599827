"""The objects that a detector finds in a source of images, and those that are there."""

import dataclasses
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from ssl_tf.data import decoding
from ssl_tf.data.annotations.annotated_source import AnnotatedSource
from ssl_tf.data.batches import with_private_threads
from ssl_tf.detection.canvas import evaluation_canvas
from ssl_tf.detection.detector import Detector
from ssl_tf.detection.run_lengths import RunLengths, encode_mask

_AT_ONCE = 8


@dataclasses.dataclass(frozen=True)
class ImageObjects:
    """Objects in one image, found or true.

    Attributes:
        index: number of the image in its source.
        size: height and width, in pixels.
        boxes: float64 [n, 4], ymin, xmin, ymax, xmax in pixels of the image.
        classes: int64 [n], from 0.
        masks: of each object; empty without masks.
        scores: float64 [n], of those that are found.
        crowd, difficult: bool [n], of those that are true.
        areas: float64 [n], of those that are true, in pixels.
    """

    index: int
    size: tuple[int, int]
    boxes: np.ndarray
    classes: np.ndarray
    masks: tuple[RunLengths, ...] = ()
    scores: np.ndarray | None = None
    crowd: np.ndarray | None = None
    difficult: np.ndarray | None = None
    areas: np.ndarray | None = None


def find_objects(
    detector: Detector, source: AnnotatedSource, count: int | None = None
) -> Iterator[ImageObjects]:
    """The objects found in each image that is readable, in canonical order.

    Args:
        detector: the network.
        source: of the images.
        count: number of the first images; None: all.
    """

    def fitted(example: dict[str, tf.Tensor]) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        example = decoding.decode(example, source.unreadable)
        return evaluation_canvas(example, detector.head.canvas), example["readable"]

    examples = source.sequence(0, min(count or source.size, source.size))
    batches = (
        examples.map(fitted, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        .filter(lambda image, readable: readable)
        .map(lambda image, readable: image)
        .batch(_AT_ONCE)
        .prefetch(1)
    )
    with source.reading():
        for batch in with_private_threads(batches):
            found = {
                name: value.numpy()
                for name, value in detector.detect_batch(batch["image"], batch["shape"]).items()
            }
            facts = {name: batch[name].numpy() for name in ("shape", "size", "index")}
            for row in range(len(facts["index"])):
                yield _of_image(
                    {name: value[row] for name, value in found.items()},
                    {name: value[row] for name, value in facts.items()},
                )


def _of_image(found: dict[str, np.ndarray], facts: dict[str, np.ndarray]) -> ImageObjects:
    """The objects of one image, in its own pixels."""
    count, (height, width) = int(found["count"]), map(int, facts["size"])
    scale = np.tile(facts["size"] / facts["shape"].astype(np.float64), 2)
    boxes = found["boxes"][:count].astype(np.float64) * scale
    masks = ()
    if "masks" in found:
        masks = tuple(
            encode_mask(paste_mask(mask, box, height, width))
            for mask, box in zip(found["masks"][:count], boxes)
        )
    return ImageObjects(
        int(facts["index"]),
        (height, width),
        boxes,
        found["classes"][:count].astype(np.int64) - 1,
        masks,
        scores=found["scores"][:count].astype(np.float64),
    )


def paste_mask(mask: np.ndarray, box: np.ndarray, height: int, width: int) -> np.ndarray:
    """The pixels of an image that a mask of the inside of a box covers: bool [height, width].

    A pixel is covered if the mask, interpolated at its centre, is at least a half. Beyond the
    centres of its outermost cells a mask goes on with their values.

    Args:
        mask: float [S, S] in [0, 1].
        box: ymin, xmin, ymax, xmax in pixels.
        height, width: of the image.
    """
    pasted = np.zeros((height, width), bool)
    weights, spans = [], []
    for low, high, side in ((box[0], box[2], height), (box[1], box[3], width)):
        first, last = max(0, int(np.floor(low))), min(side, int(np.ceil(high)))
        centres = np.arange(first, last) + 0.5
        inside = (centres >= low) & (centres < high)
        first += int(np.argmax(inside)) if inside.any() else 0
        centres = centres[inside]
        place = ((centres - low) / max(high - low, 1e-9) * len(mask) - 0.5).clip(0, len(mask) - 1)
        cells = np.arange(len(mask))
        weights.append((1 - np.abs(place[:, None] - cells)).clip(0))
        spans.append(slice(first, first + len(centres)))
    rows, columns = weights
    pasted[spans[0], spans[1]] = rows @ mask @ columns.T >= 0.5
    return pasted


def read_truth(source: AnnotatedSource) -> list[ImageObjects]:
    """The true objects of each image, in canonical order; no image is decoded."""
    kept = ("index", "size", "boxes", "classes", "crowd", "difficult", "areas", "masks")
    examples = source.sequence().map(
        lambda example: {name: example[name] for name in kept if name in example}
    )
    truth = []
    for example in source.read(examples):
        height, width = map(int, example["size"])
        truth.append(
            ImageObjects(
                int(example["index"]),
                (height, width),
                example["boxes"].astype(np.float64) * [height, width, height, width],
                example["classes"],
                tuple(map(encode_mask, example.get("masks", ()))),
                crowd=example["crowd"],
                difficult=example["difficult"],
                areas=example["areas"].astype(np.float64),
            )
        )
    return truth
