"""The cells of an image's feature maps, as vectors of length 1 that can be compared."""

import numpy as np
import tensorflow as tf

# Share of the mean variance that is added to all before whitening, so that noise stays small.
_SHRINKAGE = 0.1


def joined_cells(maps: list[np.ndarray], norm: str) -> np.ndarray:
    """The cells of all maps on the grid of the finest: float32 [h, w, D1 + D2 + ...].

    Each map has the same weight: the inner product of two cells is the mean of its cosines.

    Args:
        maps: float [h, w, D], one a layer; their cells tile the image.
        norm: none, centre or whiten, as `normalized`.
    """
    height, width = max((of_layer.shape[:2] for of_layer in maps), key=lambda s: s[0] * s[1])
    parts = []
    for of_layer in maps:
        cells = normalized(of_layer, norm)
        if cells.shape[:2] != (height, width):
            cells = tf.image.resize(cells, (height, width)).numpy()
            cells = unit(cells)
        parts.append(cells)
    return np.concatenate(parts, axis=2) / np.float32(np.sqrt(len(parts)))


def normalized(features: np.ndarray, norm: str) -> np.ndarray:
    """The cells of one map with length 1, float32 [h, w, D]; a cell of zeros stays.

    Args:
        features: float [h, w, D].
        norm: none; centre, less the mean over the image; whiten, then also with the same variance
            along every axis.
    """
    height, width, depth = features.shape
    cells = features.reshape(-1, depth).astype(np.float32)
    if norm != "none":
        cells = cells - cells.mean(axis=0)
    if norm == "whiten":
        variances, axes = np.linalg.eigh(cells.T @ cells / len(cells))
        variances = np.maximum(variances, 0)
        floor = max(_SHRINKAGE * variances.mean(), np.finfo(np.float32).tiny)
        cells = cells @ axes / np.sqrt(variances + floor)
    return unit(cells).reshape(height, width, -1)


def unit(cells: np.ndarray) -> np.ndarray:
    """Vectors along the last axis, scaled to length 1; zeros stay."""
    return cells / np.maximum(np.linalg.norm(cells, axis=-1, keepdims=True), np.float32(1e-12))


def trouble_of(maps: list[np.ndarray], max_cells: int | None = None) -> str:
    """Why no object can be found in these maps, in a few words; empty if it can.

    Args:
        maps: float [h, w, D], one a layer.
        max_cells: largest number of cells of a map; None: any.
    """
    cells = max(of_layer.shape[0] * of_layer.shape[1] for of_layer in maps)
    if cells < 2:
        return "a map of one cell"
    if max_cells and cells > max_cells:
        return "a map of more than --max_cells"
    if not all(np.isfinite(of_layer).all() for of_layer in maps):
        return "features that are no finite numbers"
    if all(is_flat(of_layer) for of_layer in maps):
        return "the same features everywhere"
    return ""


def is_flat(features: np.ndarray) -> bool:
    """Whether all cells of a map are equal up to rounding."""
    spread = np.ptp(features.reshape(-1, features.shape[-1]), axis=0).max()
    return bool(spread <= 1e-6 * np.abs(features).max())
