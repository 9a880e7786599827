"""The images of a shard: decoded, with their sizes and objects, in batches of one size."""

from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from ssl_tf.data.decoding import attempt, image_of, upright
from ssl_tf.data.source import Source
from ssl_tf.discovery.map_encoder import Encoder

# Sides of resized images are multiples of this, so that few sizes occur.
_SIDE_STEP = 32


def read_examples(source: Source, start: int, stop: int) -> Iterator[dict]:
    """Yields decoded examples; an unreadable image is empty, uint8 [0, 0, 3].

    It keeps the number of its objects, which no box can hit.

    Raises:
        UserError: this process has met more unreadable images than allowed.
    """

    def decode(example: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        image, readable = attempt(image_of, example["image"], tf.zeros([0, 0, 3], tf.uint8))
        image = upright(image, example)
        others = {key: example[key] for key in ("id", "boxes") if key in example}
        return {**others, "image": image, "readable": readable}

    examples = source.sequence(start, stop).map(
        decode, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
    )
    for row, example in enumerate(source.read(examples), start):
        if not example["readable"]:
            source.unreadable.add(example["id"], row=row)
        if "boxes" in example and not example["readable"]:
            example["objects"] = np.zeros([len(example.pop("boxes")), 4], np.int32)
        elif "boxes" in example:
            height, width = example["image"].shape[:2]
            ymin, xmin, ymax, xmax = example.pop("boxes").T
            sides = [xmin * width + 1, ymin * height + 1, xmax * width, ymax * height]
            example["objects"] = np.round(np.stack(sides, axis=1)).astype(np.int32)
        yield example


def equal_batches(
    examples: list[dict], long_side: int, batch: int, encoder: Encoder
) -> Iterator[tuple[list[int], np.ndarray]]:
    """Yields batches of readable images of one size: (positions, uint8 [N, H, W, 3]).

    Args:
        examples: decoded images.
        long_side: their longer side for the encoder; 0: as they are, but for whole patches.
        batch: largest number of images at once.
        encoder: images with a side below its least_side are left out, see `size_troubles`.
    """
    sizes: dict[tuple[int, int], list[int]] = {}
    for position, example in enumerate(examples):
        size = _encoder_size(*example["image"].shape[:2], long_side, encoder)
        if example["readable"] and min(size) >= encoder.least_side:
            sizes.setdefault(size, []).append(position)
    for size, positions in sizes.items():
        for first in range(0, len(positions), batch):
            part = positions[first : first + batch]
            yield part, np.stack([resized(examples[i]["image"], size) for i in part])


def size_troubles(examples: list[dict], long_side: int, encoder: Encoder) -> list[str]:
    """Why the encoder cannot take images, in a few words; empty for those it can, and unreadable.

    Args:
        examples, long_side, encoder: as in `equal_batches`.
    """
    trouble = f"a side below the {encoder.least_side} pixels of the encoder's stride"
    return [
        trouble
        if example["readable"]
        and min(_encoder_size(*example["image"].shape[:2], long_side, encoder)) < encoder.least_side
        else ""
        for example in examples
    ]


def _encoder_size(height: int, width: int, long_side: int, encoder: Encoder) -> tuple[int, int]:
    if encoder.fixed_size and height:
        return encoder.fixed_size
    if not height or not (long_side or encoder.patch):
        return height, width
    scale = long_side / max(height, width) if long_side else 1
    step = _SIDE_STEP if long_side else encoder.patch
    if encoder.patch and _SIDE_STEP % encoder.patch:
        step = encoder.patch
    return tuple(max(1, round(s * scale / step)) * step for s in (height, width))


def resized(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The image, uint8 [H, W, 3], at a size (height, width)."""
    if image.shape[:2] == tuple(size):
        return image
    values = tf.image.resize(image, size, method="bilinear", antialias=True)
    return tf.cast(tf.round(values), tf.uint8).numpy()


def describe_images(examples: list[dict]) -> dict[str, np.ndarray]:
    """What a shard keeps of its n images themselves.

    Returns:
        id (bytes [n]), height, width (int32 [n]), readable (bool [n]), object_count (int32 [n], -1
        if the source has no boxes), objects (int32 [O, 4]).
    """
    no_objects = np.zeros([0, 4], np.int32)
    return {
        "id": np.array([example["id"] for example in examples]),
        "height": np.array([example["image"].shape[0] for example in examples], np.int32),
        "width": np.array([example["image"].shape[1] for example in examples], np.int32),
        "readable": np.array([example["readable"] for example in examples]),
        "object_count": np.array(
            [len(example["objects"]) if "objects" in example else -1 for example in examples],
            np.int32,
        ),
        "objects": np.concatenate(
            [example.get("objects", no_objects) for example in examples], dtype=np.int32
        ),
    }
