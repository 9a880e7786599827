"""What a discovery found: measures beside baselines, costs, and a sheet of pictures."""

import dataclasses
from pathlib import Path

import numpy as np

from ssl_tf.data.decoding import pixels
from ssl_tf.data.source import Source
from ssl_tf.discovery import shards
from ssl_tf.discovery.box_metrics import Metrics, measure
from ssl_tf.discovery.choice import found_boxes, read_proposals
from ssl_tf.discovery.description import REGIONS
from ssl_tf.discovery.matching_shards import GRAPH
from ssl_tf.files import write_json
from ssl_tf.settings import DiscoverSettings
from ssl_tf.views.sheet import draw_sheet, with_rectangles

_COLUMNS = 6
_DRAWN = 3
# OHMS and the images of OpenImages with boxes, for which costs are projected.
_COLLECTIONS = (212_753, 1_743_042)


def measure_boxes(
    settings: DiscoverSettings, shard_count: int, rankers: tuple[str, ...]
) -> dict[str, Metrics]:
    """Metrics of every ranker and baseline; empty where the images have no annotated objects.

    "all proposals" stands for what any choice among them could reach: its detection rate and mean
    best overlap bound those of the others.
    """
    found, objects = found_boxes(
        Path(settings.output),
        shard_count,
        rankers,
        settings.ranking.boxes_per_image,
        settings.seed,
    )
    if not objects:
        return {}
    measured = {name: measure(boxes, objects) for name, boxes in found.items()}
    table = {name: dataclasses.asdict(one) for name, one in measured.items()}
    write_json(Path(settings.output) / "metrics.json", {"images": len(objects), **table})
    return measured


def metrics_table(measured: dict[str, Metrics]) -> str:
    """Lines of text, percentages."""
    width = max(map(len, measured))
    lines = [f"{'':<{width}}  CorLoc  detection   mABO  odAP50  odAP@[50:95]"]
    for name, one in measured.items():
        lines.append(
            f"{name:<{width}}  {100 * one.corloc:6.1f}  {100 * one.detection_rate:9.1f}  "
            f"{100 * one.mabo:5.1f}  {100 * one.odap50:6.2f}  {100 * one.odap5095:12.2f}"
        )
    return "\n".join(lines)


def measure_costs(output: Path, pairs: np.ndarray, images: int) -> dict[str, float]:
    """CPU-seconds of the stages, as their shards tell, and what larger collections would take.

    Args:
        output: directory.
        pairs: int [S], of each shard.
        images: N.
    """

    def seconds(stage: str) -> float:
        paths = [shards.shard_path(output / stage, number) for number in range(len(pairs))]
        return sum(float(shards.read_arrays(path)["seconds"]) for path in paths)

    describing, matching = seconds(REGIONS), seconds(GRAPH)
    count = max(1, int(pairs.sum()))
    image_seconds = (describing + matching) / images
    return {
        "images": images,
        "pairs": int(pairs.sum()),
        "regions_seconds_per_image": describing / images,
        "pairs_per_second_per_core": count / max(matching, 1e-9),
        "pairs_per_image": pairs.sum() / images,
        **{f"cpu_hours_for_{n}_images": n * image_seconds / 3600 for n in _COLLECTIONS},
    }


def draw_boxes(settings: DiscoverSettings, source: Source, shard_count: int) -> Path:
    """A sheet of the first images with their best boxes, orange, cyan and red in this order."""
    output, limit = Path(settings.output), settings.sheet_images
    proposals = read_proposals(output, shard_count, settings.ranking.ranker)
    cells = []
    for record, found in zip(source.sequence(0, min(limit, source.size)), proposals):
        if found.height:
            image = pixels(record["image"]).numpy()
            scores = ", ".join(f"{score:.2g}" for score in found.scores[:_DRAWN])
            lines = [f"{len(found.boxes)} boxes", scores]
            cells.append((with_rectangles(image, found.boxes[:_DRAWN]), lines))
    path = output / "boxes.png"
    if cells:
        draw_sheet([cells[n : n + _COLUMNS] for n in range(0, len(cells), _COLUMNS)], path)
    return path
