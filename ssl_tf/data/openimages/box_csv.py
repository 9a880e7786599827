"""The reader of OpenImages' box annotations: a CSV of millions of rows, read in pieces."""

import csv
import dataclasses
import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ssl_tf.data.annotation_marks import is_set
from ssl_tf.errors import UserError

_ROWS_AT_ONCE = 65536
_SIDES = ("YMin", "XMin", "YMax", "XMax")
_ID_DIGITS = 16


@dataclasses.dataclass(frozen=True)
class BoxRows:
    """A piece of the rows of a box CSV.

    Attributes:
        images: uint64 [n], ids of the images, which are numbers of 16 hexadecimal digits.
        labels: int64 [n], number of each row's label (`BoxFile.read`).
        boxes: float32 [n, 4], ymin, xmin, ymax, xmax in [0, 1], with an area.
        groups: bool [n], whether each is around several objects (IsGroupOf = 1).
        left_out: number of the rows of this piece whose box has no area.
    """

    images: np.ndarray
    labels: np.ndarray
    boxes: np.ndarray
    groups: np.ndarray
    left_out: int


@dataclasses.dataclass(frozen=True)
class BoxFile:
    """A box CSV of any version of OpenImages; columns are found by name.

    Attributes:
        path: path of the file.
        flag: flag that named the file, for messages.
        sources: values of the column Source to keep; empty: all.
        drop_group_of: leave out boxes around groups (IsGroupOf = 1).
        drop_depiction: leave out drawings and the like (IsDepiction = 1).
        seen_sources: values of the column Source in what was read, where `sources` chooses.
    """

    path: Path
    flag: str
    sources: tuple[str, ...] = ()
    drop_group_of: bool = False
    drop_depiction: bool = False
    seen_sources: set[str] = dataclasses.field(default_factory=set)

    def check_sources(self) -> None:
        """Checks, after a read, that the file has each of `sources`.

        Raises:
            UserError: it lacks one, as it does where one is misspelt.
        """
        missing = [name for name in self.sources if name not in self.seen_sources]
        if missing:
            raise UserError(
                f"--sources={','.join(missing)}: {self.flag}={self.path} has no box of it; it has "
                f"those of {', '.join(sorted(self.seen_sources)) or 'none'}"
            )

    def read(self, label_numbers: dict[str, int]) -> Iterator[BoxRows]:
        """Yields the rows in the order of the file, at most 65,536 at a time.

        Boxes without an area in single precision, from which nothing can be cropped, are left out.

        Args:
            label_numbers: label -> number; new labels are added with the next numbers.

        Raises:
            UserError: the file cannot be read, lacks a column, or has a damaged row; the message
                names the line.
        """
        try:
            with open(self.path, newline="", encoding="utf-8-sig") as file:
                reader = csv.reader(file)
                columns = self._columns(next(reader, []))
                line = 2
                while rows := list(itertools.islice(reader, _ROWS_AT_ONCE)):
                    yield self._parse(rows, line, columns, label_numbers)
                    line += len(rows)
        except OSError as error:
            raise UserError(f"{self.flag}={self.path}: {error.strerror}") from None
        except (UnicodeDecodeError, csv.Error) as error:
            raise UserError(f"{self.flag}={self.path} is no CSV file: {error}") from None

    def _columns(self, header: list[str]) -> dict[str, int]:
        needed = ["ImageID", "LabelName", *_SIDES]
        needed += ["Source"] if self.sources else []
        needed += ["IsGroupOf"] if self.drop_group_of else []
        needed += ["IsDepiction"] if self.drop_depiction else []
        missing = [name for name in needed if name not in header]
        if missing:
            raise UserError(
                f"{self.flag}={self.path} has no column {', '.join(missing)}; its first line is "
                f"{','.join(header)[:200]!r}"
            )
        return {name: header.index(name) for name in {*needed, "IsGroupOf"} if name in header}

    def _parse(
        self,
        rows: list[list[str]],
        line: int,
        columns: dict[str, int],
        label_numbers: dict[str, int],
    ) -> BoxRows:
        try:
            chosen = self._chosen(rows, columns)
            images = _ids([row[columns["ImageID"]] for row in chosen])
            boxes = _boxes([[row[columns[side]] for side in _SIDES] for row in chosen])
            names = [row[columns["LabelName"]] for row in chosen]
            groups = [_is_group(row, columns) for row in chosen]
        except (ValueError, IndexError):
            # The damaged row is the first that fails alone.
            for number, row in enumerate(rows, line):
                self._check(row, number, columns)
            raise
        kept = (boxes[:, :2] < boxes[:, 2:]).all(1)
        labels = [
            label_numbers.setdefault(name, len(label_numbers))
            for name in itertools.compress(names, kept)
        ]
        left_out = len(boxes) - len(labels)
        numbers = np.array(labels, np.int64)
        return BoxRows(images[kept], numbers, boxes[kept], np.array(groups, bool)[kept], left_out)

    def _chosen(self, rows: list[list[str]], columns: dict[str, int]) -> list[list[str]]:
        if self.sources:
            self.seen_sources.update(row[columns["Source"]] for row in rows)
            rows = [row for row in rows if row[columns["Source"]] in self.sources]
        if self.drop_group_of:
            rows = [row for row in rows if not _is_group(row, columns)]
        if self.drop_depiction:
            rows = [row for row in rows if not is_set(row[columns["IsDepiction"]])]
        return rows

    def _check(self, row: list[str], line: int, columns: dict[str, int]) -> None:
        try:
            _ids([row[columns["ImageID"]]])
            _boxes([[row[columns[side]] for side in _SIDES]])
            self._chosen([row], columns)
            _is_group(row, columns)
            _ = row[columns["LabelName"]]
        except (ValueError, IndexError):
            raise UserError(
                f"line {line} of {self.flag}={self.path} is damaged: {','.join(row)[:200]!r}; an "
                f"id has {_ID_DIGITS} hexadecimal digits, a box 0 <= min <= max <= 1, IsGroupOf 1, "
                "0 or -1"
            ) from None


def _is_group(row: list[str], columns: dict[str, int]) -> bool:
    return "IsGroupOf" in columns and is_set(row[columns["IsGroupOf"]])


def _ids(texts: list[str]) -> np.ndarray:
    joined = "".join(texts)
    if any(len(text) != _ID_DIGITS for text in texts) or joined != joined.lower():
        raise ValueError("not an id")
    return np.frombuffer(bytes.fromhex(joined), ">u8").astype(np.uint64)


def _boxes(texts: list[list[str]]) -> np.ndarray:
    boxes = np.array(texts, np.float32).reshape(-1, 4)
    low, high = boxes[:, :2], boxes[:, 2:]
    if not ((0 <= low) & (low <= high) & (high <= 1)).all():
        raise ValueError("not a box")
    return boxes


def parse_id(text: str) -> int:
    """The number of an image id.

    Raises:
        ValueError: the text is no image id.
    """
    return int(_ids([text])[0])


def format_id(number: int) -> str:
    """The image id of a number: 16 hexadecimal digits."""
    return f"{number:0{_ID_DIGITS}x}"
