"""What a detector finds, in COCO's format of results."""

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from ssl_tf.data.annotations.annotated_source import AnnotatedSource
from ssl_tf.detection.found_objects import ImageObjects
from ssl_tf.files import write_text


def write_predictions(found: Iterable[ImageObjects], source: AnnotatedSource, path: Path) -> None:
    """Writes a json of results, in the ids and the pixels of the annotations.

    Masks are in the pixels of the image, which are those of its annotations where there are any.

    Args:
        found: objects in images of the source.
        source: of the images.
        path: of the file.
    """
    ids, results = source.image_ids(), []
    for image in found:
        annotated = source.annotated_size(image.index) or image.size
        boxes = image.boxes * np.tile(np.divide(annotated, image.size), 2)
        for row, (top, left, bottom, right) in enumerate(boxes.tolist()):
            result = {
                "image_id": ids[image.index],
                "category_id": source.category_ids[image.classes[row]],
                "bbox": [round(x, 3) for x in (left, top, right - left, bottom - top)],
                "score": round(float(image.scores[row]), 6),
            }
            if image.masks:
                result["segmentation"] = image.masks[row]
            results.append(result)
    write_text(path, json.dumps(results) + "\n")
