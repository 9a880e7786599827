"""The report of a discovery: metrics with baselines, costs, and a sheet of pictures."""

import dataclasses
from pathlib import Path

import numpy as np

from ssl_tf.data.decoding import pixels, upright
from ssl_tf.data.source import Source
from ssl_tf.discovery.box_metrics import BoxMetrics, measure
from ssl_tf.discovery.choice import boxes_by_method, read_proposals
from ssl_tf.discovery.description import REGIONS
from ssl_tf.discovery.matching_shards import GRAPH
from ssl_tf.files import write_json
from ssl_tf.settings import DiscoverSettings
from ssl_tf.sharding import shards
from ssl_tf.views.sheet import draw_sheet, with_rectangles

_COLUMNS = 6
_DRAWN = 3
# OHMS and the images of OpenImages with boxes, for which costs are projected.
_COLLECTIONS = (212_753, 1_743_042)


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
    """The table of metrics as text, in percent."""
    width = max(map(len, measured))
    lines = [f"{'':<{width}}  CorLoc  detection   mABO  odAP50  odAP@[50:95]"]
    for name, row in measured.items():
        lines.append(
            f"{name:<{width}}  {100 * row.corloc:6.1f}  {100 * row.detection_rate:9.1f}  "
            f"{100 * row.mabo:5.1f}  {100 * row.odap50:6.2f}  {100 * row.odap5095:12.2f}"
        )
    return "\n".join(lines)


def measure_costs(output: Path, pairs: np.ndarray, images: int) -> dict[str, float]:
    """CPU time of the stages, from their shards, and its projection to larger collections.

    Args:
        output: directory of the discovery.
        pairs: int [S], number of pairs of each shard.
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
    """Draws the first images with their best boxes, in the order orange, cyan, red.

    Returns:
        The path of the sheet.
    """
    output, limit = Path(settings.output), settings.sheet_images
    proposals = read_proposals(output, shard_count, settings.ranking.ranker)
    cells = []
    for example, proposal in zip(source.sequence(0, min(limit, source.size)), proposals):
        if proposal.height:
            image = upright(pixels(example["image"]), example).numpy()
            scores = ", ".join(f"{score:.2g}" for score in proposal.scores[:_DRAWN])
            lines = [f"{len(proposal.boxes)} boxes", scores]
            cells.append((with_rectangles(image, proposal.boxes[:_DRAWN]), lines))
    path = output / "boxes.png"
    if cells:
        draw_sheet([cells[n : n + _COLUMNS] for n in range(0, len(cells), _COLUMNS)], path)
    return path
