"""The paper's transfer table: published rows, and the rows of a run's reports."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from ssl_tf import markdown
from ssl_tf.evaluation.protocols import PROTOCOLS
from ssl_tf.evaluation.transfer import Report, read_report, report_path
from ssl_tf.training.report_entries import LEARNED_FROM, UNREADABLE

_HEADINGS = {"linear": "Logistic regression on frozen features", "finetune": "Fine-tuned"}
_MA_SSRL = "MA-SSRL paper, transfer table: ResNet-50, 300 epochs"
_BYOL = "BYOL, Table 3: ResNet-50, 1,000 epochs"
# Figures of the digest of an encoder that tell it from others.
_DIGEST = 12
# Columns of the two papers, each in its order.
_MA_SSRL_COLUMNS = ("food101", "cifar100", "cars196", "dtd", "sun397", "oxford_iiit_pet")
_BYOL_COLUMNS = ("food101", "cifar10", "cifar100", "sun397", "cars196", "dtd", "oxford_iiit_pet")


@dataclasses.dataclass(frozen=True)
class Row:
    """A row of the table.

    Attributes:
        name: of the method or encoder.
        figures: name of a data set -> metric of its protocol, in percent.
        source: paper or run of the figures.
    """

    name: str
    figures: Mapping[str, float]
    source: str


def _published(name: str, source: str, columns: Sequence[str], *figures: float) -> Row:
    return Row(name, dict(zip(columns, figures, strict=True)), source)


PUBLISHED = {
    "linear": (
        _published("MA-SSRL", _MA_SSRL, _MA_SSRL_COLUMNS, 76.0, 78.9, 57.7, 73.8, 63.8, 84.3),
        _published("BYOL, rerun", _MA_SSRL, _MA_SSRL_COLUMNS, 72.2, 75.4, 46.3, 72.9, 62.5, 82.4),
        _published("BYOL", _BYOL, _BYOL_COLUMNS, 75.3, 91.3, 78.4, 62.2, 67.8, 75.5, 90.4),
        _published("SimCLR", _BYOL, _BYOL_COLUMNS, 68.4, 90.6, 71.6, 58.8, 50.3, 74.5, 83.6),
        _published("supervised", _BYOL, _BYOL_COLUMNS, 72.3, 93.6, 78.3, 61.9, 66.7, 74.9, 91.5),
    ),
    "finetune": (
        _published("MA-SSRL", _MA_SSRL, _MA_SSRL_COLUMNS, 85.4, 85.8, 84.3, 70.4, 63.5, 80.5),
        _published("BYOL, rerun", _MA_SSRL, _MA_SSRL_COLUMNS, 85.1, 83.3, 86.1, 71.3, 62.3, 85.3),
        _published("BYOL", _BYOL, _BYOL_COLUMNS, 88.5, 97.8, 86.1, 63.7, 91.6, 76.2, 91.7),
        _published("SimCLR", _BYOL, _BYOL_COLUMNS, 88.2, 97.7, 85.9, 63.5, 91.3, 73.2, 89.2),
        _published("supervised", _BYOL, _BYOL_COLUMNS, 88.3, 97.5, 86.4, 64.3, 92.1, 74.6, 92.1),
        _published("random", _BYOL, _BYOL_COLUMNS, 86.9, 95.9, 80.2, 53.6, 91.4, 64.8, 81.5),
    ),
}


def tables(directory: Path, datasets: Sequence[str], run: str, is_start: bool) -> str:
    """The tables of a run's reports in Markdown, one for each protocol with a report.

    Figures are in percent: top-1, or mean per class if the heading has a mark. A dash is a missing
    figure.

    Args:
        directory: of the reports.
        datasets: first columns; other data sets with reports follow.
        run: name of the run.
        is_start: the run began with the random encoder.

    Raises:
        UserError: a report is damaged.
    """
    parts = []
    for protocol, heading in _HEADINGS.items():
        reports = {n: read_report(report_path(directory, n, protocol)) for n in PROTOCOLS}
        reports = {name: report for name, report in reports.items() if report}
        if reports:
            rows = [*PUBLISHED[protocol], *_run_rows(reports, run, is_start)]
            columns = tuple(dict.fromkeys((*datasets, *reports)))
            parts.append(f"### {heading}\n\n{_markdown(rows, columns)}\n{_remarks(reports)}")
    return "\n".join(parts)


def _run_rows(reports: Mapping[str, Report], run: str, is_start: bool) -> list[Row]:
    """The rows of the reports: one for each encoder, step, image size and settings.

    Reports of several encoders or settings may lie side by side, as after a suite that was started
    with others and did not come to its end.
    """
    settings = {name: report.get("settings", {}) for name, report in reports.items()}
    names = dict.fromkeys(key for options in settings.values() for key in options)
    varied = [n for n in names if len({str(options.get(n)) for options in settings.values()}) > 1]
    rows = []
    random = f"random ({run}'s start)" if is_start else "random"
    for encoder, title in (("trained", run), ("random", random)):
        found: dict[tuple[str, ...], dict[str, float]] = {}
        own = {name: report for name, report in reports.items() if encoder in report}
        digests = {name: report[encoder].get("encoder_sha256", "") for name, report in own.items()}
        for name, report in own.items():
            source = ["this run"]
            if encoder == "trained":
                source.append(f"step {report['step']}")
            source.append(f"{report['image_size']} pixels")
            if len(set(digests.values())) > 1:
                source.append(f"encoder {digests[name][:_DIGEST] or 'unknown'}")
            source += [f"--{key}={settings[name].get(key)}" for key in varied]
            figure = 100 * report[encoder][report["metric"]]
            # The whole digest, of which the source shows the first figures.
            found.setdefault((", ".join(source), digests[name]), {})[name] = figure
        rows += [Row(title, figures, source) for (source, _), figures in found.items()]
    return rows


def _markdown(rows: Sequence[Row], datasets: Sequence[str]) -> str:
    protocols = [PROTOCOLS[name] for name in datasets]
    marks = ["*" if protocol.metric == "mean_per_class" else "" for protocol in protocols]
    return markdown.table(
        ["method", *(p.title + mark for p, mark in zip(protocols, marks)), "source"],
        [[row.name, *(_cell(row, name) for name in datasets), row.source] for row in rows],
    )


def _cell(row: Row, name: str) -> str:
    return f"{row.figures[name]:.1f}" if name in row.figures else "-"


def _remarks(reports: Mapping[str, Report]) -> str:
    lines = ["Top-1 in percent; with *, mean per class."]
    other = [PROTOCOLS[n].title for n, r in reports.items() if r["sizes"] != r["published_sizes"]]
    if other:
        lines.append(f"Not of the published images: {', '.join(other)}.")
    for name, report in reports.items():
        if count := report.get(LEARNED_FROM):
            lines.append(
                f"{PROTOCOLS[name].title}: the run has learned from {count} of the test images."
            )
        if count := report.get(UNREADABLE):
            lines.append(f"{PROTOCOLS[name].title}: {count} images could not be read.")
    stopped = [
        PROTOCOLS[name].title
        for name, report in reports.items()
        for encoder in ("trained", "random")
        if report.get(encoder, {}).get("stopped_at_max_iterations")
    ]
    if stopped:
        lines.append(
            f"L-BFGS was stopped before it converged: {', '.join(dict.fromkeys(stopped))}."
        )
    return "\n".join(lines) + "\n"
