"""What a detector finds, in COCO's format of results."""

import json
from collections.abc import Iterable
from pathlib import Path

from ssl_tf.data.annotations.annotated_source import AnnotatedSource
from ssl_tf.detection.found_objects import ImageObjects
from ssl_tf.files import write_text


def write_predictions(found: Iterable[ImageObjects], source: AnnotatedSource, path: Path) -> None:
    """Writes a json of results, with the ids of images and categories in the annotations.

    Args:
        found: objects in images of the source.
        source: of the images.
        path: of the file.
    """
    ids, results = source.image_ids(), []
    for image in found:
        for row, (top, left, bottom, right) in enumerate(image.boxes.tolist()):
            result = {
                "image_id": ids[image.index],
                "category_id": int(source.category_ids[image.classes[row]]),
                "bbox": [round(x, 3) for x in (left, top, right - left, bottom - top)],
                "score": round(float(image.scores[row]), 6),
            }
            if image.masks:
                result["segmentation"] = image.masks[row]
            results.append(result)
    write_text(path, json.dumps(results) + "\n")
