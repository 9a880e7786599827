"""Panels of figures in percent, drawn with matplotlib: curves over epochs, or bars."""

import contextlib
import dataclasses
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ssl_tf.files import replacing

Points = list[tuple[float, float]]

# Readers who see few colours tell these apart (Okabe and Ito 2008). Markers differ beside them, and
# each further round of the colours has another line and another hatch.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
_MARKERS = ("o", "s", "^", "D", "X", "v", "P", "p")
_LINES = ("-", "-.", ":")
_HATCHES = ("", "///", "...")
_RANDOM = {"color": "#666666", "linestyle": "--", "linewidth": 1.2}
# Inches.
_PANEL_HEIGHT = 3.0
_PANEL_WIDTH = 4.2
_SLOT = 0.42  # of a bar, so that its value fits over it
_MAX_WIDTH = 22.0
_DPI = 150
# A curve of many epochs has a marker at every few.
_MARKERS_A_CURVE = 12


@dataclasses.dataclass(frozen=True)
class Panel:
    """One pair of axes.

    Attributes:
        title: of the panel.
        figure: what is measured, such as "top-1"; the axis adds the unit.
        series: name -> (epoch, percent) in ascending epochs; a name may have no point.
        random: percent of each random encoder.
        errors: name -> standard error of each of its points; empty where there are none.
        x: what the points stand over.
        protocols: name -> x of a point -> protocol of its evaluation, where that is known.
    """

    title: str
    figure: str
    series: dict[str, Points]
    random: tuple[float, ...] = ()
    errors: dict[str, list[float]] = dataclasses.field(default_factory=dict)
    x: str = "epoch"
    protocols: Mapping[str, Mapping[float, Mapping[str, str]]] = dataclasses.field(
        default_factory=dict
    )


def draw_panels(panels: Sequence[Panel]) -> Figure:
    """Draws the panels in rows over one legend.

    A panel has curves where a series has several points, else a bar for each series with its
    value. A random encoder is a dashed line.

    Args:
        panels: one or more, all with the same names in the same order.
    """
    names = list(panels[0].series)
    width = max(_PANEL_WIDTH, 1.4 + _SLOT * len(names))
    columns = min(math.ceil(math.sqrt(len(panels))), max(1, int(_MAX_WIDTH / width)))
    rows = math.ceil(len(panels) / columns)
    with own_style():
        figure = Figure(layout="constrained")
        FigureCanvasAgg(figure)
        figure.get_layout_engine().set(w_pad=0.1, h_pad=0.1)
        for index, panel in enumerate(panels):
            _draw_panel(figure.add_subplot(rows, columns, index + 1), panel)
        legend = [_line(index, label=name) for index, name in enumerate(names)]
        if any(panel.random for panel in panels):
            legend.append(Line2D([], [], label="random encoder", **_RANDOM))
        entry = 0.7 + 0.09 * max(len(line.get_label()) for line in legend)
        legend_columns = max(1, min(len(legend), int(columns * width / entry)))
        legend_rows = math.ceil(len(legend) / legend_columns)
        figure.set_size_inches(
            max(columns * width, entry), rows * _PANEL_HEIGHT + 0.3 + 0.2 * legend_rows
        )
        figure.legend(handles=legend, loc="outside lower center", ncols=legend_columns)
    return figure


def write_png(figure: Figure, path: Path) -> None:
    """Writes a figure as PNG; the file is complete or absent.

    The same figure gives the same bytes: the file names neither a date nor a version.
    """
    with own_style(), replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=_DPI, metadata={"Software": None})


@contextlib.contextmanager
def own_style() -> Iterator[None]:
    """Keeps a user's matplotlibrc out, dollar signs of names as they are, and stderr clean.

    Texts are made in it: what dollar signs mean is settled there.
    """
    with matplotlib.rc_context(), warnings.catch_warnings():
        # A name in another script is drawn as boxes, one warning for each of them.
        warnings.filterwarnings("ignore", "Glyph .* missing")
        matplotlib.rcdefaults()
        matplotlib.rcParams["text.parse_math"] = False
        yield


def _draw_panel(axes: Axes, panel: Panel) -> None:
    axes.set_title(panel.title)
    axes.set_ylabel(f"{panel.figure} (%)")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    if max(map(len, panel.series.values())) > 1:
        _draw_curves(axes, panel)
    else:
        _draw_bars(axes, panel)
    if panel.random:
        _draw_random(axes, panel.random)


def _draw_curves(axes: Axes, panel: Panel) -> None:
    for index, (name, points) in enumerate(panel.series.items()):
        if points:
            _draw_errors(axes, index, points, panel.errors.get(name))
            # Not clipped, so that the marker of epoch 0 is whole.
            line = _line(index, *zip(*points), clip_on=False)
            line.set_markevery(math.ceil(len(points) / _MARKERS_A_CURVE))
            axes.add_line(line)
    axes.update_datalim([(0, percent) for percent in panel.random])
    axes.autoscale_view()
    low, high = axes.get_ylim()
    axes.set_ylim(max(low, 0), high)
    axes.set_xlim(left=0)
    axes.set_xlabel(panel.x)
    axes.grid(color="#e4e4e4")


def _draw_bars(axes: Axes, panel: Panel) -> None:
    """Draws a bar for each series with a point, over its epoch; each series keeps its place."""
    count, names = len(panel.series), list(panel.series)
    bars = {index: points[0] for index, points in enumerate(panel.series.values()) if points}
    for index, (_, percent) in bars.items():
        axes.bar(
            index,
            percent,
            0.7,
            color=_COLOURS[index % len(_COLOURS)],
            hatch=_HATCHES[index // len(_COLOURS) % len(_HATCHES)],
            edgecolor="white",
        )
        errors = panel.errors.get(names[index], [0.0])
        _draw_errors(axes, index, [(index, percent)], errors, "black")
        axes.annotate(
            f"{percent:.1f}",
            (index, percent + errors[0]),
            xytext=(0, 6),
            textcoords="offset points",
            horizontalalignment="center",
        )
        axes.add_line(_line(index, [index], [percent]))
    air = max(0.6, (3 - count) / 2)
    axes.set_xlim(-air, count - 1 + air)
    tops = [percent for _, percent in bars.values()]
    tops += [percent + max(panel.errors.get(names[n], [0.0])) for n, (_, percent) in bars.items()]
    highest = max(*panel.random, *tops, 0)
    axes.set_ylim(0, 1.15 * highest or 1)
    axes.set_xticks(list(bars), [_short(x) for x, _ in bars.values()])
    axes.set_xlabel("epochs of training" if panel.x == "epoch" else panel.x)
    axes.grid(axis="y", color="#e4e4e4")


def _short(number: float) -> str:
    """Three digits, or all before the point: 9.9994 is 10, 1000 is 1000."""
    return f"{number:.0f}" if number >= 100 else f"{number:.3g}"


def _draw_errors(
    axes: Axes,
    index: int,
    points: Points,
    errors: Sequence[float] | None,
    colour: str | None = None,
) -> None:
    """Draws the standard errors of a series, if it has any, as vertical bars."""
    if errors and any(errors):
        axes.errorbar(
            *zip(*points),
            yerr=errors,
            fmt="none",
            ecolor=colour or _COLOURS[index % len(_COLOURS)],
            capsize=3,
            elinewidth=1.2,
        )


def _draw_random(axes: Axes, percents: Sequence[float]) -> None:
    """Draws a line for each random encoder, and writes their value or range beside the axes."""
    for percent in percents:
        axes.axhline(percent, **_RANDOM)
    low, high = f"{min(percents):.1f}", f"{max(percents):.1f}"
    axes.text(
        1.01,
        (min(percents) + max(percents)) / 2,
        low if low == high else f"{low}\nto {high}",
        transform=axes.get_yaxis_transform(),
        verticalalignment="center",
        color=_RANDOM["color"],
    )


def _line(index: int, x: Sequence[float] = (), y: Sequence[float] = (), **more: Any) -> Line2D:
    """Returns a line in the colour and with the marker of a series."""
    return Line2D(
        x,
        y,
        color=_COLOURS[index % len(_COLOURS)],
        linestyle=_LINES[index // len(_COLOURS) % len(_LINES)],
        marker=_MARKERS[index % len(_MARKERS)],
        markeredgecolor="white",
        markeredgewidth=0.6,
        markersize=7,
        **more,
    )
