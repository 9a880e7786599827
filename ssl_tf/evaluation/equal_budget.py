"""Runs of different length at the budget of the shortest: as many epochs, or as much compute."""

import dataclasses
import math
from collections.abc import Callable, Sequence

from ssl_tf.errors import UserError
from ssl_tf.evaluation.run_reports import Run

# What a run may have beyond the budget: steps are rounded, so equal runs differ by a step or two.
SLACK = 1.01

Amount = Callable[[Run, int], float]
AMOUNTS: dict[str, Amount] = {"epochs": Run.epoch, "compute": Run.flops}


def at_equal(runs: Sequence[Run], measure: str) -> list[Run]:
    """The runs with what they had when they had spent what the shortest of them spent in all.

    Lines of metrics and reports of later steps are left out, so that the last ones left are the
    figures at that budget, or just before it.

    Args:
        runs: to compare.
        measure: a name in `AMOUNTS`.

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
    budget = SLACK * min(spent.values())
    return [_until(run, lambda step, run=run: amount(run, step) <= budget) for run in runs]


def _until(run: Run, within: Callable[[int], bool]) -> Run:
    reports = {
        stage: [report for report in found if within(report["step"])]
        for stage, found in run.reports.items()
    }
    return dataclasses.replace(
        run,
        lines=[line for line in run.lines if within(line["step"])],
        reports={stage: found for stage, found in reports.items() if found},
    )
