"""Objects that an image shows by itself, in one shard of images: --discoverer=ncut and lost."""

import time
from pathlib import Path

import numpy as np

from ssl_tf.data.proposals.masks import encode_mask
from ssl_tf.data.source import Source
from ssl_tf.discovery import shards
from ssl_tf.discovery.cells import joined_cells, trouble_of
from ssl_tf.discovery.description import REGIONS
from ssl_tf.discovery.feature_maps import Encoder
from ssl_tf.discovery.images import describe_images, equal_batches, read_examples
from ssl_tf.discovery.lost import grow_objects
from ssl_tf.discovery.normalized_cut import cut_objects
from ssl_tf.discovery.region_proposals import salient_box, to_pixels
from ssl_tf.settings import CellSettings, DiscoverSettings


def find_shard(
    number: int, source: Source, encoder: Encoder, settings: DiscoverSettings, output: Path
) -> None:
    """Writes `regions/NUMBER.npz`: the objects of the shard's images, with scores and masks.

    The arrays for its n images: those of `describe_images`, count (of objects; int32 [n]),
    salient_box (int32 [n, 4]), trouble (text [n], why an image has no object). For its objects:
    boxes (int32 [R, 4]), groups (int32 [R]), scores (float32 [R]) and masks (bytes [R], run lengths
    as in `encode_mask`). And seconds and cut_seconds (CPU time, of all and of the cuts alone).
    """
    began = time.process_time()
    start = number * settings.shard_images
    stop = min(source.size, start + settings.shard_images)
    examples = list(read_examples(source, start, stop))
    features, cells = settings.features, settings.cells
    masks: list[list[np.ndarray]] = [[] for _ in examples]
    scores: list[list[float]] = [[] for _ in examples]
    trouble = [""] * len(examples)
    salient = np.zeros([len(examples), 4], np.int32)
    cutting = 0.0
    for positions, images in equal_batches(examples, features.long_side, features.feature_batch):
        arrays = [layer.numpy() for layer in encoder.maps(images)]
        for row, position in enumerate(positions):
            maps = [layer[row] for layer in arrays]
            height, width = examples[position]["image"].shape[:2]
            trouble[position] = trouble_of(maps, cells.max_cells)
            saliency = np.maximum(np.nan_to_num(maps[-1]), 0).sum(axis=2)
            salient[position] = salient_box(saliency, height, width)
            if trouble[position]:
                continue
            cut_began = time.process_time()
            masks[position], scores[position] = find_objects(maps, settings.discoverer, cells)
            cutting += time.process_time() - cut_began
    boxes, runs = [], []
    for example, of_image in zip(examples, masks):
        height, width = example["image"].shape[:2]
        for mask in of_image:
            boxes.append(to_pixels(cells_of(mask), mask.shape, height, width))
            runs.append(encode_mask(enlarged(mask, height, width)))
    counts = np.array([len(of_image) for of_image in masks], np.int32)
    shards.write_arrays(
        shards.shard_path(output / REGIONS, number),
        **describe_images(examples),
        count=counts,
        salient_box=salient,
        trouble=np.array(trouble),
        boxes=np.array(boxes, np.int32).reshape(-1, 4),
        groups=np.concatenate([np.arange(count) for count in counts], dtype=np.int32),
        scores=np.array([score for of_image in scores for score in of_image], np.float32),
        masks=np.array(runs, "S"),
        seconds=time.process_time() - began,
        cut_seconds=cutting,
    )


def find_objects(
    maps: list[np.ndarray], discoverer: str, settings: CellSettings
) -> tuple[list[np.ndarray], list[float]]:
    """The masks of an image's objects, bool [h, w] each, and their scores, the larger the better.

    A score is the object's contrast, in [-2, 2], or falls with its rank where objects are kept as
    they were found.

    Args:
        maps: float [h, w, D], one a layer.
        discoverer: ncut or lost.
        settings: of the cells.
    """
    cells = joined_cells(maps, settings.cell_norm)
    height, width, depth = cells.shape
    vectors = cells.reshape(-1, depth)
    similarity = vectors @ vectors.T
    shape = height, width
    if discoverer == "lost":
        found = grow_objects(similarity, shape, settings.lost_seeds, settings.objects)
    else:
        cuts = [
            cut_objects(similarity, shape, threshold, settings.cut_weights, settings.objects)
            for threshold in settings.cut_thresholds
        ]
        # The first object of each threshold before the second of any.
        found = [c[rank] for rank in range(settings.objects) for c in cuts if rank < len(c)]
    if settings.object_rank == "contrast":
        return list(found), [contrast(similarity, mask.ravel()) for mask in found]
    return list(found), [1 / (1 + rank) for rank in range(len(found))]


def contrast(similarity: np.ndarray, inside: np.ndarray) -> float:
    """The mean similarity within an object less that between it and the rest, in [-2, 2].

    Args:
        similarity: float32 [n, n], cosines of the cells.
        inside: bool [n], the cells of the object.
    """
    toward = similarity @ inside.astype(np.float32)
    count = inside.sum()
    within = toward[inside].sum() / count**2
    across = toward[~inside].sum() / (count * max(1, len(inside) - count))
    return float(within - across)


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
