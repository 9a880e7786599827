"""The choice of boxes among the ranked regions of a shard, and the boxes to measure."""

from pathlib import Path

import numpy as np

from ssl_tf.data.proposals.format import ImageProposals
from ssl_tf.discovery import baselines
from ssl_tf.discovery.describing_shards import REGIONS
from ssl_tf.discovery.suppression import select_regions
from ssl_tf.settings import RankingSettings
from ssl_tf.sharding import shards

BOXES = "boxes"
_NO_BOXES = np.zeros([0, 4], np.int32)


def choose_shard(
    number: int, scores: dict[str, np.ndarray], settings: RankingSettings, output: Path
) -> None:
    """Writes `boxes/NUMBER.npz`, the boxes of the shard's images by every ranker.

    The arrays of a ranker: NAME_count int32 [n], NAME_boxes int32 [K, 4], NAME_worth float64 [K],
    the scores of the boxes, and NAME_masks bytes [K] where regions have masks.

    Args:
        number: of the shard.
        scores: ranker, or discoverer -> float [R], the scores of the shard's regions.
        settings: boxes_per_image, max_iou, largest_area and rank_with_contrast.
        output: directory of the discovery.
    """
    regions = shards.read_arrays(shards.shard_path(output / REGIONS, number))
    ends = np.cumsum(regions["count"])
    sides = regions["boxes"][:, 2:] - regions["boxes"][:, :2] + 1
    pixels = regions["height"].astype(float) * regions["width"]
    is_small = sides.prod(axis=1) <= settings.largest_area * np.repeat(pixels, regions["count"])
    arrays: dict[str, np.ndarray] = {}
    for name, values in scores.items():
        if settings.rank_with_contrast:
            values = rank_sums(values, regions["contrast"], regions["count"])
        chosen = []
        for start, end in zip(ends - regions["count"], ends):
            part = start + np.flatnonzero(is_small[start:end])
            index = select_regions(
                regions["boxes"][part],
                regions["groups"][part],
                values[part],
                settings.boxes_per_image,
                settings.max_iou,
            )
            chosen.append(part[index])
        index = np.concatenate(chosen).astype(int)
        arrays[f"{name}_count"] = np.array([len(image_index) for image_index in chosen], np.int32)
        arrays[f"{name}_boxes"] = regions["boxes"][index]
        arrays[f"{name}_worth"] = values[index]
        if "masks" in regions:
            arrays[f"{name}_masks"] = regions["masks"][index]
    shards.write_arrays(shards.shard_path(output / BOXES, number), **arrays)


def rank_sums(first: np.ndarray, second: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Scores by two orders: 1 less the mean of a region's two ranks, as a share of its image's.

    Ranks are those among the regions of the image, from 0; equals keep their order.

    Args:
        first, second: float [R], the larger the better.
        counts: int [n], number of regions of each image.

    Returns:
        float64 [R], in (0, 1].
    """
    image = np.repeat(np.arange(len(counts)), counts)
    number = np.arange(len(image)) - np.repeat(np.cumsum(counts) - counts, counts)
    total = np.zeros(len(image))
    for scores in (first, second):
        # By image, the best first; the sort keeps the order of equals.
        total[np.lexsort([-scores, image])] += number
    return 1 - total / np.maximum(2 * np.repeat(counts, counts), 1)


def read_proposals(output: Path, shard_count: int, ranker: str):
    """Yields the chosen boxes of every image as `ImageProposals`, in the order of the source."""
    for number in range(shard_count):
        regions = shards.read_arrays(shards.shard_path(output / REGIONS, number))
        chosen = shards.read_arrays(shards.shard_path(output / BOXES, number))
        masks = chosen.get(f"{ranker}_masks")
        end = 0
        for row, identity in enumerate(regions["id"]):
            start, end = end, end + chosen[f"{ranker}_count"][row]
            height, width = int(regions["height"][row]), int(regions["width"][row])
            yield ImageProposals(
                identity.decode("utf-8", "surrogateescape"),
                to_fractions(chosen[f"{ranker}_boxes"][start:end], height, width),
                chosen[f"{ranker}_worth"][start:end],
                height,
                width,
                () if masks is None else tuple(mask.decode() for mask in masks[start:end]),
            )


def to_fractions(boxes: np.ndarray, height: int, width: int) -> np.ndarray:
    """Pixels (x1, y1, x2, y2), from 1, ends included -> ymin, xmin, ymax, xmax in [0, 1]."""
    x1, y1, x2, y2 = np.asarray(boxes, float).reshape(-1, 4).T
    sides = [(y1 - 1) / height, (x1 - 1) / width, y2 / height, x2 / width]
    return np.stack(sides, axis=1) if height else np.zeros([0, 4])


def boxes_by_method(
    output: Path, shard_count: int, rankers: tuple[str, ...], limit: int, seed: int
) -> tuple[dict[str, list[np.ndarray]], list[np.ndarray]]:
    """The boxes of the images with annotated objects by every ranker and baseline, and the objects.

    Returns:
        boxes: ranker or baseline -> a [K, 4] array an image.
        objects: an [n, 4] array an image.
    """
    boxes_of: dict[str, list[np.ndarray]] = {name: [] for name in rankers}
    objects = []
    first = 0  # image of the shard
    for number in range(shard_count):
        regions = shards.read_arrays(shards.shard_path(output / REGIONS, number))
        chosen = shards.read_arrays(shards.shard_path(output / BOXES, number))
        parts = {name: _split(chosen[f"{name}_boxes"], chosen[f"{name}_count"]) for name in rankers}
        proposals = _split(regions["boxes"], regions["count"])
        objects_of = _split(regions["objects"], np.maximum(regions["object_count"], 0))
        for row in np.flatnonzero(regions["object_count"] > 0):
            size = int(regions["height"][row]), int(regions["width"][row])
            random = np.random.default_rng([seed, first + int(row)])
            objects.append(objects_of[row])
            for name in rankers:
                boxes_of[name].append(parts[name][row])
            alternatives = {
                "most salient box": regions["salient_box"][row : row + 1],
                "random proposals": baselines.random_proposals(proposals[row], limit, random),
                "centre box, half the sides": baselines.centre_box(*size, 0.5),
                "centre box, half the area": baselines.centre_box(*size, 0.5**0.5),
                "full image": baselines.full_image(*size),
                "all proposals": proposals[row],
            }
            for name, boxes in alternatives.items():
                # An image that cannot be read is missed by all.
                found = boxes if regions["readable"][row] else _NO_BOXES
                boxes_of.setdefault(name, []).append(found)
        first += len(regions["id"])
    return boxes_of, objects


def _split(values: np.ndarray, counts: np.ndarray) -> list[np.ndarray]:
    return np.split(values, np.cumsum(counts)[:-1])
