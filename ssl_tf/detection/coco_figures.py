"""Average precision as COCO has it, by pycocotools."""

import contextlib
import io
from collections.abc import Sequence

import numpy as np
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from ssl_tf.detection.found_objects import ImageObjects

# Objects of an image that count, the last of pycocotools' maxDets.
COUNTED = 100
# Places in pycocotools' list of figures.
_STATS = {"ap": 0, "ap50": 1, "ap75": 2, "aps": 3, "apm": 4, "apl": 5}


def coco_figures(
    truth: Sequence[ImageObjects], found: Sequence[ImageObjects], num_classes: int, kind: str
) -> tuple[dict[str, float | None], list[float | None]]:
    """The figures of boxes or masks, over the images in both lists.

    Sizes (small below 32 x 32 pixels, large above 96 x 96) are those of the original image. What
    lies in a crowd counts neither for nor against. At most 100 objects of a class and image count.

    Args:
        truth: the true objects of images.
        found: those that were found.
        num_classes: number of classes.
        kind: "box" or "mask".

    Returns:
        KIND_ap (mean over overlaps of 0.5 to 0.95), KIND_ap50, KIND_ap75, KIND_aps, KIND_apm and
        KIND_apl, in [0, 1]; and the first of them for each class. None where there is no true
        object.
    """
    by_index = {image.index: image for image in truth}
    shown = [by_index[image.index] for image in found]
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = COCOeval(
            _dataset(shown, num_classes, kind),
            _dataset(found, num_classes, kind),
            {"box": "bbox", "mask": "segm"}[kind],
        )
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    # Overlaps, recalls, classes, sizes, numbers of objects: all sizes, the largest number.
    precision = evaluation.eval["precision"][:, :, :, 0, -1]
    by_class = [_mean(precision[:, :, label]) for label in range(num_classes)]
    figures = {f"{kind}_{name}": _known(evaluation.stats[place]) for name, place in _STATS.items()}
    return figures, by_class


def _dataset(images: Sequence[ImageObjects], num_classes: int, kind: str) -> COCO:
    """Objects as pycocotools holds a json; classes count from 1."""
    made = COCO()
    made.dataset = {
        "images": [
            {"id": image.index, "height": image.size[0], "width": image.size[1]} for image in images
        ],
        "categories": [{"id": label + 1} for label in range(num_classes)],
        "annotations": [],
    }
    for image in images:
        for row, (top, left, bottom, right) in enumerate(image.boxes.tolist()):
            entry = {
                # pycocotools takes an id of 0 for no match.
                "id": len(made.dataset["annotations"]) + 1,
                "image_id": image.index,
                "category_id": int(image.classes[row]) + 1,
                "bbox": [left, top, right - left, bottom - top],
                "area": (right - left) * (bottom - top),
                "iscrowd": 0,
            }
            if kind == "mask":
                entry["segmentation"] = image.masks[row]
                entry["area"] = float(coco_mask.area(image.masks[row]))
            if image.scores is not None:
                entry["score"] = float(image.scores[row])
            else:
                entry["area"] = float(image.areas[row])
                entry["iscrowd"] = int(image.crowd[row])
            made.dataset["annotations"].append(entry)
    made.createIndex()
    return made


def _mean(precision: np.ndarray) -> float | None:
    """The mean of what is known, none being -1."""
    known = precision[precision > -1]
    return float(known.mean()) if known.size else None


def _known(figure: float) -> float | None:
    return float(figure) if figure > -1 else None
