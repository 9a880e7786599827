"""A source of images with the annotations of COCO's json."""

import os
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from ssl_tf.data.annotation_marks import is_set
from ssl_tf.data.annotations.annotated_files import AnnotatedFiles
from ssl_tf.data.annotations.annotated_source import BACKGROUND
from ssl_tf.data.annotations.image_sizes import check_size
from ssl_tf.data.annotations.object_table import BadAnnotations, ObjectRows
from ssl_tf.data.annotations.segments import Segments
from ssl_tf.errors import UserError
from ssl_tf.files import read_json

_REMEDY = "give the json of COCO's instances"


class CocoImages(AnnotatedFiles):
    """The images of a json in COCO's format, by ascending id; the id of an example is that as text.

    Classes are the categories by ascending id, which may have holes. The pixels and the masks are
    read image by image, the annotations once.
    """

    def __init__(self, json: str, folder: str, *, masks: bool = False, label_maps: bool = False):
        """Reads the json.

        Args:
            json: the file, such as instances_train2017.json.
            folder: of the images that it names.
            masks: give the masks of the objects.
            label_maps: give the label maps that the masks make (`painted_labels`), in place of the
                objects.

        Raises:
            UserError: the file is no such json, or an image is not in the folder.
        """
        told = f"--coco_json={json}"
        content = read_json(Path(json), dict, _REMEDY)
        for key in ("images", "categories"):
            if not isinstance(content.get(key), list) or not content[key]:
                raise UserError(f"{told} has no {key}; {_REMEDY}")
        try:
            images = sorted(content["images"], key=lambda image: image["id"])
            categories = sorted(content["categories"], key=lambda category: category["id"])
            self._paths = [os.path.join(folder, image["file_name"]) for image in images]
            self._image_ids = [image["id"] for image in images]
            self._sizes = [(int(image["height"]), int(image["width"])) for image in images]
            by_image: dict[Any, list[dict]] = defaultdict(list)
            for annotation in content.get("annotations", []):
                by_image[annotation["image_id"]].append(annotation)
            label_of = {category["id"]: label for label, category in enumerate(categories)}
            names = tuple(str(category["name"]) for category in categories)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise UserError(f"{told}: an entry lacks {error}; {_REMEDY}") from None
        for kind, entries in (("images", images), ("categories", categories)):
            _check_ids(kind, [entry["id"] for entry in entries], told)
        _check_images(self._paths, folder, told)
        for image, size in zip(images, self._sizes):
            if min(size) <= 0:
                raise UserError(
                    f"{told}: image {image['id']} has the width and height {size[1]}x{size[0]}; "
                    "write those of its pixels"
                )
        bad = BadAnnotations("[x, y, width, height] in pixels")
        with_segments = masks or label_maps
        self._segments = Segments()
        rows = ObjectRows(bad)
        for image, size in zip(images, self._sizes):
            rows.begin_image()
            for annotation in by_image.pop(image["id"], []):
                self._add(annotation, size, label_of, rows, bad, with_segments)
        for orphans in by_image.values():
            for annotation in orphans:
                bad.add("annotations of images that are not listed", _name(annotation))
        objects = rows.table()
        self._category_ids = [category["id"] for category in categories]
        super().__init__(
            f"COCO {json}",
            [str(image["id"]).encode() for image in images],
            len(names) + label_maps,
            (BACKGROUND, *names) if label_maps else names,
            objects=objects,
            label_maps=label_maps,
            masks=masks,
            category_ids=() if label_maps else self._category_ids,
            bad=bad,
        )

    def _add(
        self,
        annotation: dict,
        size: tuple[int, int],
        label_of: dict[Any, int],
        rows: ObjectRows,
        bad: BadAnnotations,
        with_segments: bool,
    ) -> None:
        """Adds one annotation to the rows and the segments, or counts it as bad."""
        name = _name(annotation)
        try:
            left, top, width, height = map(float, annotation["bbox"])
        except (KeyError, TypeError, ValueError):
            bad.add("annotations without a box", name)
            return
        category = annotation.get("category_id")
        label = label_of.get(category) if isinstance(category, int | float | str) else None
        if label is None:
            bad.add("annotations of categories that are not listed", name)
            return
        try:
            area = float(annotation.get("area") or 0)
        except (TypeError, ValueError):
            bad.add("annotations whose area is no number", name)
            return
        try:
            crowd = is_set(str(annotation.get("iscrowd") or 0))
        except ValueError:
            bad.add("annotations whose iscrowd is neither 0 nor 1", name)
            return
        if with_segments:
            reason = self._segments.add(annotation.get("segmentation"), size)
            if reason:
                bad.add(reason, name)
                return
        kept = rows.add(
            name,
            (top, left, top + height, left + width),
            size,
            label,
            crowd=crowd,
            area=area,
        )
        if with_segments and not kept:
            self._segments.remove_last()

    @property
    def stored_ids(self) -> tuple[int | str | None, ...]:
        return (None, *self._category_ids)  # the background is in no json

    def _image_id(self, row: int) -> int | str:
        return self._image_ids[row]

    def _annotated_size(self, row: int) -> tuple[int, int]:
        return self._sizes[row]

    def _detail(self, row: int) -> bytes:
        size = b"%d %d " % self._sizes[row]
        segments = self._segments.content(self._objects.rows_of(row))
        return super()._detail(row) + size + self._objects.content(row) + segments

    def _masks(self, row: int, size: tuple[int, int]) -> np.ndarray:
        check_size(self._paths[row], size, self._sizes[row], "its entry in the json")
        rows = self._objects.rows_of(row)
        masks = np.zeros((rows.stop - rows.start, *size), np.uint8)
        for place, index in enumerate(range(rows.start, rows.stop)):
            masks[place] = self._segments.mask(index, size)
        return masks


def _name(annotation: dict) -> str:
    return f"annotation {annotation.get('id', '?')} of image {annotation.get('image_id', '?')}"


def _check_ids(kind: str, ids: list, told: str) -> None:
    """Raises a UserError if two entries of sorted ids have the same id."""
    for one, other in zip(ids, ids[1:]):
        if one == other:
            raise UserError(
                f"{told}: two of its {kind} have the id {one}, so annotations name both; number "
                "them anew, as when two files became one"
            )


def _check_images(paths: list[str], folder: str, told: str) -> None:
    """Raises a UserError if images are missing in the folder."""
    if not os.path.isdir(folder):
        raise UserError(f"--image_folder={folder} is no folder")
    with os.scandir(folder) as entries:
        here = {entry.name for entry in entries}
    prefix = os.path.join(folder, "")
    missing = [
        path for path in paths if path.removeprefix(prefix) not in here and not os.path.exists(path)
    ]
    if missing:
        raise UserError(
            f"{told}: {len(missing)} of its {len(paths)} images are not in "
            f"--image_folder={folder}, such as {missing[0]}; give the folder of this json"
        )
