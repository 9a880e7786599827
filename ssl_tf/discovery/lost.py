"""LOST (Siméoni et al. 2021): objects grow from the cell that is like the fewest others."""

import numpy as np
from scipy import ndimage


def grow_objects(
    correlation: np.ndarray, shape: tuple[int, int], seeds: int, objects: int
) -> np.ndarray:
    """The masks of up to `objects` objects, bool [k, h, w], in the order in which they were found.

    The published method finds one. The next ones are found in what is left.

    Args:
        correlation: float32 [n, n], inner products of the features of the n = h w cells.
        shape: h, w.
        seeds: cells of least degree that may join the seed; 100 published.
        objects: largest number of objects.
    """
    free = np.ones(len(correlation), bool)
    masks: list[np.ndarray] = []
    while len(masks) < objects and free.any():
        mask = _grow(correlation, free, shape, seeds)
        masks.append(mask)
        free &= ~mask.ravel()
    return np.array(masks, bool).reshape(-1, *shape)


def _grow(
    correlation: np.ndarray, free: np.ndarray, shape: tuple[int, int], seeds: int
) -> np.ndarray:
    """The object of the free cells, bool [h, w]: sections 3.2 and 3.3 of the paper."""
    cells = np.flatnonzero(free)
    part = correlation[np.ix_(cells, cells)]
    # An object covers less of an image than its background: few cells are like its own.
    order = np.argsort((part >= 0).sum(axis=1), kind="stable")
    seed = order[0]
    friends = [cell for cell in order[:seeds] if part[cell, seed] >= 0]
    inside = np.zeros(len(correlation), bool)
    inside[cells] = part[:, friends].sum(axis=1) >= 0
    labels, _ = ndimage.label(inside.reshape(shape))
    return labels == labels.ravel()[cells[seed]]
