"""The map of a collection: points of the plane in colours, and thumbnails at their places."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image, ImageDraw

from ssl_tf.evaluation.curves import own_style, write_png

# Thumbnails along a side of the map.
GRID = 20
_CELL = 52
_FRAME = 3
_LEGEND = 20
_INCHES = (15.0, 7.2)


def grid_places(points: np.ndarray, grid: int = GRID) -> tuple[np.ndarray, np.ndarray]:
    """The point for each cell of a grid over the map that has any: the one nearest its centre.

    Args:
        points: float [N, 2].
        grid: cells along a side.

    Returns:
        Rows of the points, int64 [K], and their cells, (column, row from below), int64 [K, 2].
    """
    low, high = points.min(axis=0), points.max(axis=0)
    places = (points - low) / np.maximum(high - low, 1e-12) * grid
    cells = np.minimum(places.astype(np.int64), grid - 1)
    distance = ((places - cells - 0.5) ** 2).sum(axis=1)
    order = np.lexsort((distance, cells[:, 1], cells[:, 0]))
    _, first = np.unique(cells[order], axis=0, return_index=True)
    rows = order[first]
    return rows, cells[rows]


def draw_map(
    path: Path,
    points: np.ndarray,
    groups: np.ndarray,
    names: Sequence[str],
    thumbnails: Mapping[int, np.ndarray],
) -> None:
    """Writes a PNG: all points at the left, and thumbnails at the right, one a cell of the grid.

    Args:
        path: the PNG; it is complete or absent.
        points: float [N, 2].
        groups: integer [N], which give points and frames their colours.
        names: of the groups.
        thumbnails: row of a point -> uint8 [S, S, 3], for each row of `grid_places`.
    """
    colours = _colours(len(names))
    with own_style():
        figure = Figure(figsize=_INCHES, layout="constrained")
        FigureCanvasAgg(figure)
        left, right = figure.subplots(1, 2)
        _draw_points(left, points, groups, names, colours)
        right.imshow(_thumbnail_grid(points, groups, colours, thumbnails))
        for axes in (left, right):
            axes.set_xticks([])
            axes.set_yticks([])
        left.set_box_aspect(1)
        write_png(figure, path)


def _draw_points(
    axes: Axes,
    points: np.ndarray,
    groups: np.ndarray,
    names: Sequence[str],
    colours: np.ndarray,
) -> None:
    size = np.clip(20_000 / len(points), 4, 60)
    axes.scatter(*points.T, s=size, c=colours[groups], linewidths=0, alpha=0.8)
    if len(names) <= _LEGEND:
        dots = [axes.scatter([], [], s=40, color=colour) for colour in colours]
        axes.legend(dots, names, loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)


def _thumbnail_grid(
    points: np.ndarray,
    groups: np.ndarray,
    colours: np.ndarray,
    thumbnails: Mapping[int, np.ndarray],
) -> np.ndarray:
    """The thumbnails in their cells, framed in the colours of their groups: uint8 [H, W, 3]."""
    sheet = Image.new("RGB", (GRID * _CELL, GRID * _CELL), "white")
    pen = ImageDraw.Draw(sheet)
    inner = _CELL - 2 * _FRAME
    for row, (column, above) in zip(*grid_places(points)):
        left, top = column * _CELL, (GRID - 1 - above) * _CELL
        colour = tuple(np.round(255 * colours[groups[row]]).astype(int).tolist())
        pen.rectangle([left, top, left + _CELL - 1, top + _CELL - 1], fill=colour)
        picture = Image.fromarray(thumbnails[int(row)])
        method = Image.NEAREST if picture.width < inner else Image.BOX
        fitted = picture.resize((inner, inner), method)
        sheet.paste(fitted, (left + _FRAME, top + _FRAME))
    return np.asarray(sheet)


def _colours(count: int) -> np.ndarray:
    """A colour for each of `count` groups, float [count, 3] in [0, 1]."""
    name = "tab10" if count <= 10 else "tab20" if count <= 20 else "gist_rainbow"
    shades = matplotlib.colormaps[name]
    steps = np.arange(count) if count <= 20 else np.linspace(0, 1, count)
    return shades(steps)[:, :3]
