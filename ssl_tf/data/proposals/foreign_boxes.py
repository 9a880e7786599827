"""Boxes as files of others hold them, which `importing` checks, and the reading of their values."""

import dataclasses
import sys
from collections.abc import Collection
from typing import Any

import numpy as np

from ssl_tf.errors import UserError

# A box in JSON or NumPy is one of these, never text, which Python iterates by its letters.
LISTS = (list, tuple, np.ndarray)
_MOST_PIXELS = 2**31 - 1
_SHOWN = 80


@dataclasses.dataclass
class Row:
    """A box of a file, unchecked.

    Attributes:
        place: its line or key in the file, for messages.
        box: ymin, xmin, ymax, xmax, fractions of the image.
        score: larger is better; None: the file gives none.
        crowd: it is around several objects: COCO's `iscrowd`, OpenImages' `IsGroupOf`.
    """

    place: str
    box: tuple[float, float, float, float]
    score: float | None = None
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


def read_numbers(
    file: str, place: str, values: Any, low: int, high: int | None = None
) -> list[float]:
    """The values as floats; raises UserError unless there are `low` to `high` numbers."""
    if not isinstance(values, LISTS):
        raise UserError(f"{file}, {place}: expected numbers, not {shown(values)}")
    numbers = [read_number(file, place, value, values) for value in values]
    if not low <= len(numbers) <= (high or low):
        raise UserError(f"{file}, {place}: expected {low} numbers, not {shown(values)}")
    return numbers


def read_number(file: str, place: str, value: Any, among: Any = None) -> float:
    """A value as float; text and truth values are no numbers (see `from_text`).

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
    told = shown(value if among is None else among)
    raise UserError(f"{file}, {place}: expected numbers, not {told}")


def from_text(value: Any) -> Any:
    """The number that a text spells; anything else unchanged, for `read_number` to refuse."""
    if isinstance(value, str) and "_" not in value:
        try:
            return float(value)
        except ValueError:
            pass
    return value


def read_pixels(file: str, place: str, value: Any) -> int:
    """A side of an image in pixels; raises UserError unless it is a whole number, 0 if unknown."""
    number = read_number(file, place, value)
    if not 0 <= number <= _MOST_PIXELS or number != int(number):
        raise UserError(f"{file}, {place}: {shown(value)} is no height or width in pixels")
    return int(number)


def read_name(file: str, place: str, value: Any) -> str:
    """An id or a file name, which may be a number."""
    if not isinstance(value, str | int) or isinstance(value, bool):
        raise UserError(f"{file}, {place}: expected an id or a name, not {shown(value)}")
    return str(value)


def shown(value: Any) -> str:
    """A value for a message: one line of a limited length."""
    text = " ".join(repr(value).split())
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def tell_unread(file: str, kind: str, names: Collection[str]) -> None:
    """Says on stderr what of a file is not read, such as scores under another name."""
    if names:
        print(f"{file}: {kind} that are not read: {', '.join(names)}", file=sys.stderr)
