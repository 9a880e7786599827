"""The report of a stage: its file, its rows, and the published rows beside them."""

import dataclasses
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from ssl_tf.files import prepare_output
from ssl_tf.settings.downstream import DownstreamSettings

_NO_WORD = re.compile(r"[^\w.-]+")


@dataclasses.dataclass(frozen=True)
class Published:
    """A row of a paper's table.

    Attributes:
        name: of the encoder.
        figures: name -> figure, in percent.
        source: paper, table and protocol.
    """

    name: str
    figures: Mapping[str, float]
    source: str


def report_path(settings: DownstreamSettings, stage: str, test: str) -> Path:
    """The file of the report, STAGE.json in the run directory if --output names none.

    Where that is of other test images, their name follows.

    Raises:
        SettingsError: it cannot be written.
    """
    path = Path(settings.output or Path(settings.start.checkpoint) / f"{stage}.json")
    if not settings.output and _tested(path) not in (None, test):
        path = path.with_name(f"{stage}_{_NO_WORD.sub('_', test)}.json")
    prepare_output(path)
    return path


def training_place(report: Path) -> Path:
    """The directory of the trainings behind a report."""
    place = report.with_suffix("")
    return place if place != report else report.with_name(f"{report.name}_training")


def table(
    columns: Mapping[str, str],
    ours: Mapping[str, Mapping[str, float | None]],
    published: Sequence[Published],
    run: str,
) -> str:
    """A table in Markdown, figures in percent; a dash is a missing figure.

    Args:
        columns: name of a figure -> its heading.
        ours: name of an encoder -> figures in [0, 1].
        published: rows of papers.
        run: what our rows are of, in words.
    """
    rows = [
        (name, {key: 100 * x for key, x in figures.items() if x is not None}, run)
        for name, figures in ours.items()
    ]
    rows += [(row.name, row.figures, row.source) for row in published]
    lines = [["encoder", *columns.values(), "source"], ["---"] * (len(columns) + 2)]
    for name, figures, source in rows:
        cells = [f"{figures[key]:.1f}" if key in figures else "-" for key in columns]
        lines.append([name, *cells, source])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _tested(path: Path) -> str | None:
    """The test images of a report; None if there is no report, or none that tells them."""
    try:
        report = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return report.get("test") if isinstance(report, dict) else None
