"""Readers of box files: JSON, COCO-style JSON, CSV, OpenImages CSV and NumPy dictionaries.

The readers do not check the boxes; `importing` does. CSV files are streamed, so that the 14 million
rows of OpenImages need the memory of one image. The other files are read at once.
"""

import csv
import dataclasses
import json
import os
import re
import sys
from collections import Counter
from collections.abc import Collection, Iterator
from typing import Any

import numpy as np

from ssl_tf.data.decoding import EXTENSIONS
from ssl_tf.data.openimages.box_csv import is_set
from ssl_tf.errors import UserError

_OWN = ("id", "ymin", "xmin", "ymax", "xmax")
_OPENIMAGES = ("ImageID", "YMin", "XMin", "YMax", "XMax")
# Columns of YMin, XMin, YMax, XMax in an OpenImages row of the OAC authors' dictionary.
_OHMS_COLUMNS = (6, 4, 7, 5)
_GROUP = "IsGroupOf"
_KNOWN = {*_OWN, *_OPENIMAGES, _GROUP, "score", "height", "width"}
# Those of an image in JSON.
_KEYS = ("id", "boxes", "scores", "score", "height", "width")
_COCO_IMAGE = ("id", "file_name", "width", "height")
# Those of an annotation of COCO, its results and its usual exporters.
_COCO_ANNOTATION = {
    "id", "image_id", "category_id", "bbox", "area", "iscrowd", "segmentation", "score",
    "attributes", "ignore", "keypoints", "num_keypoints",
}  # fmt: skip
# A box in JSON or NumPy is one of these, never text, which Python iterates by its letters.
_LISTS = (list, tuple, np.ndarray)
_MOST_PIXELS = 2**31 - 1
_SHOWN = 80
_COCO_KEY = re.compile(r"(?:.*/)?(?P<stem>[^/]+)_(?P<number>\d+)\.\w+")


@dataclasses.dataclass
class Row:
    """A box of a file, unchecked.

    Attributes:
        place: its line or key in the file, for messages.
        box: ymin, xmin, ymax, xmax, fractions of the image.
        score: larger is better.
        crowd: it is around several objects: COCO's `iscrowd`, OpenImages' `IsGroupOf`.
    """

    place: str
    box: tuple[float, float, float, float]
    score: float = 1.0
    crowd: bool = False


@dataclasses.dataclass
class Entry:
    """The boxes of one image in a file, unchecked.

    Attributes:
        place: the first line or key of the image in the file, for messages.
        names: values for the id template, such as "id", "stem" and "file_name".
        rows: the boxes.
        height, width: size of the image in pixels; 0 if unknown.
    """

    place: str
    names: dict[str, str]
    rows: list[Row]
    height: int = 0
    width: int = 0


def read_npy(file: str, allow_pickle: bool, image_folder: str) -> Iterator[Entry]:
    """The entries of a dictionary of the OAC authors: of COCO in pixels, or of OHMS in fractions.

    Args:
        file: path of the pickled dictionary.
        allow_pickle: unpickle the file, which can run any program.
        image_folder: folder of the images, which have the sizes; only needed for COCO.

    Raises:
        UserError: the file is not allowed, cannot be read, or has other content.
    """
    if not allow_pickle:
        raise UserError(
            f"{file} is a pickle, which can run any program when it is loaded; if you trust "
            "where it comes from, give --allow_pickle"
        )
    try:
        content = np.load(file, allow_pickle=True).item()
    except Exception as error:  # a pickle may raise anything
        raise UserError(f"{file} cannot be read: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict) or not content:
        raise UserError(f"{file} holds no dictionary of boxes")
    first = next(iter(content.values()))
    if isinstance(first, dict) and "data" in first:
        return _read_ohms(file, content)
    return _read_coco_crops(file, content, image_folder)


def _read_coco_crops(file: str, content: dict[str, Any], image_folder: str) -> Iterator[Entry]:
    """The entries of a dictionary `<folder>/<stem>_<k>.jpg` -> x1, y1, x2, y2 in pixels."""
    if not image_folder:
        raise UserError(f"{file} has boxes in pixels and no sizes of images: give --image_folder")
    paths = _paths_by_stem(image_folder)
    numbered: dict[str, list[tuple[int, str]]] = {}
    for key in content:
        match = _COCO_KEY.fullmatch(str(key))
        if not match:
            raise UserError(f"{file}: the key {key!r} is not FOLDER/STEM_NUMBER.jpg")
        numbered.setdefault(match["stem"], []).append((int(match["number"]), key))
    for stem, keys in numbered.items():
        place, found = f"key {keys[0][1]!r}", paths.get(stem, [])
        if len(found) != 1:
            problem = (
                f"{len(found)} images {stem} ({', '.join(found)})"
                if found
                else (f"no image {stem}")
            )
            raise UserError(f"{file}, {place}: --image_folder={image_folder} has {problem}")
        (path,) = found
        height, width = _image_size(os.path.join(image_folder, path))
        rows = []
        for _, key in sorted(keys):
            x1, y1, x2, y2 = _numbers(file, f"key {key!r}", content[key], 4)
            box = (y1 / height, x1 / width, y2 / height, x2 / width)
            rows.append(Row(f"key {key!r}", box))
        names = {"id": stem.lstrip("0") or "0", "stem": stem, "file_name": path}
        yield Entry(place, names, rows, height, width)


def _read_ohms(file: str, content: dict[str, Any]) -> Iterator[Entry]:
    """The entries of a dictionary image id -> {"data": rows with the columns of OpenImages}."""
    for image_id, value in content.items():
        place = f"image {image_id!r}"
        rows = []
        if not isinstance(value, dict) or not isinstance(value.get("data"), _LISTS):
            raise UserError(f"{file}, {place}: expected a dictionary with rows under 'data'")
        for number, columns in enumerate(value["data"]):
            where = f"{place}, row {number}"
            if not isinstance(columns, _LISTS):
                raise UserError(f"{file}, {where}: expected columns, not {_shown(columns)}")
            if len(columns) <= max(_OHMS_COLUMNS):
                raise UserError(f"{file}, {where}: {len(columns)} columns, not 8")
            sides = [columns[column] for column in _OHMS_COLUMNS]
            box = _numbers(file, where, [_from_text(side) for side in sides], 4)
            rows.append(Row(where, tuple(box)))
        yield Entry(place, {"id": str(image_id)}, rows)


def read_csv(file: str) -> Iterator[Entry]:
    """The entries of a CSV file, whose rows of one image must be consecutive.

    The columns are found by name: ssl_tf's or those of OpenImages.

    Raises:
        UserError: a column is missing or a row is damaged; the message names the line.
    """
    # Excel begins a file with a mark of its encoding, which "utf-8-sig" drops.
    with open(file, newline="", encoding="utf-8-sig") as stream:
        lines = csv.reader(stream)
        header = [name.strip() for name in next(lines, [])]
        # Detectors write it in either case. OpenImages' own Confidence is 1 in all rows.
        header = [name.lower() if name.lower() == "score" else name for name in header]
        twice = [name for name, count in Counter(header).items() if count > 1 and name in _KNOWN]
        if twice:
            raise UserError(f"{file}, line 1: the column {twice[0]} comes twice; remove one")
        wanted = _OPENIMAGES if "ImageID" in header else _OWN
        missing = [name for name in wanted if name not in header]
        if missing:
            raise UserError(
                f"{file}, line 1: no column {', '.join(missing)}; it has {', '.join(header)}"
            )
        id_column, *sides = (header.index(name) for name in wanted)
        score, height, width, group = (
            header.index(name) if name in header else None
            for name in ("score", "height", "width", _GROUP)
        )
        unread = [name for name in header if name not in _KNOWN]
        _tell_unread(file, "columns", unread)
        entry = None
        for columns in lines:
            if not columns:
                continue
            place = f"line {lines.line_num}"
            if len(columns) != len(header):
                raise UserError(
                    f"{file}, {place}: {len(columns)} columns, where the header has {len(header)}"
                )
            box = _numbers(file, place, [_from_text(columns[side]) for side in sides], 4)
            try:
                crowd = group is not None and is_set(columns[group])
            except ValueError as error:
                raise UserError(f"{file}, {place}: {_GROUP} {error}") from None
            row = Row(place, tuple(box), crowd=crowd)
            if score is not None:
                row.score = _number(file, place, _from_text(columns[score]))
            if entry is None or columns[id_column] != entry.names["id"]:
                if entry is not None:
                    yield entry
                entry = Entry(place, {"id": columns[id_column]}, [])
                if height is not None and width is not None:
                    entry.height, entry.width = (
                        _pixels(file, place, _from_text(columns[side])) for side in (height, width)
                    )
            entry.rows.append(row)
        if entry is not None:
            yield entry


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
            sides = _numbers(file, where, box, 4, 5)
            score = sides[4] if len(sides) > 4 else 1.0
            if scores:
                score = _number(file, where, scores[n])
            rows.append(Row(where, tuple(sides[:4]), score))
        height, width = (_pixels(file, place, value.get(side, 0)) for side in ("height", "width"))
        yield Entry(place, {"id": _name(file, place, value["id"])}, rows, height, width)
    _tell_unread(file, "keys", unread)


def _tell_unread(file: str, kind: str, names: Collection[str]) -> None:
    """Says on stderr what of a file is not read, such as scores under another name."""
    if names:
        print(f"{file}: {kind} that are not read: {', '.join(names)}", file=sys.stderr)


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
        names = {key: _name(file, place, image[key]) for key in ("id", "file_name")}
        height, width = (_pixels(file, place, image[side]) for side in ("height", "width"))
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
        x, y, w, h = _numbers(file, place, annotation.get("bbox"), 4)
        box = (y / entry.height, x / entry.width, (y + h) / entry.height, (x + w) / entry.width)
        score = _number(file, place, annotation.get("score", 1.0))
        entry.rows.append(Row(place, box, score, crowd=bool(annotation.get("iscrowd", 0))))
    _tell_unread(file, "keys", unread)
    yield from entries.values()


def _numbers(file: str, place: str, values: Any, low: int, high: int | None = None) -> list[float]:
    """The values as floats; raises UserError unless there are `low` to `high` numbers."""
    if not isinstance(values, _LISTS):
        raise UserError(f"{file}, {place}: expected numbers, not {_shown(values)}")
    numbers = [_number(file, place, value, values) for value in values]
    if not low <= len(numbers) <= (high or low):
        raise UserError(f"{file}, {place}: expected {low} numbers, not {_shown(values)}")
    return numbers


def _number(file: str, place: str, value: Any, among: Any = None) -> float:
    """A value as float; text and truth values are no numbers (see `_from_text`).

    Args:
        file, place: for messages.
        value: the value.
        among: the values that it is one of, for the message.
    """
    if isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            pass
    shown = _shown(value if among is None else among)
    raise UserError(f"{file}, {place}: expected numbers, not {shown}")


def _from_text(value: Any) -> Any:
    """The number that a text spells; anything else unchanged, for `_number` to refuse."""
    if isinstance(value, str) and "_" not in value:
        try:
            return float(value)
        except ValueError:
            pass
    return value


def _pixels(file: str, place: str, value: Any) -> int:
    """A side of an image in pixels; raises UserError unless it is a whole number, 0 if unknown."""
    number = _number(file, place, value)
    if not 0 <= number <= _MOST_PIXELS or number != int(number):
        raise UserError(f"{file}, {place}: {_shown(value)} is no height or width in pixels")
    return int(number)


def _name(file: str, place: str, value: Any) -> str:
    """An id or a file name, which may be a number."""
    if not isinstance(value, str | int) or isinstance(value, bool):
        raise UserError(f"{file}, {place}: expected an id or a name, not {_shown(value)}")
    return str(value)


def _shown(value: Any) -> str:
    """A value for a message: one line of a limited length."""
    text = " ".join(repr(value).split())
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _paths_by_stem(folder: str) -> dict[str, list[str]]:
    """Stem -> paths of the images of this name under a folder, relative to it."""
    if not os.path.isdir(folder):
        raise UserError(f"--image_folder={folder} is no folder")
    paths: dict[str, list[str]] = {}
    for parent, _, names in os.walk(folder):
        for name in names:
            stem, extension = os.path.splitext(name)
            if extension.lower() in EXTENSIONS:
                path = os.path.relpath(os.path.join(parent, name), folder)
                paths.setdefault(stem, []).append(path)
    return paths


def _image_size(path: str) -> tuple[int, int]:
    """Height and width in pixels, from the header alone."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            return image.height, image.width
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, ValueError):
        raise UserError(f"{path} is no readable image") from None
