"""The figures of a segmentation from one confusion matrix over all pixels of a set."""

import dataclasses

import numpy as np

from ssl_tf.data.annotations.annotated_source import IGNORED


@dataclasses.dataclass(frozen=True)
class Confusion:
    """Counts of pixels.

    Attributes:
        counts: int64 [classes, classes], by true class, then by predicted class.
    """

    counts: np.ndarray

    def figures(self) -> dict[str, float]:
        """`miou`, `pixel_accuracy` and `mean_accuracy`, in [0, 1].

        mIoU is the mean over the classes that are true or predicted anywhere; mean accuracy that
        over the classes that are true anywhere. Both are 0 without a pixel.
        """
        true = self.counts.sum(axis=1)
        hits = np.diag(self.counts)
        ious = [iou for iou in self.class_ious() if iou is not None]
        accuracies = hits[true > 0] / true[true > 0]
        return {
            "miou": float(np.mean(ious)) if ious else 0.0,
            "pixel_accuracy": float(hits.sum() / max(true.sum(), 1)),
            "mean_accuracy": float(accuracies.mean()) if accuracies.size else 0.0,
        }

    def class_ious(self) -> list[float | None]:
        """Intersection over union of each class; None if it is neither true nor predicted."""
        hits = np.diag(self.counts)
        unions = self.counts.sum(axis=0) + self.counts.sum(axis=1) - hits
        return [float(hit / union) if union else None for hit, union in zip(hits, unions)]


def count_pixels(truth: np.ndarray, predicted: np.ndarray, num_classes: int) -> np.ndarray:
    """The counts of one image, int64 [num_classes, num_classes]; ignored pixels do not count.

    Args:
        truth: integer [H, W], labels and `IGNORED`.
        predicted: integer [H, W], classes.
        num_classes: number of classes.
    """
    kept = truth != IGNORED
    pairs = truth[kept].astype(np.int64) * num_classes + predicted[kept]
    return np.bincount(pairs, minlength=num_classes**2).reshape(num_classes, num_classes)
