"""The work on one shard of images: maps, regions, descriptors, and what is known of the images."""

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf

from ssl_tf.data.decoding import attempt, pixels
from ssl_tf.data.source import Source
from ssl_tf.discovery import shards
from ssl_tf.discovery.descriptors import describe_regions, make_projection
from ssl_tf.discovery.feature_maps import Encoder
from ssl_tf.discovery.region_proposals import Regions, propose_regions, salient_box
from ssl_tf.settings import DiscoverSettings

REGIONS = "regions"
DESCRIPTORS = "descriptors"

# Sides of resized images are multiples of this, so that few sizes occur.
_SIDE_STEP = 32


def describe_shard(
    number: int, source: Source, encoder: Encoder, settings: DiscoverSettings, output: Path
) -> None:
    """Writes `descriptors/NUMBER.npy`, then `regions/NUMBER.npz`, which makes the shard complete.

    The npz holds, of the shard's n images: id (bytes [n]), height, width, count (regions; int32
    [n]), readable (bool [n]), image_descriptor (float32 [n, D]), salient_box (int32 [n, 4]),
    object_count (int32 [n], -1 where the source has no boxes) and objects (int32 [O, 4]); of its
    regions: boxes (int32 [R, 4]) and groups (int32 [R]); and descriptor_sum (float64 [C]) and
    seconds (of CPU). The npy holds the descriptors, float16 [R, C].
    """
    begun = time.process_time()
    start = number * settings.shard_images
    stop = min(source.size, start + settings.shard_images)
    records = list(_records(source, start, stop))
    features, regions = settings.features, settings.regions
    found: list[Regions | None] = [None] * len(records)
    vectors: list[np.ndarray] = [np.zeros([0, 0], np.float16)] * len(records)
    salient = np.zeros([len(records), 4], np.int32)
    for places, images in _batches(records, features.long_side, features.feature_batch):
        maps = encoder.maps(images)
        projection = make_projection(
            maps[-1].shape[-1], features.descriptor_projection, settings.seed
        )
        arrays = [layer.numpy() for layer in maps]
        for row, place in enumerate(places):
            height, width = records[place]["image"].shape[:2]
            random = np.random.default_rng([settings.seed, start + place])
            layers = [layer[row] for layer in arrays]
            found[place] = propose_regions(layers, height, width, regions, random)
            vectors[place] = describe_regions(
                maps[-1][row], found[place].boxes, height, width, projection
            )
            salient[place] = salient_box(layers[-1].sum(axis=2), height, width)
    nothing = Regions(np.zeros([0, 4], np.int32), np.zeros([0], np.int32))
    found = [one or nothing for one in found]
    table = np.concatenate([one for one in vectors if len(one)] or [np.zeros([0, 1], np.float16)])
    shards.write_array(shards.shard_path(output / DESCRIPTORS, number, ".npy"), table)
    shards.write_arrays(
        shards.shard_path(output / REGIONS, number),
        id=np.array([record["id"] for record in records]),
        height=np.array([record["image"].shape[0] for record in records], np.int32),
        width=np.array([record["image"].shape[1] for record in records], np.int32),
        count=np.array([len(one.boxes) for one in found], np.int32),
        readable=np.array([record["readable"] for record in records]),
        image_descriptor=_image_descriptors(records, encoder, features.square_side),
        salient_box=salient,
        object_count=np.array(
            [len(record["objects"]) if "objects" in record else -1 for record in records], np.int32
        ),
        objects=np.concatenate(
            [record.get("objects", nothing.boxes) for record in records], dtype=np.int32
        ),
        boxes=np.concatenate([one.boxes for one in found]),
        groups=np.concatenate([one.groups for one in found]),
        descriptor_sum=table.sum(axis=0, dtype=np.float64),
        seconds=time.process_time() - begun,
    )


def _records(source: Source, start: int, stop: int) -> Iterator[dict]:
    """Decoded records; an unreadable image is empty, uint8 [0, 0, 3]."""

    def decode(record: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        image, readable = attempt(pixels, record["image"], tf.zeros([0, 0, 3], tf.uint8))
        kept = {key: record[key] for key in ("id", "boxes") if key in record}
        return {**kept, "image": image, "readable": readable}

    records = source.sequence(start, stop).map(
        decode, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
    )
    for record in records.as_numpy_iterator():
        if "boxes" in record and record["readable"]:
            height, width = record["image"].shape[:2]
            ymin, xmin, ymax, xmax = record.pop("boxes").T
            sides = [xmin * width + 1, ymin * height + 1, xmax * width, ymax * height]
            record["objects"] = np.round(np.stack(sides, axis=1)).astype(np.int32)
        yield record


def _batches(
    records: list[dict], long_side: int, batch: int
) -> Iterator[tuple[list[int], np.ndarray]]:
    """Readable images of one size at a time: (places among the records, uint8 [N, H, W, 3])."""
    sizes: dict[tuple[int, int], list[int]] = {}
    for place, record in enumerate(records):
        if record["readable"]:
            height, width = record["image"].shape[:2]
            sizes.setdefault(_encoder_size(height, width, long_side), []).append(place)
    for size, places in sizes.items():
        for first in range(0, len(places), batch):
            part = places[first : first + batch]
            yield part, np.stack([_resized(records[place]["image"], size) for place in part])


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


def _image_descriptors(records: list[dict], encoder: Encoder, side: int) -> np.ndarray:
    """float32 [n, D]; zeros for unreadable images."""
    places = [place for place, record in enumerate(records) if record["readable"]]
    if not places:
        return np.zeros([len(records), 0], np.float32)
    squares = np.stack([_resized(records[place]["image"], (side, side)) for place in places])
    described = np.concatenate(
        [encoder.describe(squares[n : n + 64]).numpy() for n in range(0, len(squares), 64)]
    )
    table = np.zeros([len(records), described.shape[1]], np.float32)
    table[places] = described
    return table
