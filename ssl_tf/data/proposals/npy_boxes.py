"""The reader of NumPy files of boxes: the pickled dictionaries of the OAC authors."""

import os
import re
from collections.abc import Iterator
from typing import Any

from ssl_tf.data.annotation_marks import is_set
from ssl_tf.data.decoding import EXTENSIONS
from ssl_tf.data.npy_files import read_npy
from ssl_tf.data.proposals.foreign_boxes import LISTS, Entry, Row, from_text, read_numbers, shown
from ssl_tf.errors import UserError
from ssl_tf.pickles import Refused

# Columns of YMin, XMin, YMax, XMax in an OpenImages row of OHMS, and of IsGroupOf in a whole one.
_OHMS_COLUMNS = (6, 4, 7, 5)
_OHMS_GROUP = 10
_COCO_KEY = re.compile(r"(?P<folder>.*/)?(?P<stem>[^/]+)_(?P<number>\d+)\.\w+")


def read_npy_boxes(file: str, image_folder: str) -> Iterator[Entry]:
    """The entries of a dictionary of the OAC authors: of COCO in pixels, or of OHMS in fractions.

    Args:
        file: path of the pickled dictionary; nothing in it is run.
        image_folder: folder of the images, which have the sizes; only needed for COCO.

    Raises:
        UserError: the file cannot be read, or has other content.
    """
    try:
        content = read_npy(file)
    except Refused as error:
        raise UserError(f"{file} {error}") from None
    except (OSError, ValueError) as error:
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
    folders: dict[str, str] = {}
    for key in content:
        match = _COCO_KEY.fullmatch(str(key))
        if not match:
            raise UserError(f"{file}: the key {key!r} is not FOLDER/STEM_NUMBER.jpg")
        stem, folder = match["stem"], match["folder"] or ""
        first = folders.setdefault(stem, folder)
        if folder != first:
            raise UserError(
                f"{file}: has boxes of {first}{stem} and of {folder}{stem}, which are images of "
                "one name; import each folder by itself"
            )
        numbered.setdefault(stem, []).append((int(match["number"]), key))
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
            x1, y1, x2, y2 = read_numbers(file, f"key {key!r}", content[key], 4)
            box = (y1 / height, x1 / width, y2 / height, x2 / width)
            rows.append(Row(f"key {key!r}", box))
        names = {"id": stem.lstrip("0") or "0", "stem": stem, "file_name": path}
        yield Entry(place, names, rows, height, width)


def _read_ohms(file: str, content: dict[str, Any]) -> Iterator[Entry]:
    """The entries of a dictionary image id -> {"data": rows with the columns of OpenImages}."""
    for image_id, value in content.items():
        place = f"image {image_id!r}"
        rows = []
        if not isinstance(value, dict) or not isinstance(value.get("data"), LISTS):
            raise UserError(f"{file}, {place}: expected a dictionary with rows under 'data'")
        for number, columns in enumerate(value["data"]):
            where = f"{place}, row {number}"
            if not isinstance(columns, LISTS):
                raise UserError(f"{file}, {where}: expected columns, not {shown(columns)}")
            if len(columns) <= max(_OHMS_COLUMNS):
                raise UserError(f"{file}, {where}: {len(columns)} columns, not 8")
            sides = [columns[column] for column in _OHMS_COLUMNS]
            box = read_numbers(file, where, [from_text(side) for side in sides], 4)
            try:
                crowd = len(columns) > _OHMS_GROUP and is_set(str(columns[_OHMS_GROUP]))
            except ValueError as error:
                raise UserError(f"{file}, {where}: IsGroupOf {error}") from None
            rows.append(Row(where, tuple(box), crowd=crowd))
        yield Entry(place, {"id": str(image_id)}, rows)


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
