"""The outcome of a study so far: its table, its figures as JSON, and its picture."""

import dataclasses
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ssl_tf.experiments.claims import CLAIMS, Claims, Taken
from ssl_tf.experiments.finished import write_finished
from ssl_tf.experiments.records import Done, read_record
from ssl_tf.experiments.stage_commands import DISCOVER, PRETRAIN, stage_kind
from ssl_tf.experiments.stop_rule import RESULTS, is_stopped, stop_remarks
from ssl_tf.experiments.study_file import Study
from ssl_tf.experiments.trials import Step, Trial
from ssl_tf.files import read_json, write_json, write_text

TABLE = "table.md"
PICTURE = "figures.png"
_CSV = "table.csv"
_REMEDY = "remove it, and start the study again"
# Seconds after which the writer of a table on another machine is taken for dead.
_SILENCE = 30.0


def write_outcome(study: Study, trials: Sequence[Trial], output: Path) -> None:
    """Writes table.md, table.csv, results.json, figures.png, finished.json of what is complete.

    Of a trial all complete stages count, and no other report in its run. One process writes at a
    time, and each writes what there was after it had begun, so the last one misses nothing.
    """
    claims = Claims(output / CLAIMS, _SILENCE)
    while True:
        try:
            with claims.take("table"):
                _write(study, trials, output)
            return
        except Taken:
            time.sleep(1)


def _write(study: Study, trials: Sequence[Trial], output: Path) -> None:
    from ssl_tf.evaluation.curves import draw_panels, write_png
    from ssl_tf.evaluation.report_names import RANDOM_ROW
    from ssl_tf.evaluation.run_reports import earlier_figures
    from ssl_tf.evaluation.run_table import panels, table
    from ssl_tf.evaluation.seed_rows import Group, joined, joined_panels

    records = {trial.name: read_record(output, trial.name) for trial in trials}
    done = {t.name: {s.name for s in t.steps if records[t.name].has_done(s)} for t in trials}
    begun = [trial for trial in trials if done[trial.name]]
    runs, foreign = _runs([trial for trial in begun if PRETRAIN in done[trial.name]], done)
    single = table(runs)
    trained, random = single.rows[: len(runs)], single.rows[len(runs) :]
    rows, of_boxes = _trial_rows(begun, done, trained)
    columns = {**single.columns, **of_boxes}
    remarks = (*earlier_figures(runs), *single.remarks, *_told_of_boxes(rows))
    single = dataclasses.replace(single, columns=columns, rows=[*rows, *random], remarks=remarks)
    if foreign:
        told = ", ".join(str(path.relative_to(output)) for path in foreign)
        remark = f"left out, for no stage of the study that is done has made them: {told}"
        single = dataclasses.replace(single, remarks=(*single.remarks, remark))
    groups = [
        Group(arm, {t.name: t.seed for t in sorted(begun, key=lambda t: t.seed) if t.arm == arm})
        for arm in study.arms
    ]
    groups = [group for group in groups if group.runs]
    there = {*(group.name for group in groups), *([RANDOM_ROW] if random else [])}
    reference = study.reference if study.reference in there else ""
    shown = joined(single, groups, reference)
    results = {
        "title": study.title,
        "seeds": study.seeds,
        "reference": study.reference,
        "stop": str(study.stop or ""),
        "rows": _known(shown),
        "runs": _known(single),
        # The name of a stage in the columns -> that without its data and kind.
        "stages": {s.name: s.plain or s.name for run in runs for s in run.reports},
        "remarks": list(shown.remarks),
    }
    if study.stop:
        told = stop_remarks(study.stop.figure, trials, done, reference, results)
        shown = dataclasses.replace(shown, remarks=(*shown.remarks, *told))
        results["remarks"] += told
    results["missing"] = left = missing(study, trials, output, results)
    write_json(output / RESULTS, results)
    write_finished(output, trials)
    write_text(output / _CSV, shown.as_csv())
    write_text(output / TABLE, _page(study, shown, reference, left))
    drawn = joined_panels(panels(runs), groups)
    if drawn:
        write_png(draw_panels(drawn), output / PICTURE)


def _runs(trained: Sequence[Trial], done: Done) -> tuple[list[Any], list[Path]]:
    """The runs of trials with the reports of stages that are done, and the paths of all others.

    Args:
        trained: trials whose pre-training is done.
        done: stages that are done.
    """
    from ssl_tf.evaluation.run_reports import read_runs, report_paths

    made = {p for t in trained for s in t.steps if s.name in done[t.name] for p in s.reports}
    foreign = [path for t in trained for path in report_paths(t.run) if path not in made]
    runs = read_runs([trial.run for trial in trained], foreign, by_place=True)
    # A directory may be a link to one of another name.
    named = [dataclasses.replace(run, name=t.name) for run, t in zip(runs, trained, strict=True)]
    return named, foreign


def _trial_rows(
    begun: Sequence[Trial], done: Done, trained: Sequence[Mapping[str, Any]]
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """A row for each trial, with the figures of its boxes.

    Args:
        begun: trials of which a stage is done.
        done: stages that are done.
        trained: the rows of their runs.

    Returns:
        The rows, in the order of the trials; columns of boxes -> headings.
    """
    from ssl_tf.evaluation.run_table import BOX_FIGURES, PROTOCOLS

    rows: dict[str, dict[str, Any]] = {t.name: {"run": t.name, "seed": t.seed} for t in begun}
    for row in trained:
        rows[row["run"]] |= row
    columns: dict[str, str] = {}
    for trial in begun:
        for step in trial.steps:
            if stage_kind(step.name) == DISCOVER and step.name in done[trial.name]:
                found, images = _box_figures(step)
                if not found:
                    continue
                rows[trial.name] |= found
                rows[trial.name].setdefault(PROTOCOLS, {})[step.name] = {"images": images}
                heads = {f"{step.name}_{n}": f"{step.name} {h}" for n, h in BOX_FIGURES.items()}
                columns |= {name: heads[name] for name in found}
    return list(rows.values()), columns


def _told_of_boxes(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line for each discovery whose figures are of other numbers of images in some rows."""
    from ssl_tf.evaluation.report_protocol import told_differences
    from ssl_tf.evaluation.run_table import PROTOCOLS

    protocols: dict[str, dict[str, Mapping[str, str]]] = {}
    for row in rows:
        for stage, protocol in row.get(PROTOCOLS, {}).items():
            if stage_kind(stage) == DISCOVER:
                protocols.setdefault(stage, {})[row["run"]] = protocol
    lines = [told_differences(stage, found) for stage, found in protocols.items()]
    return [line for line in lines if line]


def _box_figures(step: Step) -> tuple[dict[str, float], str]:
    """The metrics of a discovery's boxes, as columns, and the number of their images.

    There are none where they were not measured.
    """
    from ssl_tf.evaluation.run_table import BOX_FIGURES

    if not step.reports:
        return {}, ""
    by_name = read_json(step.reports[0], dict, _REMEDY)
    kind = step.flags["discoverer"]
    measured = by_name[step.flags["ranker"] if kind == "lod" else kind]
    figures = {f"{step.name}_{name}": measured[name] for name in BOX_FIGURES}
    return figures, str(by_name["images"])


def _known(table: Any) -> list[dict[str, Any]]:
    """The rows of a table without what is None."""
    return [
        {name: value for name, value in row.items() if name in table.columns and value is not None}
        for row in table.rows
    ]


def _page(study: Study, shown: Any, reference: str, left: Mapping[str, str]) -> str:
    """The tables as Markdown: figures, then differences; then what is missing."""

    def part(differences: bool) -> str:
        columns = {
            name: heading
            for name, heading in shown.columns.items()
            if name == "run" or name.endswith("_difference") == differences
        }
        rows = shown.rows
        if differences:
            rows = [row for row in rows if columns.keys() & row.keys() - {"run"}]
        return dataclasses.replace(shown, columns=columns, rows=rows).as_markdown() if rows else ""

    parts = [f"# {study.title}\n", part(differences=False)]
    differences = part(differences=True) if reference else ""
    if differences:
        parts.append(f"Differences to {reference}, seed by seed:\n\n{differences}")
    parts.append("Percent; means over seeds ± standard errors.\n")
    parts += [f"{remark}\n" for remark in shown.remarks]
    if study.stop:
        parts.append(f"{study.stop}\n")
    parts += [f"{name} is missing: {cause}\n" for name, cause in left.items()]
    return "\n".join(parts)


def missing(
    study: Study,
    trials: Sequence[Trial],
    output: Path,
    results: Mapping[str, Any] | None = None,
) -> dict[str, str]:
    """The trials that are not complete, and why; those that are not needed are none of them.

    Args:
        study, trials: all that there is to do.
        output: of the study.
        results: as in results.json; None: those that are there.
    """
    found = {}
    for trial in trials:
        record = read_record(output, trial.name)
        step = record.next_step(trial)
        if step is None or is_stopped(study, trials, trial, output, results):
            continue
        failed = record.failed
        found[trial.name] = (
            f"{failed['stage']} failed: {failed['cause']}" if failed else f"{step.name} is not done"
        )
    return found
