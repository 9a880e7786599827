"""Contact sheets: pictures in a grid, each with lines of text under it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ssl_tf.files import replacing

Cell = tuple[np.ndarray, list[str]]

# Colours of the rectangles of the views, in order; readers with colour blindness can tell them
# apart.
COLOURS = (
    "#ff7f0e", "#17becf", "#e31a9c", "#7fd400", "#ffe119", "#a65cff", "#ffffff", "#4363d8",
)  # fmt: skip
_HEIGHT = 160
_LINE = 14
_GAP = 8
# Pixels of a dotted and of a dashed line, and between the parts of both.
_DOT, _DASH, _SPACE = 2, 9, 4


def draw_sheet(cells: Sequence[Sequence[Cell | None]], path: Path) -> np.ndarray:
    """Writes a PNG of rows of pictures, all of one height, columns aligned.

    Args:
        cells: rows of (uint8 [H, W, 3] picture, lines under it); None leaves a cell empty.
        path: the PNG; a crash leaves it complete or absent.

    Returns:
        The sheet, uint8 [H, W, 3].
    """
    font = ImageFont.load_default(11)
    columns = max(len(row) for row in cells)
    widths = [
        max((_width(row[c][0]) for row in cells if c < len(row) and row[c]), default=0)
        for c in range(columns)
    ]
    heights = [
        _HEIGHT + 3 + _LINE * max((len(cell[1]) for cell in row if cell), default=0)
        for row in cells
    ]
    sheet = Image.new(
        "RGB",
        (sum(widths) + _GAP * (columns + 1), sum(heights) + _GAP * (len(heights) + 1)),
        "white",
    )
    pen = ImageDraw.Draw(sheet)
    for r, row in enumerate(cells):
        top = _GAP + sum(heights[:r]) + _GAP * r
        for c, cell in enumerate(row):
            if cell is None:
                continue
            picture, lines = cell
            left = _GAP + sum(widths[:c]) + _GAP * c
            sheet.paste(_fitted(picture), (left, top))
            for n, text in enumerate(lines):
                place = (left, top + _HEIGHT + 3 + n * _LINE)
                pen.text(place, _cut(text, font, widths[c]), fill="black", font=font)
    with replacing(path) as temporary:
        sheet.save(temporary, format="PNG")
    return np.asarray(sheet)


def with_rectangles(
    image: np.ndarray,
    rectangles: np.ndarray,
    proposal: np.ndarray | None = None,
    dilated: np.ndarray | None = None,
) -> np.ndarray:
    """Resizes the image to the height of a cell and draws one coloured rectangle a view.

    Args:
        image: uint8 [H, W, 3].
        rectangles: float [V, 4], ymin, xmin, ymax, xmax as fractions of the image.
        proposal: float [4], the box in which they were drawn, as a dotted line.
        dilated: float [4], that box with its surroundings, as a dashed line.

    Returns:
        uint8 [H, W, 3].
    """
    picture = _fitted(image)
    pen = ImageDraw.Draw(picture)
    width, height = picture.size
    for v, (top, left, bottom, right) in enumerate(rectangles):
        # A dark line around the bright one keeps it visible on any background.
        for inset, colour, line in ((0, "black", 4), (1, COLOURS[v % len(COLOURS)], 2)):
            x, y = left * width + inset, top * height + inset
            # A box below a pixel of the cell is a dot.
            opposite = max(x, right * width - 1 - inset), max(y, bottom * height - 1 - inset)
            pen.rectangle([(x, y), opposite], outline=colour, width=line)
    for box, dash in ((dilated, _DASH), (proposal, _DOT)):
        if box is not None:
            _draw_broken(pen, box * [height, width, height, width] - [0, 0, 1, 1], dash)
    return np.asarray(picture)


def _draw_broken(pen: ImageDraw.ImageDraw, box: np.ndarray, dash: int) -> None:
    """Draws a box (top, left, bottom, right, in pixels) in dashes, white beside black."""
    top, left, bottom, right = box
    for colour, shift in (("black", 1), ("white", 0)):
        for y in np.arange(top, bottom, dash + _SPACE):
            for x in (left + shift, right - shift):
                pen.line([(x, y), (x, min(y + dash, bottom))], fill=colour)
        for x in np.arange(left, right, dash + _SPACE):
            for y in (top + shift, bottom - shift):
                pen.line([(x, y), (min(x + dash, right), y)], fill=colour)


def framed(view: np.ndarray, index: int) -> np.ndarray:
    """Resizes the view to the height of a cell and frames it in the colour of its rectangle."""
    picture = _fitted(view)
    ImageDraw.Draw(picture).rectangle(
        [0, 0, picture.width - 1, picture.height - 1],
        outline=COLOURS[index % len(COLOURS)],
        width=2,
    )
    return np.asarray(picture)


def _width(picture: np.ndarray) -> int:
    return max(1, round(_HEIGHT * picture.shape[1] / picture.shape[0]))


def _fitted(picture: np.ndarray) -> Image.Image:
    """Resizes to the height of a cell; pixels of small pictures stay visible as squares."""
    size = (_width(picture), _HEIGHT)
    method = Image.NEAREST if picture.shape[0] <= _HEIGHT else Image.BOX
    return Image.fromarray(picture).resize(size, method)


def _cut(text: str, font: ImageFont.FreeTypeFont, width: int) -> str:
    """Cuts the middle out of a text that is wider, in pixels: names often differ at their end."""
    kept = text
    for removed in range(1, len(text)):
        if font.getlength(kept) <= width:
            break
        middle = (len(text) - removed) // 2
        kept = f"{text[:middle]}…{text[middle + removed :]}"
    return kept
