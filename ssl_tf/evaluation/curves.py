"""Curves over epochs, drawn with Pillow."""

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

Points = list[tuple[float, float]]

# Told apart by readers who see few colours (Okabe and Ito 2008), and by the marks.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
_MARKS = ("circle", "square", "triangle", "diamond", "cross")
# Pixels of the picture before it is enlarged; everything is drawn at _DRAWN times that and brought
# down to _KEPT times, which smooths the lines.
_PANEL = (460, 300)
_MARGIN = {"left": 52, "right": 16, "top": 30, "bottom": 42}
_LEGEND_LINE = 18
_DRAWN = 4
_KEPT = 2


@dataclasses.dataclass(frozen=True)
class Panel:
    """One pair of axes.

    Attributes:
        title: over it; the values are in percent.
        series: name -> (epoch, value) in rising epochs; a name may have none.
    """

    title: str
    series: dict[str, Points]


def draw_curves(panels: Sequence[Panel], path: Path) -> None:
    """Writes a PNG of the panels in a row over one legend; complete or absent.

    Args:
        panels: one at least, all with the same names in the same order.
        path: of the PNG.
    """
    names = list(panels[0].series)
    width, height = _PANEL[0] * len(panels), _PANEL[1] + _LEGEND_LINE * len(names) + 12
    picture = Image.new("RGB", (width * _DRAWN, height * _DRAWN), "white")
    pen = _Pen(picture)
    for index, panel in enumerate(panels):
        _draw_panel(pen, panel, _PANEL[0] * index)
    for index, name in enumerate(names):
        y = _PANEL[1] + _LEGEND_LINE * (index + 0.5)
        left = _MARGIN["left"]
        pen.line([(left, y), (left + 28, y)], _COLOURS[index % len(_COLOURS)])
        pen.mark((left + 14, y), index)
        pen.text((left + 38, y), name, "lm")
    picture = picture.resize((width * _KEPT, height * _KEPT), Image.LANCZOS)
    temporary = path.with_name(path.name + ".writing")
    picture.save(temporary, format="PNG")
    temporary.replace(path)


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round numbers, equally spaced, that enclose [low, high]: 2 to `most` + 2 of them.

    Their distance is 1, 2 or 5 times a power of ten. An interval without length is widened by 1.
    """
    if high <= low:
        low, high = low - 1, high + 1
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = power * next(factor for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(number * step, 10) for number in range(first, last + 1)]


def _draw_panel(pen: "_Pen", panel: Panel, offset: int) -> None:
    points = [point for series in panel.series.values() for point in series]
    xs, ys = ticks(0, max(x for x, _ in points)), ticks(*_span([y for _, y in points]))
    left, right = offset + _MARGIN["left"], offset + _PANEL[0] - _MARGIN["right"]
    top, bottom = _MARGIN["top"], _PANEL[1] - _MARGIN["bottom"]

    def place(x: float, y: float) -> tuple[float, float]:
        return (
            left + (right - left) * (x - xs[0]) / (xs[-1] - xs[0]),
            bottom - (bottom - top) * (y - ys[0]) / (ys[-1] - ys[0]),
        )

    for x in xs:
        column = place(x, ys[0])[0]
        pen.line([(column, top), (column, bottom)], "#e4e4e4", 0.8)
        pen.text((column, bottom + 5), f"{x:g}", "mt")
    for y in ys:
        row = place(xs[0], y)[1]
        pen.line([(left, row), (right, row)], "#e4e4e4", 0.8)
        pen.text((left - 6, row), f"{y:g}", "rm")
    pen.line([(left, top), (left, bottom), (right, bottom)], "#555555", 1)
    pen.text((left, top - 9), f"{panel.title}, %", "ls")
    pen.text(((left + right) / 2, bottom + 21), "epoch", "mt")
    for index, series in enumerate(panel.series.values()):
        places = [place(x, y) for x, y in series]
        if len(places) > 1:
            pen.line(places, _COLOURS[index % len(_COLOURS)])
    for index, series in enumerate(panel.series.values()):
        for x, y in series:
            pen.mark(place(x, y), index)


def _span(values: list[float]) -> tuple[float, float]:
    """The values with a little air, inside of 0 to 100."""
    air = 0.05 * (max(values) - min(values)) or 1.0
    return max(0.0, min(values) - air), min(100.0, max(values) + air)


class _Pen:
    """Draws in pixels of the picture before it is enlarged."""

    def __init__(self, picture: Image.Image):
        self._draw = ImageDraw.Draw(picture)
        self._font = ImageFont.load_default(12 * _DRAWN)

    def line(self, places: Sequence[tuple[float, float]], colour: str, width: float = 1.8) -> None:
        scaled = [(x * _DRAWN, y * _DRAWN) for x, y in places]
        self._draw.line(scaled, fill=colour, width=round(width * _DRAWN), joint="curve")

    def text(self, place: tuple[float, float], text: str, anchor: str) -> None:
        scaled = (place[0] * _DRAWN, place[1] * _DRAWN)
        self._draw.text(scaled, text, fill="#222222", font=self._font, anchor=anchor)

    def mark(self, place: tuple[float, float], index: int, radius: float = 3.4) -> None:
        colour, mark = _COLOURS[index % len(_COLOURS)], _MARKS[index % len(_MARKS)]
        x, y, r = place[0] * _DRAWN, place[1] * _DRAWN, radius * _DRAWN
        if mark == "circle":
            self._draw.ellipse([x - r, y - r, x + r, y + r], fill=colour)
        elif mark == "square":
            self._draw.rectangle([x - r, y - r, x + r, y + r], fill=colour)
        elif mark == "triangle":
            self._draw.polygon([(x, y - r), (x + r, y + r), (x - r, y + r)], fill=colour)
        elif mark == "diamond":
            d = 1.3 * r
            self._draw.polygon([(x, y - d), (x + d, y), (x, y + d), (x - d, y)], fill=colour)
        else:
            for end in (r, -r):
                corners = [(x - r, y - end), (x + r, y + end)]
                self._draw.line(corners, fill=colour, width=2 * _DRAWN)
