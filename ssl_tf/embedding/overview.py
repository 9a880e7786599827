"""The report on a table of features: neighbours, near-duplicates, a map, and the page of them."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ssl_tf.data.source import Source
from ssl_tf.embedding.map_picture import draw_map, grid_places
from ssl_tf.embedding.near_duplicates import Pairs, find_pairs, write_pairs
from ssl_tf.embedding.page import MAP, NEIGHBOURS, PAIRS, Findings, write_page
from ssl_tf.embedding.planar import cluster, place
from ssl_tf.embedding.rows import Rows, joined
from ssl_tf.embedding.table_files import read_rows
from ssl_tf.embedding.thumbnails import read_thumbnails
from ssl_tf.errors import printable
from ssl_tf.evaluation.nearest import nearest
from ssl_tf.evaluation.neighbour_sheet import draw_neighbours
from ssl_tf.files import remove
from ssl_tf.settings import EmbedSettings
from ssl_tf.views.sheet import Cell, draw_sheet

_NEIGHBOURS = 8
_RANDOM_PAIRS = 20_000
_PAIRS_DRAWN = 24
_PAIRS_ABREAST = 4


def write_overview(
    settings: EmbedSettings,
    source: Source,
    layout: Rows,
    facts: dict[str, Any],
    unreadable: list[tuple[int, str]],
) -> Path:
    """Writes the pictures, the list of near-duplicates, and the page that shows them.

    Args:
        settings: of the command.
        source: of the images.
        layout: rows with the columns of the table.
        facts: of the manifest.
        unreadable: index and id of the images without a row.

    Returns:
        The page.
    """
    output = Path(settings.output)
    rows = _read_sample(output, layout, facts, settings.report_images)
    unit = _unit(rows.features)
    print(
        f"report: {len(rows)} of {facts['rows']} images, {unit.nbytes / 2**20:.0f} MiB of features",
        file=sys.stderr,
    )
    queries = spread(len(rows), settings.queries)
    found = nearest(unit[queries], unit, _NEIGHBOURS, own=queries)
    pairs = find_pairs(unit, settings.duplicate_cosine)
    write_pairs(output, pairs, rows)
    on_map = spread(len(rows), settings.map_images)
    points, projection = place(unit[on_map], settings.map_projection)
    groups, names = _groups(rows, unit, on_map, source)
    framed = grid_places(points)[0]
    best = slice(_PAIRS_DRAWN)
    wanted = [queries, found[0].ravel(), pairs.first[best], pairs.second[best], on_map[framed]]
    images = read_thumbnails(source, rows.index[np.concatenate(wanted)])

    def cell(row: int) -> Cell:
        return images[int(rows.index[row])], _caption(rows, row, source)

    draw_neighbours([cell(row) for row in queries], {"query": found}, cell, output / NEIGHBOURS)
    _draw_pairs(output / PAIRS, pairs, cell)
    draw_map(output / MAP, points, groups, names, {row: cell(on_map[row])[0] for row in framed})
    return write_page(
        output,
        Findings(
            facts=facts,
            unreadable=unreadable,
            random_cosines=random_cosines(unit),
            least_cosine=settings.duplicate_cosine,
            pairs=pairs,
            rows=rows,
            on_map=len(on_map),
            projection=projection,
        ),
    )


def spread(count: int, wanted: int) -> np.ndarray:
    """Evenly spaced numbers below `count`, int64, ascending: `wanted` of them or all."""
    wanted = min(count, wanted)
    return (2 * np.arange(wanted, dtype=np.int64) + 1) * count // (2 * wanted)


def random_cosines(unit: np.ndarray) -> np.ndarray:
    """Cosines of random pairs of different rows, ascending; none of a single row."""
    if len(unit) < 2:
        return np.zeros([0], np.float32)
    draw = np.random.default_rng(0)
    first = draw.integers(0, len(unit), _RANDOM_PAIRS)
    second = (first + draw.integers(1, len(unit), _RANDOM_PAIRS)) % len(unit)
    return np.sort(np.einsum("nd,nd->n", unit[first], unit[second]))


def _read_sample(output: Path, layout: Rows, facts: dict[str, Any], most: int) -> Rows:
    """Evenly spaced rows of the table, or all."""
    chosen, parts, before = spread(facts["rows"], most), [], 0
    for number in range(facts["shards"]):
        rows = read_rows(output, number, layout)
        of_shard = chosen[(before <= chosen) & (chosen < before + len(rows))] - before
        parts.append(Rows(**{name: column[of_shard] for name, column in rows.columns().items()}))
        before += len(rows)
    return joined(parts)


def _unit(features: np.ndarray) -> np.ndarray:
    """The rows at norm 1, float32; a row of zeros stays zero."""
    unit = features.astype(np.float32)
    unit /= np.maximum(np.linalg.norm(unit, axis=1, keepdims=True), 1e-12)
    return unit


def _groups(
    rows: Rows, unit: np.ndarray, on_map: np.ndarray, source: Source
) -> tuple[np.ndarray, list[str]]:
    """The groups of the map's points, int64, and their names: classes, or clusters without them."""
    if rows.single_label is not None:
        found, groups = np.unique(rows.single_label[on_map], return_inverse=True)
        return groups, [_class_name(source, label) for label in found]
    groups = cluster(unit[on_map])
    counts = np.bincount(groups)
    return groups, [f"cluster {number}: {count}" for number, count in enumerate(counts)]


def _class_name(source: Source, label: int) -> str:
    return printable(source.class_names[label]) if source.class_names else f"class {label}"


def _caption(rows: Rows, row: int, source: Source) -> list[str]:
    """The lines under an image: its class, if it has a single one, and the end of its id."""
    lines = [printable(str(rows.id[row]))[-24:]]
    if rows.single_label is not None:
        lines.insert(0, _class_name(source, rows.single_label[row]))
    return lines


def _draw_pairs(path: Path, pairs: Pairs, cell: Callable[[int], Cell]) -> None:
    """Draws the nearest pairs; without pairs there is no picture."""
    if not len(pairs.first):
        remove(path)
        return
    both: list[list[Cell | None]] = []
    for first, second, cosine in zip(pairs.first, pairs.second, pairs.cosine[:_PAIRS_DRAWN]):
        (left, left_lines), (right, right_lines) = cell(first), cell(second)
        title = f"cosine {cosine:.4f}"
        both.append([(left, [title, *left_lines]), (right, ["", *right_lines]), None])
    draw_sheet(
        [sum(both[n : n + _PAIRS_ABREAST], []) for n in range(0, len(both), _PAIRS_ABREAST)], path
    )
