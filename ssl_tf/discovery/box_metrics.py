"""Metrics of the LOD paper: how well ranked boxes find annotated objects."""

import dataclasses
from collections.abc import Sequence

import numpy as np

# IoU at which the average precisions of odAP@[50:95] are taken.
_STEPS = np.arange(50, 100, 5) / 100


@dataclasses.dataclass(frozen=True)
class BoxMetrics:
    """Metrics in [0, 1]; an overlap is an intersection over union.

    Attributes:
        corloc: share of images whose first box overlaps an object by 0.5 or more.
        detection_rate: share of objects that a box overlaps by 0.5 or more.
        mabo: mean over the images of the mean over their objects of the best overlap.
        odap50: object-discovery average precision at an overlap of 0.5.
        odap5095: its mean over the overlaps 0.50, 0.55, ... 0.95.
        corloc_error: standard error of corloc, over images.
        detection_error: standard error of detection_rate, over images with all their objects.
    """

    corloc: float
    detection_rate: float
    mabo: float
    odap50: float
    odap5095: float
    corloc_error: float
    detection_error: float


def measure(ranked: Sequence[np.ndarray], objects: Sequence[np.ndarray]) -> BoxMetrics:
    """The metrics of the boxes of many images; an image without a box counts as missed.

    Args:
        ranked: a [K_i, 4] array an image, its boxes, the best first.
        objects: an [n_i, 4] array an image, all n_i > 0.
    """
    tables = [overlaps(boxes, truth) for boxes, truth in zip(ranked, objects)]
    best = [table.max(axis=0, initial=0.0) for table in tables]
    precisions = [average_precision(tables, step) for step in _STEPS]
    hits = [table[:1].max(initial=0.0) >= 0.5 for table in tables]
    return BoxMetrics(
        corloc=float(np.mean(hits)),
        detection_rate=float(np.mean(np.concatenate(best) >= 0.5)),
        mabo=float(np.mean([overlap.mean() for overlap in best])),
        odap50=precisions[0],
        odap5095=float(np.mean(precisions)),
        corloc_error=ratio_error(np.array(hits, float), np.ones(len(hits))),
        detection_error=ratio_error(
            np.array([(overlap >= 0.5).sum() for overlap in best]),
            np.array([len(overlap) for overlap in best]),
        ),
    )


def ratio_error(parts: np.ndarray, wholes: np.ndarray) -> float:
    """The standard error of sum(parts) / sum(wholes), where images are drawn independently.

    Args:
        parts: float [N], such as the number of objects found in each image.
        wholes: float [N], such as the number of its objects.
    """
    ratio = parts.sum() / wholes.sum()
    return float(np.sqrt(np.sum((parts - ratio * wholes) ** 2)) / wholes.sum())


def average_precision(tables: Sequence[np.ndarray], threshold: float) -> float:
    """odAP: the area under precision and recall of the first 1, 2, ... boxes of all images.

    Only the first box that hits an object counts for it. There is no interpolation.

    Args:
        tables: a table of IoU [K_i, n_i] an image.
        threshold: smallest IoU of a hit.
    """
    most = max(len(table) for table in tables)
    positives, objects_hit = np.zeros(most), np.zeros(most)
    proposed = np.zeros(most)
    for table in tables:
        hits = table >= threshold
        first = hits & (np.cumsum(hits, axis=0) == 1)
        count = len(table)
        proposed += np.minimum(np.arange(1, most + 1), count)
        positives[:count] += first.any(axis=1)
        objects_hit[:count] += first.sum(axis=1)
    precision = np.cumsum(positives) / np.maximum(proposed, 1)
    recall = np.cumsum(objects_hit) / sum(table.shape[1] for table in tables)
    return float(np.sum(precision * np.diff(recall, prepend=0.0)))


def overlaps(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Intersection over union of boxes (x1, y1, x2, y2): [A, 4], [B, 4] -> [A, B]."""
    one, two = np.asarray(first, float)[:, None], np.asarray(second, float)[None]
    begin = np.maximum(one[..., :2], two[..., :2])
    end = np.minimum(one[..., 2:], two[..., 2:])
    shared = np.maximum(end - begin + 1, 0).prod(axis=-1)
    areas = [(boxes[..., 2:] - boxes[..., :2] + 1).prod(axis=-1) for boxes in (one, two)]
    return shared / (areas[0] + areas[1] - shared)
