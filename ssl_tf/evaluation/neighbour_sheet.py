"""A picture of nearest images: each query at the left, its neighbours at its right."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from ssl_tf.views.sheet import Cell, draw_sheet


def neighbour_cells(
    queries: Sequence[Cell],
    found: Mapping[str, tuple[np.ndarray, np.ndarray]],
    image_of: Callable[[int], Cell],
) -> list[list[Cell]]:
    """The cells of the picture: for each query one row an encoder.

    Args:
        queries: picture and lines of each query.
        found: name of an encoder -> indices and cosines [Q, K] of `nearest`.
        image_of: index -> picture and lines of an image of the bank.

    Returns:
        Rows of 1 + K cells. The name of the encoder stands under the query, the cosine under each
        neighbour, both above their own lines.
    """
    rows = []
    for place, (picture, lines) in enumerate(queries):
        for name, (indices, cosines) in found.items():
            row = [(picture, [name, *lines])]
            for index, cosine in zip(indices[place].tolist(), cosines[place].tolist()):
                neighbour, its_lines = image_of(index)
                row.append((neighbour, [f"cosine {cosine:.3f}", *its_lines]))
            rows.append(row)
    return rows


def draw_neighbours(
    queries: Sequence[Cell],
    found: Mapping[str, tuple[np.ndarray, np.ndarray]],
    image_of: Callable[[int], Cell],
    path: Path,
) -> np.ndarray:
    """Writes the picture of `neighbour_cells` as a PNG, and returns it, uint8 [H, W, 3]."""
    return draw_sheet(neighbour_cells(queries, found, image_of), path)
