"""The report of a discovery: metrics with baselines, costs, and a sheet of pictures."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import ImageColor

from ssl_tf.data.decoding import image_of, upright
from ssl_tf.data.proposals.masks import decode_mask
from ssl_tf.data.source import Source
from ssl_tf.discovery.box_metrics import BoxMetrics, measure
from ssl_tf.discovery.choice import boxes_by_method, read_proposals
from ssl_tf.discovery.describing_shards import REGIONS
from ssl_tf.discovery.matching_shards import GRAPH, PAIRS
from ssl_tf.errors import printable
from ssl_tf.files import write_json
from ssl_tf.settings import DiscoverSettings
from ssl_tf.sharding import shards
from ssl_tf.views.sheet import COLOURS, draw_sheet, with_rectangles

_COLUMNS = 6
# Of the first boxes, in the order of `COLOURS`.
_NAMES = ("orange", "cyan", "pink")
_DRAWN = len(_NAMES)
# Share of its colour in a mask.
_TINT = 0.4


def measure_boxes(
    settings: DiscoverSettings, shard_count: int, rankers: tuple[str, ...]
) -> dict[str, BoxMetrics]:
    """The metrics of every ranker and baseline; empty if the images have no annotated objects.

    The detection rate and the mean best overlap of "all proposals" are upper bounds for any choice
    among them.
    """
    boxes, objects = boxes_by_method(
        Path(settings.output),
        shard_count,
        rankers,
        settings.ranking.boxes_per_image,
        settings.seed,
    )
    if not objects:
        return {}
    measured = {name: measure(of_method, objects) for name, of_method in boxes.items()}
    table = {name: dataclasses.asdict(metrics) for name, metrics in measured.items()}
    write_json(Path(settings.output) / "metrics.json", {"images": len(objects), **table})
    return measured


def metrics_table(measured: dict[str, BoxMetrics]) -> str:
    """The table of metrics as text, in percent, with the standard errors of two."""
    width = max(map(len, measured))
    lines = [f"{'':<{width}}       CorLoc    detection   mABO  odAP50  odAP@[50:95]"]
    for name, row in measured.items():
        corloc, detected, mabo, odap50, odap5095, *errors = (
            100 * value for value in dataclasses.astuple(row)
        )
        lines.append(
            f"{name:<{width}}  {corloc:5.1f} ± {errors[0]:3.1f}  {detected:5.1f} ± {errors[1]:3.1f}"
            f"  {mabo:5.1f}  {odap50:6.2f}  {odap5095:12.2f}"
        )
    return "\n".join(lines)


def measure_costs(settings: DiscoverSettings, shard_count: int, images: int) -> dict[str, float]:
    """CPU time of the stages, from their shards, and its projection to larger collections."""
    output = Path(settings.output)

    def seconds(stage: str, name: str = "seconds") -> float:
        paths = [shards.shard_path(output / stage, number) for number in range(shard_count)]
        return sum(float(shards.read_arrays(path)[name]) for path in paths)

    costs: dict[str, float] = {"images": images}
    describing = seconds(REGIONS)
    image_seconds = describing / images
    if settings.discoverer == "lod":
        pairs, matching = len(shards.read_arrays(output / PAIRS)["pairs"]), seconds(GRAPH)
        image_seconds = (describing + matching) / images
        costs |= {
            "pairs": pairs,
            "regions_seconds_per_image": describing / images,
            "pairs_per_second_per_core": max(1, pairs) / max(matching, 1e-9),
            "pairs_per_image": pairs / images,
        }
    else:
        costs |= {
            "seconds_per_image": image_seconds,
            "seconds_per_image_without_encoder": seconds(REGIONS, "cut_seconds") / images,
        }
    return {**costs, "cpu_hours_for_a_million_images": 1e6 * image_seconds / 3600}


def draw_boxes(settings: DiscoverSettings, source: Source, shard_count: int) -> None:
    """Draws the first images with their best boxes and, where there are any, their masks.

    Under an image stand its id and the scores by the colours of the boxes. Those of a ranker of
    regions, which say nothing by themselves, are shares of the image's best.
    """
    output, limit = Path(settings.output), settings.sheet_images
    proposals = read_proposals(output, shard_count, settings.scorer)
    cells = []
    for example, proposal in zip(source.sequence(0, min(limit, source.size)), proposals):
        if proposal.height:
            image = upright(image_of(example["image"]), example).numpy()
            image = _tinted(image, proposal.masks[:_DRAWN])
            scores = proposal.scores[:_DRAWN]
            of_graph = settings.discoverer == "lod" and not settings.ranking.rank_with_contrast
            if of_graph and len(scores):
                scores = scores / max(scores[0], np.finfo(float).tiny)
            told = [f"{name} {score:.2f}" for name, score in zip(_NAMES, scores)]
            lines = [printable(proposal.image_id.rpartition("/")[2]), *(told or ["no box"])]
            cells.append((with_rectangles(image, proposal.boxes[:_DRAWN]), lines))
    if cells:
        rows = [cells[n : n + _COLUMNS] for n in range(0, len(cells), _COLUMNS)]
        draw_sheet(rows, output / "boxes.png")


def _tinted(image: np.ndarray, masks: Sequence[str]) -> np.ndarray:
    """The image with each mask in the colour of its box, the best on top: uint8 [H, W, 3]."""
    tinted = image.astype(np.float32)
    for number, counts in reversed(list(enumerate(masks))):
        inside = decode_mask(counts, *image.shape[:2])
        colour = np.array(ImageColor.getrgb(COLOURS[number]), np.float32)
        tinted[inside] = (1 - _TINT) * image[inside] + _TINT * colour
    return tinted.round().astype(np.uint8)
