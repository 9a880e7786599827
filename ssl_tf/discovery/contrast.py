"""How much a box stands out: the contrast of its cells with those around it."""

import numpy as np

from ssl_tf.discovery.cells import normalized
from ssl_tf.settings import CellSettings


def box_contrast(
    maps: list[np.ndarray], boxes: np.ndarray, height: int, width: int, settings: CellSettings
) -> np.ndarray:
    """The contrast of an image's boxes on the finest of its maps, float [R].

    Args:
        maps: float [h, w, D], one a layer.
        boxes: int [R, 4], pixels from 1, ends included.
        height, width: of the image in pixels.
        settings: contrast_norm and surround.
    """
    finest = max(maps, key=lambda layer: layer.shape[0] * layer.shape[1])
    cells = normalized(finest, settings.contrast_norm)
    return surround_contrast(cells, boxes, height, width, settings.surround)


def surround_contrast(
    cells: np.ndarray, boxes: np.ndarray, height: int, width: int, surround: float
) -> np.ndarray:
    """1 less the cosine of the mean cell inside a box and the mean cell around it: float [R].

    It is between 0, where a box is like its surroundings, and 2. A part of an object is like the
    rest around it, and a box that is too large has surroundings inside: both stand out less than
    the object. A box that leaves nothing around it has the contrast 0.

    Args:
        cells: float [h, w, D], which tile the image; the cosine means most if they are centred.
        boxes: int [R, 4], pixels from 1, ends included.
        height, width: of the image in pixels.
        surround: width of the surroundings on each side, as a share of the box's own side.
    """
    h, w, _ = cells.shape
    scale = np.array([w / width, h / height, w / width, h / height])
    sides = np.round((np.asarray(boxes).reshape(-1, 4) - [1, 1, 0, 0]) * scale).astype(int)
    left, top = np.minimum(sides[:, 0], w - 1), np.minimum(sides[:, 1], h - 1)
    right, bottom = np.maximum(sides[:, 2], left + 1), np.maximum(sides[:, 3], top + 1)
    reach_x, reach_y = (
        np.maximum(1, np.round(surround * side)).astype(int)
        for side in (right - left, bottom - top)
    )
    outer = (
        np.maximum(left - reach_x, 0),
        np.maximum(top - reach_y, 0),
        np.minimum(right + reach_x, w),
        np.minimum(bottom + reach_y, h),
    )
    # The sum over any box is the sum of four corners of this table.
    table = np.pad(cells, ((1, 0), (1, 0), (0, 0))).cumsum(axis=0, dtype=np.float64).cumsum(axis=1)

    def box_sum(x1: np.ndarray, y1: np.ndarray, x2: np.ndarray, y2: np.ndarray) -> np.ndarray:
        return table[y2, x2] - table[y1, x2] - table[y2, x1] + table[y1, x1]

    inside = box_sum(left, top, right, bottom)
    around = box_sum(*outer) - inside
    lengths = np.linalg.norm(inside, axis=1) * np.linalg.norm(around, axis=1)
    cosine = (inside * around).sum(axis=1) / np.maximum(lengths, 1e-12)
    is_all = (outer[2] - outer[0]) * (outer[3] - outer[1]) == (right - left) * (bottom - top)
    return np.where(is_all, 0.0, 1 - cosine)
