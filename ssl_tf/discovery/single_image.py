"""Objects that an image shows by itself, in one shard: --discoverer=ncut, lost and contrast."""

import dataclasses
import time
from pathlib import Path

import numpy as np

from ssl_tf.data.proposals.masks import encode_mask
from ssl_tf.data.source import Source
from ssl_tf.discovery.cells import joined_cells, trouble_of
from ssl_tf.discovery.contrast import box_contrast
from ssl_tf.discovery.describing_shards import REGIONS
from ssl_tf.discovery.images import (
    describe_images,
    equal_batches,
    read_examples,
    size_troubles,
)
from ssl_tf.discovery.lost import grow_objects
from ssl_tf.discovery.map_encoder import Encoder
from ssl_tf.discovery.normalized_cut import cut_objects
from ssl_tf.discovery.region_proposals import propose_regions, salient_box, to_pixels
from ssl_tf.settings import DiscoverSettings
from ssl_tf.sharding import shards


@dataclasses.dataclass(frozen=True)
class Found:
    """The objects of one image, in no particular order.

    Attributes:
        boxes: int32 [k, 4].
        groups: int32 [k]; one of a group is chosen at most.
        scores: float32 [k], the larger the better.
        masks: bool [H, W] each, in pixels; empty if boxes have none.
        trouble: why there is none, in a few words.
    """

    boxes: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros([0, 4], np.int32))
    groups: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros([0], np.int32))
    scores: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros([0], np.float32))
    masks: tuple[np.ndarray, ...] = ()
    trouble: str = ""


def find_shard(
    number: int, source: Source, encoder: Encoder, settings: DiscoverSettings, output: Path
) -> None:
    """Writes `regions/NUMBER.npz`: the objects of the shard's images, with scores and masks.

    The arrays for its n images: those of `describe_images`, count (of objects; int32 [n]),
    salient_box (int32 [n, 4]), trouble (text [n], why an image has no object). For its objects:
    boxes (int32 [R, 4]), groups (int32 [R]), scores (float32 [R]) and, for ncut and lost, masks
    (bytes [R], run lengths as in `encode_mask`). And seconds and cut_seconds (CPU time, of all and
    of what follows the encoder).
    """
    began = time.process_time()
    start = number * settings.shard_images
    stop = min(source.size, start + settings.shard_images)
    examples = list(read_examples(source, start, stop))
    features = settings.features
    troubles = size_troubles(examples, features.long_side, encoder)
    found = [Found(trouble=trouble) for trouble in troubles]
    salient = np.zeros([len(examples), 4], np.int32)
    cutting = 0.0
    for positions, images in equal_batches(
        examples, features.long_side, features.feature_batch, encoder
    ):
        arrays = [layer.numpy() for layer in encoder.maps(images)]
        cut_began = time.process_time()
        for row, position in enumerate(positions):
            maps = [layer[row] for layer in arrays]
            size = examples[position]["image"].shape[:2]
            random = np.random.default_rng([settings.seed, start + position])
            found[position] = find_objects(maps, *size, settings, random)
            saliency = np.maximum(np.nan_to_num(maps[-1]), 0).sum(axis=2)
            salient[position] = salient_box(saliency, *size)
        cutting += time.process_time() - cut_began
    arrays = {
        name: np.concatenate([getattr(of_image, name) for of_image in found])
        for name in ("boxes", "groups", "scores")
    }
    if settings.discoverer != "contrast":
        arrays["masks"] = np.array(
            [encode_mask(mask) for of_image in found for mask in of_image.masks], "S"
        )
    shards.write_arrays(
        shards.shard_path(output / REGIONS, number),
        **describe_images(examples),
        count=np.array([len(of_image.boxes) for of_image in found], np.int32),
        salient_box=salient,
        trouble=np.array([of_image.trouble for of_image in found]),
        **arrays,
        seconds=time.process_time() - began,
        cut_seconds=cutting,
    )


def find_objects(
    maps: list[np.ndarray],
    height: int,
    width: int,
    settings: DiscoverSettings,
    random: np.random.Generator,
) -> Found:
    """The objects of an image.

    A score is a box's contrast, or falls with the order in which ncut and lost found it.

    Args:
        maps: float [h, w, D], one a layer.
        height, width: of the image in pixels.
        settings: of the discovery.
        random: draws the regions that stay, if there are too many.
    """
    trouble = trouble_of(maps, settings.cells.max_cells)
    if trouble:
        return Found(trouble=trouble)
    masks: tuple[np.ndarray, ...] = ()
    if settings.discoverer == "contrast":
        positive = [np.maximum(layer, 0) for layer in maps]
        regions = propose_regions(positive, height, width, settings.regions, random)
        boxes, groups = regions.boxes, regions.groups
        if not len(boxes):
            return Found(trouble="features without a peak")
    else:
        of_cells = find_masks(joined_cells(maps, settings.cells.cell_norm), settings)
        # Where cells are smaller than pixels, an object may have none.
        found = [
            (to_pixels(cells_of(mask), mask.shape, height, width), pixels)
            for mask in of_cells
            if (pixels := enlarged(mask, height, width)).any()
        ]
        if not found:
            return Found(trouble="objects smaller than a pixel")
        boxes = np.array([box for box, _ in found], np.int32)
        groups = np.arange(len(boxes), dtype=np.int32)
        masks = tuple(pixels for _, pixels in found)
    if settings.discoverer == "contrast" or settings.cells.object_rank == "contrast":
        scores = box_contrast(maps, boxes, height, width, settings.cells)
    else:
        scores = 1 / (1 + np.arange(len(boxes)))
    return Found(boxes, groups, scores.astype(np.float32), masks)


def find_masks(cells: np.ndarray, settings: DiscoverSettings) -> list[np.ndarray]:
    """The masks of objects in cells of length 1, bool [h, w] each, in the order they were found.

    Args:
        cells: float32 [h, w, D].
        settings: discoverer and settings of the cells.
    """
    height, width, depth = cells.shape
    vectors = cells.reshape(-1, depth)
    similarity = vectors @ vectors.T
    shape, flags = (height, width), settings.cells
    if settings.discoverer == "lost":
        return list(grow_objects(similarity, shape, flags.lost_seeds, flags.objects))
    cuts = [
        cut_objects(similarity, shape, threshold, flags.cut_weights, flags.objects)
        for threshold in flags.cut_thresholds
    ]
    # The first object of each threshold before the second of any.
    return [of_one[rank] for rank in range(flags.objects) for of_one in cuts if rank < len(of_one)]


def cells_of(mask: np.ndarray) -> tuple[int, int, int, int]:
    """The box around a mask: first row, first column, last row + 1, last column + 1."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1


def enlarged(mask: np.ndarray, height: int, width: int) -> np.ndarray:
    """The mask of cells in pixels, bool [height, width], each pixel that of its cell."""
    rows, columns = (
        ((2 * np.arange(side) + 1) * cells // (2 * side))
        for side, cells in zip((height, width), mask.shape)
    )
    return mask[rows[:, None], columns]
