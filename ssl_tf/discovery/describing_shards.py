"""The description of one shard of images: feature maps, regions, descriptors and sizes."""

import time
from pathlib import Path

import numpy as np
import tensorflow as tf

from ssl_tf.data.source import Source
from ssl_tf.discovery.cells import trouble_of
from ssl_tf.discovery.contrast import box_contrast
from ssl_tf.discovery.descriptors import describe_regions, make_projection
from ssl_tf.discovery.images import (
    describe_images,
    equal_batches,
    read_examples,
    resized,
    size_troubles,
)
from ssl_tf.discovery.map_encoder import Encoder
from ssl_tf.discovery.region_proposals import Regions, propose_regions, salient_box
from ssl_tf.settings import DiscoverSettings
from ssl_tf.sharding import shards

REGIONS = "regions"
DESCRIPTORS = "descriptors"


def describe_shard(
    number: int, source: Source, encoder: Encoder, settings: DiscoverSettings, output: Path
) -> None:
    """Writes `descriptors/NUMBER.npy`, then `regions/NUMBER.npz`, which completes the shard.

    Arrays of the npz for the shard's n images: id (bytes [n]), height, width, count (of regions;
    int32 [n]), readable (bool [n]), trouble (text [n], why an image has no region),
    image_descriptor (float32 [n, D]), salient_box (int32 [n, 4]), object_count (int32 [n], -1 if
    the source has no boxes), objects (int32 [O, 4]). For its regions: boxes (int32 [R, 4]), groups
    (int32 [R]) and, with --rank_with_contrast, contrast (float32 [R]). And descriptor_sum
    (float64 [C]) and seconds (CPU time). The npy holds the descriptors, float16 [R, C].
    """
    began = time.process_time()
    start = number * settings.shard_images
    stop = min(source.size, start + settings.shard_images)
    examples = list(read_examples(source, start, stop))
    features, regions = settings.features, settings.regions
    proposals: list[Regions | None] = [None] * len(examples)
    vectors: list[np.ndarray] = [np.zeros([0, 0], np.float16)] * len(examples)
    salient = np.zeros([len(examples), 4], np.int32)
    trouble = size_troubles(examples, features.long_side, encoder)
    contrast = [np.zeros([0], np.float32)] * len(examples)
    for positions, images in equal_batches(
        examples, features.long_side, features.feature_batch, encoder
    ):
        raw = [layer.numpy() for layer in encoder.maps(images)]
        maps = [tf.nn.relu(layer) for layer in raw]
        projection = make_projection(
            maps[-1].shape[-1], features.descriptor_projection, settings.seed
        )
        arrays = [layer.numpy() for layer in maps]
        for row, position in enumerate(positions):
            height, width = examples[position]["image"].shape[:2]
            random = np.random.default_rng([settings.seed, start + position])
            layers, raw_layers = ([layer[row] for layer in of_all] for of_all in (arrays, raw))
            salient[position] = salient_box(np.nan_to_num(layers[-1]).sum(axis=2), height, width)
            trouble[position] = trouble_of(raw_layers)
            if trouble[position]:
                continue
            proposals[position] = propose_regions(layers, height, width, regions, random)
            vectors[position] = describe_regions(
                maps[-1][row], proposals[position].boxes, height, width, projection
            )
            if settings.ranking.rank_with_contrast:
                contrast[position] = box_contrast(
                    raw_layers, proposals[position].boxes, height, width, settings.cells
                ).astype(np.float32)
            if not len(proposals[position].boxes):
                trouble[position] = "features without a peak"
    no_regions = Regions(np.zeros([0, 4], np.int32), np.zeros([0], np.int32))
    proposals = [of_image or no_regions for of_image in proposals]
    table = np.concatenate(
        [rows for rows in vectors if len(rows)] or [np.zeros([0, 1], np.float16)]
    )
    shards.write_array(shards.shard_path(output / DESCRIPTORS, number, ".npy"), table)
    shards.write_arrays(
        shards.shard_path(output / REGIONS, number),
        **describe_images(examples),
        count=np.array([len(of_image.boxes) for of_image in proposals], np.int32),
        image_descriptor=_image_descriptors(examples, encoder, features.square_side),
        salient_box=salient,
        trouble=np.array(trouble),
        boxes=np.concatenate([of_image.boxes for of_image in proposals]),
        groups=np.concatenate([of_image.groups for of_image in proposals]),
        **({"contrast": np.concatenate(contrast)} if settings.ranking.rank_with_contrast else {}),
        descriptor_sum=table.sum(axis=0, dtype=np.float64),
        seconds=time.process_time() - began,
    )


def _image_descriptors(examples: list[dict], encoder: Encoder, side: int) -> np.ndarray:
    """The descriptors of images, float32 [n, D]; zeros for unreadable and broken ones."""
    positions = [position for position, example in enumerate(examples) if example["readable"]]
    if not positions:
        return np.zeros([len(examples), 0], np.float32)
    size = encoder.fixed_size or (side, side)
    squares = np.stack([resized(examples[position]["image"], size) for position in positions])
    described = np.concatenate(
        [encoder.describe(squares[n : n + 64]).numpy() for n in range(0, len(squares), 64)]
    )
    table = np.zeros([len(examples), described.shape[1]], np.float32)
    # One image without finite features would be near to all others.
    table[positions] = np.where(np.isfinite(described).all(axis=1, keepdims=True), described, 0)
    return table
