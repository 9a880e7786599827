"""Runs that differ in their seed alone as one row of a table, and one series of a panel."""

import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence

from ssl_tf.evaluation.curves import Panel
from ssl_tf.evaluation.equal_budget import SLACK
from ssl_tf.evaluation.paired import difference_of, mean_of
from ssl_tf.evaluation.report_names import RANDOM_ROW
from ssl_tf.evaluation.report_protocol import differing, told_differences, unlike_stages
from ssl_tf.evaluation.report_stages import HEADINGS
from ssl_tf.evaluation.run_reports import Run
from ssl_tf.evaluation.run_table import (
    BOX_FIGURES,
    COMPUTE_UNITS,
    LEARNED,
    MONITOR,
    PROTOCOLS,
    RANDOM,
    REACHED,
    TRAINING,
    UNFINISHED,
    Row,
    Table,
    is_figure,
)
from ssl_tf.settings import fields

# Flags with the path of something that another run made, perhaps with the same seed.
_PATHS = ("proposals", "init_from", "init_encoder")
# Columns of what a run has cost so far.
_COSTS = (*COMPUTE_UNITS, "epochs")
# Columns that are averaged without a standard error.
_AVERAGED = (*_COSTS, "images_per_second")
# Of these there is no mean over machines of several kinds.
_OF_MACHINES = ("device_seconds", "images_per_second")
_NO_COLUMNS = ("run", "seed", PROTOCOLS, REACHED, RANDOM, LEARNED, UNFINISHED)


@dataclasses.dataclass(frozen=True)
class Group:
    """Runs that are one row.

    Attributes:
        name: of the row.
        runs: name of a run -> its seed.
    """

    name: str
    runs: Mapping[str, int]


def groups_of(runs: Sequence[Run]) -> list[Group]:
    """The runs by all flags but the seed, in the order of the first of each.

    Paths of boxes and weights may hold the seed as a number of its own, as in boxes-0 and boxes-1.
    A seed that comes twice opens another group. No two groups have one name.
    """
    found: list[list[Run]] = []
    for run in runs:
        for members in found:
            if run.seed not in {member.seed for member in members} and _is_seed_of(run, members[0]):
                members.append(run)
                break
        else:
            found.append([run])
    return _named([{run.name: run.seed for run in members} for members in found])


def _named(found: Sequence[Mapping[str, int]]) -> list[Group]:
    """Groups with the name of their runs without its seed, or else with that of the first run.

    A name without its seed may be that of another group, of a run in another group, or of the row
    of random encoders: then it stands for neither.
    """
    common = [_common_name(members) for members in found]
    runs = {name for members in found for name in members}
    groups = []
    for name, members in zip(common, found):
        others = {"", RANDOM_ROW, *(runs - members.keys())}
        own = common.count(name) == 1 and name not in others
        groups.append(Group(name if own else next(iter(members)), members))
    return groups


def _common_name(members: Mapping[str, int]) -> str:
    """The name of all runs without its seed; empty if that differs, or there is one run."""
    names = {_without(seed, name) for name, seed in members.items()}
    return names.pop() if len(members) > 1 and len(names) == 1 else ""


def _without(seed: int, name: str) -> str:
    """A name without the seed in it, the last number that is it: that of B2-2 is B2."""
    between = r"[-_.=/ ]*"
    places = [*re.finditer(rf"{between}(seed)?{between}{seed}(?![A-Za-z0-9])", name)]
    return name[: places[-1].start()] + name[places[-1].end() :] if places else name


def _is_seed_of(run: Run, other: Run) -> bool:
    """Whether two runs differ in their seed alone."""
    if run.settings is None or other.settings is None:
        return False
    flags, others = fields.result_flags(run.settings), fields.result_flags(other.settings)
    if any(flags[name] != others[name] for name in flags.keys() - {"seed", *_PATHS}):
        return False
    seeds = (flags["seed"], others["seed"])
    return all(_same_but_for_seed(flags[name], others[name], seeds) for name in _PATHS)


def _same_but_for_seed(path: str, other: str, seeds: tuple[str, str]) -> bool:
    """Whether two paths are alike, but for numbers of their own that are the two seeds."""
    # A word of letters and digits, or a mark between two: `boxes2-0` is boxes2, -, 0.
    parts, others = (re.findall(r"[A-Za-z0-9]+|.", text) for text in (path, other))
    return len(parts) == len(others) and all(
        pair in (seeds, pair[:1] * 2) for pair in zip(parts, others)
    )


def joined(table: Table, groups: Sequence[Group], reference: str = "") -> Table:
    """The table with a row for each group, and one for the random encoders of each network.

    Figures are means over seeds with standard errors (`NAME_error`), and `NAME_seeds` counts the
    seeds where not all of the row have the figure. A random encoder that several runs have judged
    counts once, by the mean of its figures. With a reference each has its mean paired
    difference to that row (`NAME_difference`, with `_error`, `_seeds` and `_p`). What differs
    between the runs of a row is left out; so are figures of protocols that differ, or of unlike
    lengths of pre-training, and a remark tells it. Rows of which one has a run before its end have
    no difference of its figures.

    Args:
        table: of all runs, those of random encoders last.
        groups: of all runs.
        reference: name of a group, or RANDOM_ROW: the random encoder that a run's own report has,
            or else those of the same network, seed and protocol; empty: none.
    """
    count = sum(len(group.runs) for group in groups)
    by_name: dict[str, Row] = {row["run"]: row for row in table.rows[:count]}
    random: dict[str | int, list[Row]] = {}
    for number, row in enumerate(table.rows[count:]):
        # Nothing says that a network that is not told is that of another row.
        random.setdefault(row["encoder"] or number, []).append(row)
    members = [(group.name, [by_name[name] for name in group.runs]) for group in groups]
    referred = next((own for name, own in members if name == reference), [])
    figures = [name for name in table.columns if is_figure(name)]
    columns: dict[str, str | None] = {}
    for name, heading in table.columns.items():
        if name == "seed":
            name = heading = "seeds"
        columns[name] = heading
        if name in figures:
            columns |= {f"{name}_error": None, f"{name}_seeds": None}
            if reference:
                columns[f"{name}_difference"] = heading and f"{heading} less {reference}"
                columns |= {f"{name}_difference_{what}": None for what in ("error", "seeds", "p")}
    rows = []
    for name, own in members:
        row = _joined_row(name, own, figures)
        if reference and name != reference:
            # A seed that is not trained yet has no network.
            network = next((row["encoder"] for row in own if "encoder" in row), None)
            of_network = random.get(network, [])
            for figure in figures:
                others = referred
                if reference == RANDOM_ROW:  # which has no end to come to
                    others = _random_beside(figure, own, of_network)
                elif _is_unfinished(figure, own) != _is_unfinished(figure, referred):
                    continue
                row |= _difference(figure, own, others)
        rows.append(row)
    rows += [_joined_row(RANDOM_ROW, own, figures) for own in random.values()]
    of_rows = [*members, *((RANDOM_ROW, own) for own in random.values())]
    remarks = [
        f"{name}: no mean of its {stage} figures, because its seeds differ in {', '.join(keys)}"
        for name, own in of_rows
        for stage, keys in _unlike_protocols(own).items()
    ]
    for name, own in members:
        by_steps: dict[tuple[tuple[str, int], ...], list[str]] = {}
        for stage, steps in _unlike_lengths(own).items():
            by_steps.setdefault(tuple(steps.items()), []).append(stage)
        for steps, stages in by_steps.items():
            told = {run: {"step": str(step)} for run, step in steps}
            remarks.append(f"{name}: no mean, its {told_differences(', '.join(stages), told)}")
    return Table(columns, rows, (*table.remarks, *remarks))


def _unlike_protocols(rows: Sequence[Row]) -> dict[str, list[str]]:
    return unlike_stages(
        [
            {
                stage: {**protocol, **row.get(LEARNED, {})}
                for stage, protocol in row.get(PROTOCOLS, {}).items()
            }
            for row in rows
        ]
    )


def _unlike_lengths(rows: Sequence[Row]) -> dict[str, dict[str, int]]:
    """Stages whose figures are of pre-trainings of unlike length -> run -> its step.

    A step or two make no other length: `at_equal` cuts runs at the last line within the budget.
    """
    reached = [(row["run"], row.get(REACHED, {})) for row in rows]
    found = {}
    for stage in dict.fromkeys(stage for _, stages in reached for stage in stages):
        steps = {run: stages[stage][0] for run, stages in reached if stage in stages}
        epochs = [stages[stage][1] for _, stages in reached if stage in stages]
        alike = 0 < max(epochs) <= SLACK * min(epochs)
        if len(set(steps.values())) > 1 and not alike:
            found[stage] = steps
    return found


def _unlike(rows: Sequence[Row]) -> set[str]:
    """The stages whose figures make no mean over these rows."""
    return {*_unlike_protocols(rows), *_unlike_lengths(rows)}


def _is_of(column: str, stages: Iterable[str]) -> bool:
    """Whether a column has figures of one of these stages."""
    if column in _COSTS:
        return TRAINING in stages
    figures = HEADINGS | BOX_FIGURES
    return any(column.removeprefix(f"{stage}_") in figures for stage in stages)


def _joined_row(name: str, rows: Sequence[Row], figures: Sequence[str]) -> Row:
    seeds, unlike = dict.fromkeys(row.get("seed") for row in rows), _unlike(rows)
    told = " ".join("" if seed is None else str(seed) for seed in seeds)
    joined_row: Row = {"run": name, "seeds": told}
    for column in dict.fromkeys(column for row in rows for column in row):
        values = [row[column] for row in rows if row.get(column) is not None]
        if column in _NO_COLUMNS:
            continue
        if not values or _is_of(column, unlike):
            joined_row[column] = None
        elif column in figures:
            by_seed = _by_seed(column, rows)
            mean = mean_of([*by_seed.values()])
            joined_row[column] = mean.mean
            joined_row[f"{column}_error"] = mean.error
            if by_seed.keys() != seeds.keys():
                joined_row[f"{column}_seeds"] = mean.count
        elif column in _OF_MACHINES and not _of_one_machine(column, rows):
            joined_row[column] = None
        elif column in _AVERAGED:
            joined_row[column] = mean_of(values).mean
        elif all(value == values[0] for value in values):
            joined_row[column] = values[0]
    return joined_row


def _of_one_machine(column: str, rows: Sequence[Row]) -> bool:
    """Whether all rows have a value, and were trained on the same devices."""
    devices = {row.get("machine") for row in rows}
    return len(devices) == 1 and all(row.get(column) is not None for row in rows)


def _by_seed(figure: str, rows: Sequence[Row]) -> dict[int | None, float]:
    """Seed -> figure, the mean of all rows of the seed that have it."""
    found: dict[int | None, list[float]] = {}
    for row in rows:
        if row.get(figure) is not None:
            found.setdefault(row.get("seed"), []).append(row[figure])
    return {seed: mean_of(values).mean for seed, values in found.items()}


def _random_beside(figure: str, rows: Sequence[Row], of_network: Sequence[Row]) -> list[Row]:
    """The random encoders to which a figure of the rows has its differences.

    At a seed whose row has none in its own report they are those of the network that are of no
    other protocol than the rows.
    """
    own = [row | row[RANDOM] for row in rows if row.get(RANDOM, {}).get(figure) is not None]
    seeds = {row.get("seed") for row in own}
    others = [row for row in of_network if row["seed"] not in seeds]
    return [*own, *(row for row in others if not _is_of(figure, _unlike([*rows, row])))]


def _is_unfinished(figure: str, rows: Sequence[Row]) -> bool:
    """Whether a figure is of a run before its end in any of the rows; boxes are of no run."""
    return any(
        row.get(UNFINISHED) and row.get(figure) is not None and _is_of(figure, row[REACHED])
        for row in rows
    )


def _difference(figure: str, rows: Sequence[Row], reference: Sequence[Row]) -> Row:
    """The paired difference; none where the figures of a row make no mean, or are of other images.

    Those of reports are in columns of their own where their images differ.
    """
    if _is_of(figure, [MONITOR]) and len({row.get("data") for row in [*rows, *reference]}) > 1:
        return {}
    if _is_of(figure, _unlike(rows)) or _is_of(figure, _unlike(reference)):
        return {}
    difference = difference_of(_by_seed(figure, rows), _by_seed(figure, reference))
    if difference is None:
        return {}
    return {
        f"{figure}_difference": difference.mean,
        f"{figure}_difference_error": difference.error,
        f"{figure}_difference_seeds": difference.count,
        f"{figure}_difference_p": difference.p,
    }


def joined_panels(panels: Sequence[Panel], groups: Sequence[Group]) -> list[Panel]:
    """The panels with a series for each group: means over its runs, with standard errors.

    A curve has the points that all runs of the group have that are in the panel: where one ends, a
    mean would go on as that of other seeds. A point whose protocol differs between them is left
    out, and a panel without any.
    """
    found = []
    for panel in panels:
        series, errors = {}, {}
        for group in groups:
            points = {
                name: dict(panel.series[name]) for name in group.runs if panel.series.get(name)
            }
            shared = set.intersection(*map(set, points.values())) if points else set()
            means = {
                x: mean_of([own[x] for own in points.values()])
                for x in sorted(shared)
                if not differing(panel.protocols.get(name, {}).get(x, {}) for name in points)
            }
            series[group.name] = [(x, mean.mean) for x, mean in means.items()]
            errors[group.name] = [mean.error or 0.0 for mean in means.values()]
        if any(series.values()):
            found.append(dataclasses.replace(panel, series=series, errors=errors))
    return found
