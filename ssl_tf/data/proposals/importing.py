"""From other people's boxes to proposals: the kind of file, the id, and no bad box unnoticed."""

import dataclasses
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from ssl_tf.data.proposals.foreign_formats import Entry, read_csv, read_json, read_npy
from ssl_tf.data.proposals.format import ImageProposals, fingerprint, problem
from ssl_tf.errors import SettingsError, UserError

# Pixel coordinates come rounded, some converters count from 1: this much of the side beyond the
# border is cut off, more is a mistake.
TOLERANCE = 0.01


@dataclasses.dataclass
class Importer:
    """Reads files into proposals, and counts what it left out.

    Attributes:
        drop_bad: leave bad boxes out; else they are an error.
        template: of the id, with {id}, {stem} and {file_name}; empty: the file name in COCO-style
            JSON and in the NumPy dictionary of COCO, else the id as it stands.
        image_folder: gives the sizes of images to a file that has pixels and no sizes.
        allow_pickle: NumPy dictionaries are pickles, which can run any program when loaded.
        dropped: problem -> number of boxes left out.
    """

    drop_bad: bool = False
    template: str = ""
    image_folder: str = ""
    allow_pickle: bool = False
    dropped: Counter = dataclasses.field(default_factory=Counter)

    def images(self, file: str) -> Iterator[ImageProposals]:
        """The proposals of a file, image by image.

        Raises:
            UserError: the file is not understood, an id comes twice, or a box is bad; with the
                place.
        """
        return self._checked(file, self._entries(file))

    def _entries(self, file: str) -> Iterator[Entry]:
        if not os.path.isfile(file):
            raise UserError(f"--input={file} is no file")
        kind = Path(file).suffix.lower()
        if kind == ".csv":
            return read_csv(file)
        if kind == ".json":
            return read_json(file)
        if kind == ".npy":
            return read_npy(file, self.allow_pickle, self.image_folder)
        raise UserError(f"--input={file}: give a .json, .csv or .npy file")

    def _checked(self, file: str, entries: Iterable[Entry]) -> Iterator[ImageProposals]:
        seen: set[int] = set()
        for entry in entries:
            identity = self._identity(entry)
            key = fingerprint(identity)
            if key in seen:
                raise UserError(
                    f"{file}, {entry.place}: image {identity!r} has had its boxes before; keep "
                    "those of an image together"
                )
            seen.add(key)
            kept = []
            for row in entry.rows:
                wrong = problem(row.box, TOLERANCE)
                if wrong is None and not np.isfinite(row.score):
                    wrong = "its score is no finite number"
                if wrong is None:
                    kept.append(row)
                elif self.drop_bad:
                    self.dropped[wrong] += 1
                else:
                    raise UserError(
                        f"{file}, {row.place}, image {identity!r}: the box ymin, xmin, ymax, xmax "
                        f"= {list(row.box)} is bad: {wrong}; correct it or give --bad_boxes=drop"
                    )
            boxes = np.clip(np.array([row.box for row in kept]).reshape(-1, 4), 0.0, 1.0)
            scores = np.array([row.score for row in kept], np.float32)
            yield ImageProposals(identity, boxes, scores, entry.height, entry.width)

    def _identity(self, entry: Entry) -> str:
        template = self.template or ("{file_name}" if "file_name" in entry.names else "{id}")
        names = entry.names
        name = names.get("file_name", names["id"])
        names = {"file_name": name, "stem": os.path.splitext(os.path.basename(name))[0], **names}
        try:
            return template.format(**names)
        except (KeyError, IndexError, ValueError):
            raise SettingsError(
                f"--id_template={self.template}: give text with {{id}}, {{stem}} or {{file_name}}"
            ) from None
