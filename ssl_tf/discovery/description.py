"""The description of one shard of images: feature maps, regions, descriptors and sizes."""

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf

from ssl_tf.data.decoding import attempt, pixels, upright
from ssl_tf.data.source import Source
from ssl_tf.discovery.descriptors import describe_regions, make_projection
from ssl_tf.discovery.feature_maps import Encoder
from ssl_tf.discovery.region_proposals import Regions, propose_regions, salient_box
from ssl_tf.settings import DiscoverSettings
from ssl_tf.sharding import shards

REGIONS = "regions"
DESCRIPTORS = "descriptors"

# Sides of resized images are multiples of this, so that few sizes occur.
_SIDE_STEP = 32


def describe_shard(
    number: int, source: Source, encoder: Encoder, settings: DiscoverSettings, output: Path
) -> None:
    """Writes `descriptors/NUMBER.npy`, then `regions/NUMBER.npz`, which completes the shard.

    Arrays of the npz for the shard's n images: id (bytes [n]), height, width, count (of regions;
    int32 [n]), readable (bool [n]), image_descriptor (float32 [n, D]), salient_box (int32 [n, 4]),
    object_count (int32 [n], -1 if the source has no boxes), objects (int32 [O, 4]). For its
    regions: boxes (int32 [R, 4]), groups (int32 [R]). And descriptor_sum (float64 [C]) and seconds
    (CPU time). The npy holds the descriptors, float16 [R, C].
    """
    began = time.process_time()
    start = number * settings.shard_images
    stop = min(source.size, start + settings.shard_images)
    examples = list(_examples(source, start, stop))
    features, regions = settings.features, settings.regions
    proposals: list[Regions | None] = [None] * len(examples)
    vectors: list[np.ndarray] = [np.zeros([0, 0], np.float16)] * len(examples)
    salient = np.zeros([len(examples), 4], np.int32)
    for positions, images in _batches(examples, features.long_side, features.feature_batch):
        maps = encoder.maps(images)
        projection = make_projection(
            maps[-1].shape[-1], features.descriptor_projection, settings.seed
        )
        arrays = [layer.numpy() for layer in maps]
        for row, position in enumerate(positions):
            height, width = examples[position]["image"].shape[:2]
            random = np.random.default_rng([settings.seed, start + position])
            layers = [layer[row] for layer in arrays]
            proposals[position] = propose_regions(layers, height, width, regions, random)
            vectors[position] = describe_regions(
                maps[-1][row], proposals[position].boxes, height, width, projection
            )
            salient[position] = salient_box(layers[-1].sum(axis=2), height, width)
    no_regions = Regions(np.zeros([0, 4], np.int32), np.zeros([0], np.int32))
    proposals = [of_image or no_regions for of_image in proposals]
    table = np.concatenate(
        [rows for rows in vectors if len(rows)] or [np.zeros([0, 1], np.float16)]
    )
    shards.write_array(shards.shard_path(output / DESCRIPTORS, number, ".npy"), table)
    shards.write_arrays(
        shards.shard_path(output / REGIONS, number),
        id=np.array([example["id"] for example in examples]),
        height=np.array([example["image"].shape[0] for example in examples], np.int32),
        width=np.array([example["image"].shape[1] for example in examples], np.int32),
        count=np.array([len(of_image.boxes) for of_image in proposals], np.int32),
        readable=np.array([example["readable"] for example in examples]),
        image_descriptor=_image_descriptors(examples, encoder, features.square_side),
        salient_box=salient,
        object_count=np.array(
            [len(example["objects"]) if "objects" in example else -1 for example in examples],
            np.int32,
        ),
        objects=np.concatenate(
            [example.get("objects", no_regions.boxes) for example in examples], dtype=np.int32
        ),
        boxes=np.concatenate([of_image.boxes for of_image in proposals]),
        groups=np.concatenate([of_image.groups for of_image in proposals]),
        descriptor_sum=table.sum(axis=0, dtype=np.float64),
        seconds=time.process_time() - began,
    )


def _examples(source: Source, start: int, stop: int) -> Iterator[dict]:
    """Yields decoded examples; an unreadable image is empty, uint8 [0, 0, 3]."""

    def decode(example: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        image, readable = attempt(pixels, example["image"], tf.zeros([0, 0, 3], tf.uint8))
        image = upright(image, example)
        others = {key: example[key] for key in ("id", "boxes") if key in example}
        return {**others, "image": image, "readable": readable}

    examples = source.sequence(start, stop).map(
        decode, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
    )
    for example in examples.as_numpy_iterator():
        if "boxes" in example and example["readable"]:
            height, width = example["image"].shape[:2]
            ymin, xmin, ymax, xmax = example.pop("boxes").T
            sides = [xmin * width + 1, ymin * height + 1, xmax * width, ymax * height]
            example["objects"] = np.round(np.stack(sides, axis=1)).astype(np.int32)
        yield example


def _batches(
    examples: list[dict], long_side: int, batch: int
) -> Iterator[tuple[list[int], np.ndarray]]:
    """Yields batches of readable images of one size: (positions, uint8 [N, H, W, 3])."""
    sizes: dict[tuple[int, int], list[int]] = {}
    for position, example in enumerate(examples):
        if example["readable"]:
            height, width = example["image"].shape[:2]
            sizes.setdefault(_encoder_size(height, width, long_side), []).append(position)
    for size, positions in sizes.items():
        for first in range(0, len(positions), batch):
            part = positions[first : first + batch]
            yield part, np.stack([_resized(examples[i]["image"], size) for i in part])


def _encoder_size(height: int, width: int, long_side: int) -> tuple[int, int]:
    if not long_side:
        return height, width
    scale = long_side / max(height, width)
    return tuple(max(1, round(s * scale / _SIDE_STEP)) * _SIDE_STEP for s in (height, width))


def _resized(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    if image.shape[:2] == tuple(size):
        return image
    resized = tf.image.resize(image, size, method="bilinear", antialias=True)
    return tf.cast(tf.round(resized), tf.uint8).numpy()


def _image_descriptors(examples: list[dict], encoder: Encoder, side: int) -> np.ndarray:
    """The descriptors of images, float32 [n, D]; zeros for unreadable images."""
    positions = [position for position, example in enumerate(examples) if example["readable"]]
    if not positions:
        return np.zeros([len(examples), 0], np.float32)
    squares = np.stack(
        [_resized(examples[position]["image"], (side, side)) for position in positions]
    )
    described = np.concatenate(
        [encoder.describe(squares[n : n + 64]).numpy() for n in range(0, len(squares), 64)]
    )
    table = np.zeros([len(examples), described.shape[1]], np.float32)
    table[positions] = described
    return table
