"""A contact sheet of views, labelled with what was drawn for each."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

_CELL = 128
_LINE = 11
_GAP = 4


def draw_sheet(cells: Sequence[Sequence[tuple[np.ndarray, list[str]]]], path: Path) -> None:
    """Writes a PNG with one row an image and one cell a view.

    Args:
        cells: rows of (uint8 [S, S, 3] view, lines of its label).
        path: of the PNG; complete or absent.
    """
    lines = max(len(label) for row in cells for _, label in row)
    width = max(len(row) for row in cells) * (_CELL + _GAP) + _GAP
    height = len(cells) * (_CELL + lines * _LINE + _GAP) + _GAP
    sheet = Image.new("RGB", (width, height), "white")
    pen = ImageDraw.Draw(sheet)
    for r, row in enumerate(cells):
        top = _GAP + r * (_CELL + lines * _LINE + _GAP)
        for c, (view, label) in enumerate(row):
            left = _GAP + c * (_CELL + _GAP)
            # Nearest: what the network gets is to be seen, pixel by pixel.
            sheet.paste(Image.fromarray(view).resize((_CELL, _CELL), Image.NEAREST), (left, top))
            for n, text in enumerate(label):
                pen.text((left, top + _CELL + n * _LINE), text[:22], fill="black")
    temporary = path.with_name(path.name + ".writing")
    sheet.save(temporary, format="PNG")
    temporary.replace(path)
