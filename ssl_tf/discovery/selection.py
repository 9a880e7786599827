"""From the worth of regions to the few boxes of an image."""

import numpy as np

from ssl_tf.discovery.box_metrics import overlaps


def select_regions(
    boxes: np.ndarray, groups: np.ndarray, worth: np.ndarray, limit: int, max_iou: float
) -> np.ndarray:
    """Indices of the chosen regions, the best first.

    In falling worth (equals keep their order) a region is taken if no region of its group is, and
    if it overlaps none that is by more than `max_iou`.

    Args:
        boxes: int [R, 4].
        groups: int [R].
        worth: float [R].
        limit: most regions to take.
        max_iou: largest intersection over union of two taken.
    """
    chosen: list[int] = []
    open_ = np.ones(len(boxes), bool)
    for index in np.argsort(-worth, kind="stable"):
        if len(chosen) == limit:
            break
        if open_[index]:
            chosen.append(int(index))
            open_ &= groups != groups[index]
            open_ &= overlaps(boxes, boxes[index : index + 1])[:, 0] <= max_iou
    return np.array(chosen, int)
