"""The reader of JSON files of boxes: COCO-style, an object of id: boxes, or a list of objects."""

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

from ssl_tf.data.annotation_marks import is_set
from ssl_tf.data.proposals.foreign_boxes import (
    Entry,
    Row,
    read_name,
    read_number,
    read_numbers,
    read_pixels,
    tell_unread,
)
from ssl_tf.errors import UserError

# Those of an image.
_KEYS = ("id", "boxes", "scores", "score", "height", "width")
_COCO_IMAGE = ("id", "file_name", "width", "height")
# Those of an annotation of COCO, its results and its usual exporters.
_COCO_ANNOTATION = {
    "id", "image_id", "category_id", "bbox", "area", "iscrowd", "segmentation", "score",
    "attributes", "ignore", "keypoints", "num_keypoints",
}  # fmt: skip


def read_json(file: str) -> Iterator[Entry]:
    """The entries of a JSON file: COCO-style, an object of id: boxes, or a list of objects.

    Raises:
        UserError: the file is no JSON, has other content, or has an id twice.
    """

    def without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        twice = [key for key, count in Counter(key for key, _ in pairs).items() if count > 1]
        if twice:
            raise UserError(f"{file}: {twice[0]!r} comes twice")
        return dict(pairs)

    try:
        with open(file, encoding="utf-8-sig") as stream:
            content = json.load(stream, object_pairs_hook=without_duplicates)
    except UnicodeError:
        raise
    except (ValueError, RecursionError) as error:
        raise UserError(f"{file} is no JSON of boxes: {error}") from None
    if isinstance(content, dict) and {"images", "annotations"} <= content.keys():
        return _read_coco(file, content)
    if isinstance(content, dict):
        content = [{"id": image_id, "boxes": boxes} for image_id, boxes in content.items()]
    if not isinstance(content, list):
        raise UserError(f"{file}: expected an object of id: boxes, or a list of objects")
    return _read_objects(file, content)


def _read_objects(file: str, content: list[Any]) -> Iterator[Entry]:
    """The entries of a list of objects.

    Each is {"id", "boxes": [[ymin, xmin, ymax, xmax(, score)], ...], "scores", "height", "width"}.
    """
    unread: dict[str, None] = {}
    for number, value in enumerate(content):
        if not isinstance(value, dict) or "id" not in value:
            raise UserError(f"{file}, entry {number}: expected an object with id and boxes")
        place, boxes = f"image {value['id']!r}", value.get("boxes")
        unread |= dict.fromkeys(key for key in value if key not in _KEYS)
        scores = value.get("scores") or value.get("score") or []
        if not (isinstance(boxes, list) and isinstance(scores, list)) or (
            scores and len(scores) != len(boxes)
        ):
            raise UserError(f"{file}, {place}: expected a list of boxes, and a score each if any")
        rows = []
        for n, box in enumerate(boxes):
            where = f"{place}, box {n}"
            sides = read_numbers(file, where, box, 4, 5)
            score = sides[4] if len(sides) > 4 else None
            if scores:
                if score is not None:
                    raise UserError(f"{file}, {where}: it has a score, and another one in scores")
                score = read_number(file, where, scores[n])
            rows.append(Row(where, tuple(sides[:4]), score))
        height, width = (
            read_pixels(file, place, value.get(side, 0)) for side in ("height", "width")
        )
        yield Entry(place, {"id": read_name(file, place, value["id"])}, rows, height, width)
    tell_unread(file, "keys", unread)


def _read_coco(file: str, content: dict[str, Any]) -> Iterator[Entry]:
    """The entries of COCO-style JSON, whose boxes are x, y, width, height in pixels.

    Images without annotations have an entry, too.
    """
    for key in ("images", "annotations"):
        if not isinstance(content[key], list):
            raise UserError(f"{file}: expected a list of {key}")
    entries: dict[Any, Entry] = {}
    for number, image in enumerate(content["images"]):
        place = f"image {number}"
        missing = [key for key in _COCO_IMAGE if not isinstance(image, dict) or key not in image]
        if missing:
            raise UserError(
                f"{file}, {place}: expected id, file_name, width and height; it lacks "
                f"{', '.join(missing)}"
            )
        image_id = image["id"]
        names = {key: read_name(file, place, image[key]) for key in ("id", "file_name")}
        height, width = (read_pixels(file, place, image[side]) for side in ("height", "width"))
        if image_id in entries:
            raise UserError(f"{file}, {place}: the id {image_id!r} comes twice")
        if min(height, width) < 1:
            raise UserError(f"{file}, {place}: a size of {width}x{height}")
        entries[image_id] = Entry(place, names, [], height, width)
    unread: dict[str, None] = {}
    for number, annotation in enumerate(content["annotations"]):
        place = f"annotation {number}"
        image_id = annotation.get("image_id") if isinstance(annotation, dict) else None
        if not isinstance(image_id, str | int) or image_id not in entries:
            raise UserError(f"{file}, {place}: its image_id is not among the images")
        entry = entries[annotation["image_id"]]
        unread |= dict.fromkeys(key for key in annotation if key not in _COCO_ANNOTATION)
        x, y, w, h = read_numbers(file, place, annotation.get("bbox"), 4)
        box = (y / entry.height, x / entry.width, (y + h) / entry.height, (x + w) / entry.width)
        score = annotation.get("score")
        if score is not None:
            score = read_number(file, place, score)
        marks = [_mark(file, place, annotation, key) for key in ("iscrowd", "ignore")]
        entry.rows.append(Row(place, box, score, crowd=any(marks)))
    tell_unread(file, "keys", unread)
    yield from entries.values()


def _mark(file: str, place: str, annotation: dict[str, Any], key: str) -> bool:
    try:
        return is_set(str(annotation.get(key) or 0))
    except ValueError as error:
        raise UserError(f"{file}, {place}: {key} {error}") from None
