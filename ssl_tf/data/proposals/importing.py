"""Import of box files as proposals: choice of the reader, ids, and checks of the boxes."""

import contextlib
import csv
import dataclasses
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from ssl_tf.data.proposals.csv_boxes import read_csv
from ssl_tf.data.proposals.foreign_boxes import Entry, Row
from ssl_tf.data.proposals.format import ImageProposals, fingerprint, invalid_reason
from ssl_tf.data.proposals.json_boxes import read_json
from ssl_tf.data.proposals.npy_boxes import read_npy_boxes
from ssl_tf.errors import UserError
from ssl_tf.settings.boxes import check_id_template

# Pixel coordinates are rounded, and some converters count from 1. So a box may reach beyond the
# border by this fraction of the side, and is cut; beyond that it is invalid.
TOLERANCE = 0.01
# A reason to leave a box out: no object is cropped by it.
_CROWD = "a crowd is around several objects (iscrowd, IsGroupOf)"
# Scores are stored in single precision.
_LARGEST_SCORE = float(np.finfo(np.float32).max)


@dataclasses.dataclass
class Importer:
    """Reads proposals from files, and counts the boxes it leaves out, those of crowds always.

    Attributes:
        drop_bad: leave invalid boxes out; else they are an error.
        template: template of the id, with {id}, {stem} and {file_name}; empty: the file name in
            COCO-style JSON and in the NumPy dictionary of COCO, else the id of the file.
        image_folder: folder of the images, for files with boxes in pixels and no sizes.
        dropped: reason -> number of boxes left out.
    """

    drop_bad: bool = False
    template: str = ""
    image_folder: str = ""
    dropped: Counter = dataclasses.field(default_factory=Counter)

    def images(self, file: str) -> Iterator[ImageProposals]:
        """The proposals of a file, image by image.

        Raises:
            UserError: the format is unknown, an id is there twice, or a box is invalid; the
                message names the place in the file.
        """
        with _text_errors_told(file):
            entries = self._entries(file)
        return self._told(file, self._checked(file, entries))

    def _told(self, file: str, images: Iterator[ImageProposals]) -> Iterator[ImageProposals]:
        with _text_errors_told(file):
            yield from images

    def _entries(self, file: str) -> Iterator[Entry]:
        if not os.path.isfile(file):
            raise UserError(f"--input={file} is no file")
        kind = Path(file).suffix.lower()
        if kind == ".csv":
            return read_csv(file)
        if kind == ".json":
            return read_json(file)
        if kind == ".npy":
            return read_npy_boxes(file, self.image_folder)
        raise UserError(f"--input={file}: give a .json, .csv or .npy file")

    def _checked(self, file: str, entries: Iterable[Entry]) -> Iterator[ImageProposals]:
        seen: set[int] = set()
        boxes_of_known_size = below_a_pixel = 0
        for entry in entries:
            image_id = self._image_id(file, entry)
            key = fingerprint(image_id)
            if key in seen:
                raise UserError(
                    f"{file}, {entry.place}: image {image_id!r} has had its boxes before; keep "
                    "those of an image together"
                )
            seen.add(key)
            valid = []
            for row in _all_with_a_score(file, entry):
                reason = invalid_reason(row.box, TOLERANCE)
                if reason is None and not abs(row.score) <= _LARGEST_SCORE:
                    reason = "its score is no finite number"
                if row.crowd:
                    self.dropped[_CROWD] += 1
                elif reason is None:
                    valid.append(row)
                elif self.drop_bad:
                    self.dropped[reason] += 1
                else:
                    raise UserError(
                        f"{file}, {row.place}, image {image_id!r}: the box ymin, xmin, ymax, xmax "
                        f"= {list(row.box)} is bad: {reason}; correct it (boxes are fractions of "
                        "sides) or give --bad_boxes=drop"
                    )
            boxes = np.clip(np.array([row.box for row in valid]).reshape(-1, 4), 0.0, 1.0)
            if entry.height and entry.width:
                sides = (boxes[:, 2:] - boxes[:, :2]) * [entry.height, entry.width]
                boxes_of_known_size += len(boxes)
                below_a_pixel += np.count_nonzero((sides < 1 - TOLERANCE).any(axis=1))
            scores = np.array([row.score for row in valid], np.float32)
            yield ImageProposals(image_id, boxes, scores, entry.height, entry.width)
        # Fractions that are read as pixels lie in the first pixel of their image.
        if 2 * below_a_pixel > boxes_of_known_size:
            raise UserError(
                f"{file}: {below_a_pixel} of {boxes_of_known_size} boxes have a side below a "
                "pixel, as fractions have that are read as pixels; correct the boxes or the sizes"
            )

    def _image_id(self, file: str, entry: Entry) -> str:
        template = self.template or ("{file_name}" if "file_name" in entry.names else "{id}")
        names = entry.names
        name = names.get("file_name", names["id"])
        names = {"file_name": name, "stem": os.path.splitext(os.path.basename(name))[0], **names}
        check_id_template(template)
        image_id = template.format(**names)
        if not image_id:
            raise UserError(f"{file}, {entry.place}: the id is empty; give each image its id")
        image_id.encode()  # half of a surrogate pair, which JSON can spell, is no text
        return image_id


def _all_with_a_score(file: str, entry: Entry) -> list[Row]:
    """The boxes of an image, with 1 for their scores where none has one.

    Raises:
        UserError: some have a score, so that nobody knows how good the others are.
    """
    rows = entry.rows
    without = [row for row in rows if row.score is None]
    if without and len(without) < len(rows):
        raise UserError(
            f"{file}, {without[0].place}: a box has no score, and others of its image have one; "
            "give each its score, or none"
        )
    return [dataclasses.replace(row, score=1.0) for row in rows] if without else rows


@contextlib.contextmanager
def _text_errors_told(file: str) -> Iterator[None]:
    """Turns the errors of decoding and splitting text into a UserError that names the file."""
    try:
        yield
    except UnicodeError as error:
        reason = getattr(error, "reason", error)
        raise UserError(
            f"--input={file} is no text in UTF-8 ({reason}): save it as UTF-8"
        ) from None
    except csv.Error as error:
        raise UserError(f"--input={file} is no CSV file: {error}") from None
