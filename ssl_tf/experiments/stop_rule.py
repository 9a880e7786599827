"""The stop rule of a study: which arms need no further seed, and which it cannot stop."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ssl_tf.experiments.records import Done, read_record
from ssl_tf.experiments.study_file import Study
from ssl_tf.experiments.trials import Trial
from ssl_tf.files import read_json

# The figures of the study, which `outcome` writes and the rule reads.
RESULTS = "results.json"
_REMEDY = "remove it, and start the study again"


def is_stopped(
    study: Study,
    trials: Sequence[Trial],
    trial: Trial,
    output: Path,
    results: Mapping[str, Any] | None = None,
) -> bool:
    """Whether a trial that nobody has begun is not needed any more, by the stop rule.

    Neither the reference stops nor an arm whose results others read.

    Args:
        study, trials: all that there is to do.
        trial: one of them.
        output: of the study.
        results: as in results.json; None: those that are there.
    """
    rule = study.stop
    needed = {arm for other in trials for step in other.steps for arm, _ in step.needs}
    if rule is None or trial.arm in {study.reference, *needed}:
        return False
    if read_record(output, trial.name).done:
        return False
    if results is None:
        path = output / RESULTS
        results = read_json(path, dict, _REMEDY) if path.exists() else {}
    row = next((row for row in results.get("rows", ()) if row["run"] == trial.arm), {})
    differences = _differences_of(rule.figure, row, results.get("stages", {}))
    if len(differences) != 1:
        return False
    (name,) = differences
    count = row.get(f"{name}_seeds", 0)
    if count < rule.seeds or f"{name}_error" not in row:
        return False
    least = rule.deviation / 100 / math.sqrt(count)
    return abs(row[name]) > rule.errors * max(row[f"{name}_error"], least)


def stop_remarks(
    figure: str,
    trials: Sequence[Trial],
    done: Done,
    reference: str,
    results: Mapping[str, Any],
) -> list[str]:
    """The arms that the stop rule cannot stop, and why, a remark each.

    Args:
        figure: of the stop rule.
        trials: of the study.
        done: stages that are done.
        reference: arm that the others are compared with; empty: it has no row.
        results: as in results.json.
    """
    stages = results["stages"]
    each = {row["run"]: _differences_of(figure, row, stages) for row in results["rows"]}
    told = [
        f"{arm} is not stopped: {figure} of the stop rule is each of {', '.join(among)}"
        for arm, among in each.items()
        if len(among) > 1
    ]
    of_reference = {trial.name for trial in trials if trial.arm == reference}
    measured = {n for row in results["runs"] for n in row if row["run"] in of_reference}
    is_done = any(t.arm == reference and len(done[t.name]) == len(t.steps) for t in trials)
    if is_done and not measured & _columns_of(figure, stages):
        told.append(f"no arm is stopped: no report of {reference} has {figure}, the stop rule's")
    return told


def _differences_of(figure: str, row: Mapping[str, Any], stages: Mapping[str, str]) -> list[str]:
    """The columns of a row that may be a figure's difference; several where data sets have it.

    Args:
        figure: as the stop rule names it, such as linear_top1.
        row: of an arm.
        stages: name of a stage in the columns -> that without its data and kind.
    """
    columns = sorted(_columns_of(figure, stages))
    return [f"{name}_difference" for name in columns if f"{name}_difference" in row]


def _columns_of(figure: str, stages: Mapping[str, str]) -> set[str]:
    """The columns that may have a figure; arguments as in `_differences_of`."""
    columns = {figure}
    for name, plain in stages.items():
        if figure.startswith(f"{plain}_"):
            columns.add(f"{name}_{figure.removeprefix(f'{plain}_')}")
    return columns
