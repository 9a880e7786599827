"""Non-maximum suppression of an image's scored regions, by overlap and by group."""

import numpy as np

from ssl_tf.discovery.box_metrics import overlaps


def select_regions(
    boxes: np.ndarray, groups: np.ndarray, scores: np.ndarray, limit: int, max_iou: float
) -> np.ndarray:
    """Indices of the chosen regions, the best first.

    Regions are visited by descending score; equals keep their order. A region is chosen if no
    chosen region has its group or overlaps it by more than `max_iou`.

    Args:
        boxes: int [R, 4].
        groups: int [R].
        scores: float [R].
        limit: largest number of regions to choose.
        max_iou: largest intersection over union of two chosen regions.
    """
    chosen: list[int] = []
    is_allowed = np.ones(len(boxes), bool)
    for index in np.argsort(-scores, kind="stable"):
        if len(chosen) == limit:
            break
        if is_allowed[index]:
            chosen.append(int(index))
            is_allowed &= groups != groups[index]
            is_allowed &= overlaps(boxes, boxes[index : index + 1])[:, 0] <= max_iou
    return np.array(chosen, int)
