"""Average precision as VOC has it: one overlap, difficult objects left out."""

from collections.abc import Sequence

import numpy as np

from ssl_tf.detection.found_objects import ImageObjects

_OVERLAPS = tuple(n / 100 for n in range(50, 100, 5))


def voc_figures(
    truth: Sequence[ImageObjects], found: Sequence[ImageObjects], num_classes: int
) -> dict[str, float | None]:
    """The figures of boxes, means over the classes that have an object.

    Returns:
        voc_ap (mean over overlaps of 0.5 to 0.95), voc_ap50 and voc_ap75 at 11 recalls, as VOC 2007
        and Detectron2 have them; voc_ap50_all under the whole curve, as VOC has it since 2010.
        None if no class has an object.
    """
    by_index = {image.index: image for image in truth}
    true = [by_index[image.index] for image in found]
    eleven: dict[float, list[float]] = {overlap: [] for overlap in _OVERLAPS}
    whole: list[float] = []
    for label in range(num_classes):
        for overlap in _OVERLAPS:
            curve = precision_recall(true, found, label, overlap)
            if curve is None:
                continue
            eleven[overlap].append(eleven_point(*curve))
            if overlap == 0.5:
                whole.append(all_points(*curve))
    if not whole:
        return dict.fromkeys(("voc_ap", "voc_ap50", "voc_ap75", "voc_ap50_all"))
    means = {overlap: float(np.mean(values)) for overlap, values in eleven.items()}
    return {
        "voc_ap": float(np.mean(list(means.values()))),
        "voc_ap50": means[0.5],
        "voc_ap75": means[0.75],
        "voc_ap50_all": float(np.mean(whole)),
    }


def precision_recall(
    truth: Sequence[ImageObjects], found: Sequence[ImageObjects], label: int, overlap: float
) -> tuple[np.ndarray, np.ndarray] | None:
    """Precision and recall of one class behind each object found, by falling score.

    An object found is right if it overlaps the true object that it overlaps most by more than
    `overlap`, as the first to do so. If that one is difficult it does not count at all.

    Args:
        truth, found: of the same images, in the same order.
        label: the class.
        overlap: intersection over union.

    Returns:
        precision, recall: float64 [n]. None if there is no true object that counts.
    """
    objects = 0
    scores, right, counted = [], [], []
    for true, there in zip(truth, found, strict=True):
        mine, theirs = true.classes == label, there.classes == label
        difficult = true.difficult[mine]
        objects += int((~difficult).sum())
        overlaps = box_overlaps(there.boxes[theirs], true.boxes[mine])
        taken = np.zeros(len(difficult), bool)
        found_scores = there.scores[theirs]
        for row in np.argsort(-found_scores, kind="stable"):
            scores.append(found_scores[row])
            best = int(np.argmax(overlaps[row])) if len(difficult) else -1
            hit = best >= 0 and overlaps[row, best] > overlap
            counted.append(not (hit and difficult[best]))
            right.append(hit and not difficult[best] and not taken[best])
            if right[-1]:
                taken[best] = True
    if not objects:
        return None
    order = np.argsort(-np.array(scores, np.float64), kind="stable")
    order = order[np.array(counted, bool)[order]]
    is_right = np.array(right, bool)[order]
    hits = np.cumsum(is_right)
    return hits / np.arange(1, len(hits) + 1), hits / objects


def eleven_point(precision: np.ndarray, recall: np.ndarray) -> float:
    """The mean, over recalls of 0, 0.1 to 1, of the best precision at that recall or beyond."""
    best = [precision[recall >= n / 10].max(initial=0.0) for n in range(11)]
    return float(np.mean(best))


def all_points(precision: np.ndarray, recall: np.ndarray) -> float:
    """The area under the curve of the best precision at each recall or beyond."""
    best = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.sum(np.diff(recall, prepend=0.0) * best))


def box_overlaps(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Intersection over union of boxes [n, 4] and [m, 4]: float64 [n, m]."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    common = (high - low).clip(0).prod(-1)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(-1) for boxes in (first, second)]
    union = areas[0][:, None] + areas[1][None] - common
    return np.divide(common, union, out=np.zeros_like(common), where=union > 0)
