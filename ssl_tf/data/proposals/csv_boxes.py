"""The reader of CSV files of boxes, with our columns or those of OpenImages.

The file is streamed, so that the 14 million rows of OpenImages need the memory of one image.
"""

import csv
from collections import Counter
from collections.abc import Iterator

from ssl_tf.data.annotation_marks import is_set
from ssl_tf.data.proposals.foreign_boxes import (
    Entry,
    Row,
    from_text,
    read_number,
    read_numbers,
    read_pixels,
    tell_unread,
)
from ssl_tf.errors import UserError

_OWN = ("id", "ymin", "xmin", "ymax", "xmax")
_OPENIMAGES = ("ImageID", "YMin", "XMin", "YMax", "XMax")
_GROUP = "IsGroupOf"
_KNOWN = {*_OWN, *_OPENIMAGES, _GROUP, "score", "height", "width"}


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
        tell_unread(file, "columns", unread)
        entry = None
        for columns in lines:
            if not columns:
                continue
            place = f"line {lines.line_num}"
            if len(columns) != len(header):
                raise UserError(
                    f"{file}, {place}: {len(columns)} columns, where the header has {len(header)}"
                )
            box = read_numbers(file, place, [from_text(columns[side]) for side in sides], 4)
            try:
                crowd = group is not None and is_set(columns[group])
            except ValueError as error:
                raise UserError(f"{file}, {place}: {_GROUP} {error}") from None
            row = Row(place, tuple(box), crowd=crowd)
            if score is not None:
                row.score = read_number(file, place, from_text(columns[score]))
            if entry is None or columns[id_column] != entry.names["id"]:
                if entry is not None:
                    yield entry
                entry = Entry(place, {"id": columns[id_column]}, [])
                if height is not None and width is not None:
                    entry.height, entry.width = (
                        read_pixels(file, place, from_text(columns[side]))
                        for side in (height, width)
                    )
            entry.rows.append(row)
        if entry is not None:
            yield entry
