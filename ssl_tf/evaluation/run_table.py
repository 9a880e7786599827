"""Runs side by side, from what stands in their directories: one table, and curves over epochs."""

import csv
import dataclasses
import io
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ssl_tf.errors import UserError
from ssl_tf.evaluation.curves import Panel
from ssl_tf.settings import PretrainSettings
from ssl_tf.training.run_directory import ENVIRONMENT, MetricsFile, read_settings

Row = dict[str, Any]

_FIGURES = {"top1": "top-1", "top5": "top-5", "mean_per_class": "mean per class", "map": "mAP"}
# Stage -> heading of the shares of labels that the table shows; "finetune" is on all of them.
_SHARES = {
    "finetune_1pct": "1 % labels",
    "finetune_10pct": "10 % labels",
    "finetune": "fine-tune",
}
# Column -> heading, in the order of the table; columns without heading stand in the CSV only.
COLUMNS = {
    "run": "run",
    "method": "method",
    "views": "views",
    "encoder": "encoder",
    "seed": "seed",
    "epochs": "epochs",
    "step": None,
    "batch_size": "batch",
    "images_per_second": None,
    "machine": "machine",
    "monitor_knn_top1": "kNN while training, top-1",
    "monitor_knn_map": "kNN while training, mAP",
    "knn_step": None,
    "knn": "kNN k, T",
    **{f"knn_{name}": f"kNN {title}" for name, title in _FIGURES.items()},
    "linear_step": None,
    "linear_base_learning_rate": None,
    **{f"linear_{name}": f"linear {title}" for name, title in _FIGURES.items()},
    **{
        column: heading
        for stage, share in _SHARES.items()
        for column, heading in {
            f"{stage}_step": None,
            f"{stage}_base_learning_rate": None,
            f"{stage}_weight_decay": None,
            **{f"{stage}_{name}": f"{share} {title}" for name, title in _FIGURES.items()},
        }.items()
    },
}
_PERCENT = tuple(f"_{name}" for name in _FIGURES)


@dataclasses.dataclass(frozen=True)
class Run:
    """What one run directory tells.

    Attributes:
        name: how the run is called in table and curves.
        settings: of the run.
        lines: of metrics.jsonl, by step.
        environment: the last one that the run was trained in.
        probes: reports of `linear`, by step; of one step the one with the later name.
        reports: the newest report of each stage: "knn", "linear", and "finetune" or, of a share of
            the labels, "finetune_1pct" and "finetune_10pct".
    """

    name: str
    settings: PretrainSettings
    lines: list[Row]
    environment: Row
    probes: list[Row]
    reports: dict[str, Row]

    def epoch(self, step: int) -> float:
        """The epoch at a step; steps of a run are equally long."""
        last = self.lines[-1] if self.lines else {"step": 0}
        return last["epoch"] * step / last["step"] if last["step"] else 0.0


def read_runs(directories: Sequence[Path]) -> list[Run]:
    """The runs, in the order given, named by their directories, in full where two end alike.

    Raises:
        UserError: a directory is no run, or a report in it is damaged.
    """
    names = [directory.resolve().name for directory in directories]
    return [
        _read_run(directory, name if names.count(name) == 1 else str(directory))
        for directory, name in zip(directories, names)
    ]


def table(runs: Sequence[Run]) -> list[Row]:
    """One row a run, then one for each distinct random encoder that stands in their reports."""
    random = {}
    for run in runs:
        for stage, report in run.reports.items():
            if "random" in report:
                digest = report["random"]["encoder_sha256"]
                row = random.setdefault(
                    digest, {"run": "random", "encoder": _encoder(run), "seed": _seed(run)}
                )
                row.update(_reported(stage, report, "random"))
    return [*map(_row, runs), *random.values()]


def panels(runs: Sequence[Run]) -> list[Panel]:
    """kNN and probe over epochs, in percent; one panel for each figure that a run has."""
    found = []
    for name, title in (("knn_top1", "kNN top-1"), ("knn_map", "kNN mAP")):
        series = {
            run.name: [(line["epoch"], 100 * line[name]) for line in run.lines if name in line]
            for run in runs
        }
        found.append(Panel(f"{title} while training", series))
    for name, title in (("top1", "linear top-1"), ("map", "linear mAP")):
        series = {
            run.name: [
                (run.epoch(report["step"]), 100 * report["trained"][name])
                for report in run.probes
                if name in report["trained"]
            ]
            for run in runs
        }
        found.append(Panel(title, series))
    return [panel for panel in found if any(panel.series.values())]


def as_markdown(rows: Sequence[Row]) -> str:
    """The columns with a heading of which a row has something; figures in percent."""
    columns = [
        name for name, heading in COLUMNS.items() if heading and any(name in row for row in rows)
    ]
    lines = [
        [COLUMNS[name] for name in columns],
        ["---"] * len(columns),
        *([_cell(name, row) for name in columns] for row in rows),
    ]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def as_csv(rows: Sequence[Row]) -> str:
    """All columns; figures as shares in [0, 1]."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _read_run(directory: Path, name: str) -> Run:
    settings = read_settings(directory)
    probes = _by_step(_read_report(path) for path in sorted(directory.glob("linear*.json")))
    tuned = [
        _read_report(path, "share", "epochs") for path in sorted(directory.glob("finetune*.json"))
    ]
    reports = {"linear": probes[-1]} if probes else {}
    if (directory / "knn.json").exists():
        reports["knn"] = _read_report(directory / "knn.json", "knn_k", "knn_temperature")
    for report in _by_step(tuned):
        stage = f"finetune_{report['share']}" if report["share"] else "finetune"
        if stage in _SHARES:
            reports[stage] = report
    environment = directory / ENVIRONMENT
    return Run(
        name,
        settings,
        MetricsFile.read(directory / "metrics.jsonl"),
        _read_json(environment)[-1] if environment.exists() else {},
        probes,
        reports,
    )


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise UserError(f"{path} is damaged; make it anew, or remove it") from None


def _read_report(path: Path, *needed: str) -> Row:
    """A report that holds what is needed beside its step and figures of the trained encoder."""
    report = _read_json(path)
    needed = ("step", "trained", *needed)
    lacks = [name for name in needed if not isinstance(report, dict) or name not in report]
    lacks += [
        f"figures of the {name} encoder"
        for name in ("trained", "random")
        if not lacks and name in report and not _FIGURES.keys() & report[name].keys()
    ]
    if lacks:
        raise UserError(
            f"{path} is no report of such an evaluation: it lacks {', '.join(lacks)}; remove it"
        )
    return report


def _by_step(reports: Iterable[Row]) -> list[Row]:
    """One report a step and share of labels, the last of those given; by step."""
    found = {(report["step"], report.get("share")): report for report in reports}
    return sorted(found.values(), key=lambda report: report["step"])


def _row(run: Run) -> Row:
    settings, environment = run.settings, run.environment
    row = {
        "run": run.name,
        "method": settings.model.method,
        "views": settings.views.recipe,
        "encoder": _encoder(run),
        "seed": _seed(run),
        "batch_size": settings.optimization.batch_size,
    }
    if settings.views.object_crops:
        row["views"] += f", {settings.views.crops}"
    if environment:
        row["machine"] = f"{environment['replicas']} x {environment['device']}"
    if run.lines:
        row |= {"epochs": run.lines[-1]["epoch"], "step": run.lines[-1]["step"]}
    for line in run.lines:  # the last that has it counts
        for name in ("knn_top1", "knn_map"):
            if name in line:
                row[f"monitor_{name}"] = line[name]
        if "images_per_second" in line:
            row["images_per_second"] = line["images_per_second"]
    for stage, report in run.reports.items():
        row |= _reported(stage, report, "trained")
    return row


def _reported(stage: str, report: Row, encoder: str) -> Row:
    """The columns of one encoder's report."""
    row = {f"{stage}_step": report["step"]} if encoder == "trained" else {}
    if stage == "knn":
        row["knn"] = f"{report['knn_k']}, {report['knn_temperature']:g}"
    names = (name for name in report[encoder] if f"{stage}_{name}" in COLUMNS)
    return row | {f"{stage}_{name}": report[encoder][name] for name in names}


def _encoder(run: Run) -> str:
    model = run.settings.model
    return f"ResNet-{model.depth}" + (f" x{model.width:g}" if model.width != 1 else "")


def _seed(run: Run) -> int:
    return run.settings.run.seed


def _cell(name: str, row: Row) -> str:
    value = row.get(name, "")
    if value != "" and name.endswith(_PERCENT):
        return f"{100 * value:.2f}"
    return f"{value:g}" if isinstance(value, float) else str(value).replace("|", "\\|")
