"""Runs side by side: one table, and panels for the figure."""

import csv
import dataclasses
import io
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ssl_tf import markdown
from ssl_tf.evaluation.curves import Panel
from ssl_tf.evaluation.report_protocol import (
    Protocol,
    monitor_protocol,
    protocol_of,
    told_differences,
    unlike_stages,
)
from ssl_tf.evaluation.report_stages import FIGURES, HEADINGS, KNN, LINEAR, Stage
from ssl_tf.evaluation.run_reports import Report, Run
from ssl_tf.training.report_entries import LEARNED_FROM, UNREADABLE

Row = dict[str, Any]

# Entries of a row that are no columns: stage -> protocol of its figures; stage -> step and epoch
# of pre-training that they are of; values of the random encoder in the run's own reports; contents
# of the images of its training; whether the run stands before its end.
PROTOCOLS = "protocols"
REACHED = "reached"
RANDOM = "random"
LEARNED = "learned"
UNFINISHED = "unfinished"
# Stage of what a run has cost so far.
TRAINING = "training"
# Stage of kNN while training.
MONITOR = "monitor_knn"

# Columns of the settings and of training -> headings; the CSV alone has those without a heading.
_RUN_COLUMNS = {
    "run": "run",
    "method": "method",
    "data": "data",
    "views": "views",
    "encoder": "encoder",
    "seed": "seed",
    "epochs": "epochs",
    "step": None,
    "batch_size": "batch",
    "images": "images, M",
    "views_seen": "views, M",
    "encoder_passes": "encoder passes, M",
    "flops": "PFLOP",
    "device_seconds": "device hours",
    "images_per_second": None,
    "machine": "machine",
    "monitor_knn_top1": "kNN while training, top-1",
    "monitor_knn_map": "kNN while training, mAP",
}
_MONITORS = {"knn_top1": "top1", "knn_map": "map"}
# Figures of discovered boxes -> their headings.
BOX_FIGURES = {"corloc": "CorLoc", "detection_rate": "boxes detected", "odap50": "odAP50"}
_PERCENT = tuple(f"_{name}" for name in (*HEADINGS, *BOX_FIGURES))
# Columns of the compute of a run -> what the Markdown divides them by.
COMPUTE_UNITS = {
    "images": 1e6,
    "views_seen": 1e6,
    "encoder_passes": 1e6,
    "flops": 1e15,
    "device_seconds": 3600,
}


@dataclasses.dataclass(frozen=True)
class Table:
    """Rows of runs.

    Attributes:
        columns: name -> heading, from left to right; None: the CSV alone has the column.
        rows: column -> value; figures in [0, 1]. A row leaves out what it does not have.
        remarks: lines that say which figures are not comparable.
    """

    columns: dict[str, str | None]
    rows: list[Row]
    remarks: tuple[str, ...] = ()

    def as_markdown(self) -> str:
        """Returns the columns that have a heading and a value; figures in percent."""
        names = [
            name
            for name, heading in self.columns.items()
            if heading and any(name in row for row in self.rows)
        ]
        return markdown.table(
            [self.columns[name] for name in names],
            [[_cell(name, row) for name in names] for row in self.rows],
        )

    def as_csv(self) -> str:
        """Returns all columns; figures in [0, 1]."""
        text = io.StringIO()
        writer = csv.DictWriter(text, self.columns, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        return text.getvalue()


def table(runs: Sequence[Run]) -> Table:
    """Makes one row for each run, then one for each random encoder of their newest reports.

    Runs that started from the same random encoder share its row, unless their reports of it
    differ, for example by k of kNN: each then has a row. Remarks tell where the protocols of a
    stage differ between runs, and which runs have learned from test images.
    """
    columns = dict(_RUN_COLUMNS)
    for stage in _stages(runs, KNN, LINEAR):
        for name, heading in _stage_columns(stage).items():
            columns[name] = columns.get(name) or heading
    rows: list[Row] = []
    # Networks that differ in their strides alone have the same weights.
    random: dict[tuple[str, str], list[Row]] = {}
    for run in runs:
        row = _run_row(run)
        rows.append(row)
        row[RANDOM] = {}
        for stage, reports in run.reports.items():
            report = reports[-1]
            protocol = row[PROTOCOLS][stage.name] = protocol_of(report)
            row[f"{stage.name}_step"] = step = report["step"]
            row[REACHED][stage.name] = step, run.epoch(step)
            row |= _reported(stage, report, "trained", columns)
            if "random" in report:
                start = {"run": "random", "encoder": run.encoder, "seed": run.seed}
                values = _reported(stage, report, "random", columns)
                row[RANDOM] |= values
                _join(
                    values,
                    {stage.name: protocol},
                    random.setdefault((run.encoder, report["random"]["encoder_sha256"]), []),
                    start,
                )
    remarks = [
        told_differences(
            f"{run.name}: {stage.name}",
            {f"step {report['step']}": protocol_of(report) for report in reports},
        )
        for run in runs
        for stage, reports in run.reports.items()
    ]
    remarks += [
        told_differences(
            name,
            {row["run"]: row[PROTOCOLS][name] for row in rows if name in row[PROTOCOLS]},
        )
        for name in (MONITOR, *(stage.name for stage in _stages(runs)))
    ]
    remarks += [*_of_trainings(runs), *_of_images(runs)]
    random_rows = (row for joined in random.values() for row in joined)
    return Table(columns, [*rows, *random_rows], tuple(filter(None, remarks)))


def _of_trainings(runs: Sequence[Run]) -> list[str]:
    """Lines on what runs differ in that no flag tells, and on those that have collapsed."""
    by_data: dict[str, dict[str, Protocol]] = {}
    for run in runs:
        by_data.setdefault(run.data, {})[run.name] = run.contents
    versions = {run.name: run.versions for run in runs}
    looks = {
        run.name: [line["collapsed"] for line in run.lines if "collapsed" in line] for run in runs
    }
    return [
        *(told_differences(f"{data}:", contents) for data, contents in by_data.items()),
        told_differences("training", versions),
        *(
            f"{n} has collapsed, as its last look says"
            for n, look in looks.items()
            if any(look[-1:])
        ),
    ]


def _of_images(runs: Sequence[Run]) -> Iterator[str]:
    """Lines on images that the newest report of a stage lacks, or that its run has learned from."""
    for run in runs:
        for stage, reports in run.reports.items():
            report = reports[-1] if reports else {}
            if count := report.get(UNREADABLE):
                yield (
                    f"{run.name}: {count} images could not be read for {stage.name} and are "
                    "left out of it"
                )
            if count := report.get(LEARNED_FROM):
                yield (
                    f"{run.name} has learned from {count} of the test images of {stage.name}, "
                    f"{report.get('test', report.get('dataset'))}"
                )


def _join(values: Row, protocols: dict[str, Protocol], rows: list[Row], start: Row) -> None:
    """Puts values into the first row that they do not contradict, or into a new one."""
    for row in rows:
        known = row[PROTOCOLS]
        agrees = all(row.get(name, value) == value for name, value in values.items())
        if agrees and not unlike_stages([known, protocols]):
            row |= values
            row[PROTOCOLS] = {
                **known,
                **{stage: {**known.get(stage, {}), **p} for stage, p in protocols.items()},
            }
            return
    rows.append(start | values | {PROTOCOLS: protocols})


def panels(runs: Sequence[Run], over: str = "epochs") -> list[Panel]:
    """Makes a panel for each drawn figure that a run has, in percent.

    kNN while training comes first, a panel for each data set, then the stages in the order of the
    table's columns. A run without any figure is in none of them.

    Args:
        runs: to draw.
        over: what the figures stand over: "epochs", or "compute" in 10^15 operations.
    """
    place = Run.epoch if over == "epochs" else lambda run, step: run.flops(step) / 1e15
    label = "epoch" if over == "epochs" else "PFLOP"
    found = []
    for name, figure in _MONITORS.items():
        curves = {
            run.name: [
                (line["epoch"] if over == "epochs" else place(run, line["step"]), 100 * line[name])
                for line in run.lines
                if name in line
            ]
            for run in runs
        }
        drawn = [run for run in runs if curves[run.name]]
        protocols = {
            run.name: dict.fromkeys(
                dict(curves[run.name]), {**monitor_protocol(run.settings), **run.contents}
            )
            for run in drawn
        }
        data = dict.fromkeys(run.data for run in drawn)
        for images in data:
            series = {run.name: curves[run.name] if run.data == images else [] for run in runs}
            title = "kNN while training" + (f", {images}" if len(data) > 1 else "")
            found.append(Panel(title, FIGURES[figure], series, protocols=protocols))
    for stage in _stages(runs):
        for figure in stage.drawn:
            found.append(_stage_panel(runs, stage, figure, place))
    found = [dataclasses.replace(panel, x=label) for panel in found if any(panel.series.values())]
    shown = [run.name for run in runs if any(panel.series[run.name] for panel in found)]
    return [
        dataclasses.replace(panel, series={name: panel.series[name] for name in shown})
        for panel in found
    ]


def _stage_panel(
    runs: Sequence[Run], stage: Stage, figure: str, place: Callable[[Run, int], float]
) -> Panel:
    series, random, protocols = {}, {}, {}
    for run in runs:
        protocols[run.name] = {
            place(run, report["step"]): {**protocol_of(report), **run.contents}
            for report in run.reports.get(stage, ())
        }
        series[run.name] = [
            (place(run, report["step"]), 100 * report["trained"][figure])
            for report in run.reports.get(stage, ())
            if figure in report["trained"]
        ]
        for report in run.reports.get(stage, ()):
            if figure in report.get("random", ()):
                start = run.encoder, report["random"]["encoder_sha256"]
                random[start] = 100 * report["random"][figure]
    return Panel(
        stage.title,
        HEADINGS.get(figure, figure),
        series,
        tuple(random.values()),
        protocols=protocols,
    )


def _stages(runs: Sequence[Run], *always: Stage) -> list[Stage]:
    # The order of a set of texts is another one in each process.
    found = dict.fromkeys([*always, *(stage for run in runs for stage in run.reports)])
    return sorted(found, key=lambda stage: stage.position)


def _stage_columns(stage: Stage) -> dict[str, str | None]:
    columns = {f"{stage.name}_step": None}
    if stage.data:
        columns[f"{stage.name}_train"] = None
        columns[f"{stage.name}_test"] = None if stage.named_by_data else f"{stage.heading} data"
    if stage.is_knn:
        columns[f"{stage.name}_k_t"] = f"{stage.heading} k, T"
    columns |= {f"{stage.name}_{detail}": None for detail in stage.details}
    return columns | {
        f"{stage.name}_{figure}": (
            f"{stage.heading} {HEADINGS[figure]}" if figure in stage.tabled else None
        )
        for figure in stage.figures
    }


def _run_row(run: Run) -> Row:
    settings = run.settings
    if settings is None:
        return {"run": run.name, "encoder": run.encoder, PROTOCOLS: {}, REACHED: {}}
    row = {
        "run": run.name,
        "method": settings.model.method,
        "data": run.data,
        "views": settings.views.recipe,
        "encoder": run.encoder,
        "seed": run.seed,
        "batch_size": settings.optimization.batch_size,
        PROTOCOLS: {},
        REACHED: {},
        LEARNED: run.contents,
        UNFINISHED: not run.is_complete,
    }
    if settings.views.object_crops:
        row["views"] += f", {settings.views.crops}"
    if run.machines:
        row["machine"] = ", then ".join(f"{count} x {device}" for count, device in run.machines)
    if run.lines:
        row |= {"epochs": run.lines[-1]["epoch"], "step": run.last_step, **_compute(run)}
        row[REACHED][TRAINING] = row["step"], row["epochs"]
    for line in run.lines:  # the last line that has a figure counts
        for name in _MONITORS:
            if name in line:
                row[f"monitor_{name}"] = line[name]
                row[PROTOCOLS][MONITOR] = monitor_protocol(settings)
                row[REACHED][MONITOR] = line["step"], line["epoch"]
        # Of several machines it is a mean that none of them has.
        if "images_per_second" in line and len(run.machines) < 2:
            row["images_per_second"] = line["images_per_second"]
    return row


def _compute(run: Run) -> Row:
    """Returns what a run has cost; None where it is not known."""
    images, work = run.images(run.last_step), run.work
    return {
        "images": images,
        "views_seen": work and images * work.views_an_image,
        "encoder_passes": work and images * work.forward_units,
        "flops": work and images * work.flops,
        "device_seconds": run.device_seconds,
    }


def _reported(stage: Stage, report: Report, encoder: str, columns: dict[str, str | None]) -> Row:
    """Returns the values of one encoder that are columns of the table."""
    named = {f"{stage.name}_{name}": value for name, value in report[encoder].items()}
    named |= {f"{stage.name}_{name}": report[name] for name in ("train", "test") if name in report}
    row = {name: value for name, value in named.items() if name in columns}
    if stage.is_knn:
        row[f"{stage.name}_k_t"] = f"{report['knn_k']}, {report['knn_temperature']:g}"
    return row


def is_figure(name: str) -> bool:
    """Whether a column holds figures in [0, 1], which tables show in percent."""
    return name.endswith(_PERCENT)


def _cell(name: str, row: Row) -> str:
    value = row.get(name, "")
    if value is None:
        return "-"
    if name in COMPUTE_UNITS and value != "":
        return f"{value / COMPUTE_UNITS[name]:.3g}"
    difference = name.endswith("_difference")
    if value != "" and (difference or is_figure(name)):
        error = row.get(f"{name}_error")
        shown = f"{100 * value:+.2f}" if difference else f"{100 * value:.2f}"
        shown = shown if error is None else f"{shown} ± {100 * error:.2f}"
        count, seeds = row.get(f"{name}_seeds"), set(str(row.get("seeds", "")).split())
        return shown if count in (None, len(seeds)) else f"{shown} ({count} of {len(seeds)})"
    return f"{value:g}" if isinstance(value, float) else str(value)
