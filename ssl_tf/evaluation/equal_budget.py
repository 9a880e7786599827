"""Runs of different length at the budget of the shortest: as many epochs, or as much compute."""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence

from ssl_tf.errors import UserError
from ssl_tf.evaluation.run_reports import Run, last_steps, unfinished
from ssl_tf.training.run_directory import is_look

# What a run may have beyond the budget: steps are rounded, so equal runs differ by a step or two.
SLACK = 1.01

Amount = Callable[[Run, int], float]
AMOUNTS: dict[str, Amount] = {"epochs": Run.epoch, "compute": Run.flops}
# How a budget is told: its unit, and what it is divided by.
_UNITS = {"epochs": ("epochs", 1.0), "compute": ("PFLOP", 1e15)}


def at_equal(runs: Sequence[Run], measure: str) -> tuple[list[Run], list[str]]:
    """The runs with what they had when they had spent what the shortest of them spent in all.

    Lines of metrics and reports of later steps are left out, so that the last ones left are the
    figures at that budget, or the last before it. The look before the first step is none of them.

    Args:
        runs: to compare.
        measure: a name in `AMOUNTS`.

    Returns:
        The runs, whose end is the budget, and lines on those that stand before the end that their
        flags ask for, on the runs that set the budget, on figures that are of more than it, so that
        they are left out, or of less, and on starts whose cost is not counted.

    Raises:
        UserError: the compute of a run is not known, or a run has taken no step.
    """
    amount = AMOUNTS[measure]
    spent = {run.name: amount(run, run.last_step) for run in runs}
    for name, value in spent.items():
        if math.isnan(value) or not value:
            raise UserError(
                f"--equal={measure}: {name} has no step, or its {measure} is unknown; leave it out"
            )
    least = min(spent.values())
    cut = [_until(run, lambda step, run=run: amount(run, step) <= SLACK * least) for run in runs]
    told = [*unfinished(runs), *_of_budget(spent, measure)]
    told += [
        f"{run.name}: its {name} figures begin at step {step}, beyond the equal {measure}, and are "
        "left out"
        for run, within in zip(runs, cut, strict=True)
        for name, step in _first_steps(run).items()
        if name not in last_steps(within)
    ]
    told += [
        f"{run.name}: its {name} figures are of step {step}, at {share:.0%} of the equal {measure}"
        for run, within in zip(runs, cut, strict=True)
        for name, step in last_steps(within).items()
        if SLACK * (share := amount(run, step) / least) < 1
    ]
    told += [
        f"{run.name} began from {start}, whose {measure} is not counted"
        for run in runs
        if (start := _start(run))
    ]
    return cut, told


def _of_budget(spent: Mapping[str, float], measure: str) -> list[str]:
    """A line on the runs that set the budget; none where it cuts no run.

    Args:
        spent: name of a run -> what it has spent.
        measure: as in `at_equal`.
    """
    least = min(spent.values())
    shortest = [name for name, value in spent.items() if value <= SLACK * least]
    if len(shortest) == len(spent):
        return []
    unit, size = _UNITS[measure]
    return [f"the budget, {least / size:.4g} {unit}, is all that {', '.join(shortest)} spent"]


def _first_steps(run: Run) -> dict[str, int]:
    """What has figures -> the step of the first ones, but for the look before the first step."""
    steps = {stage.name: reports[0]["step"] for stage, reports in run.reports.items()}
    looks = [line["step"] for line in run.lines if is_look(line) and line["step"]]
    return {**({"monitor": looks[0]} if looks else {}), **steps}


def _start(run: Run) -> str:
    """The weights from which a run began, where they were not random."""
    if run.settings is None:
        return ""
    return run.settings.run.init_from or run.settings.run.init.init_encoder


def _until(run: Run, within: Callable[[int], bool]) -> Run:
    reports = {
        stage: [report for report in found if within(report["step"])]
        for stage, found in run.reports.items()
    }
    lines = [line for line in run.lines if within(line["step"])]
    if not any(is_look(line) for line in lines if line["step"]):
        lines = [line for line in lines if not is_look(line)]
    return dataclasses.replace(
        run,
        lines=lines,
        reports={stage: found for stage, found in reports.items() if found},
        epochs_asked=None,
    )
