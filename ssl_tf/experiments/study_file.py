"""The file of a study, in TOML: what is compared, in which order, and when it is enough."""

import dataclasses
import os
import re
import shlex
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ssl_tf.errors import SettingsError
from ssl_tf.evaluation.report_names import RANDOM_ROW
from ssl_tf.experiments.stage_commands import PRETRAIN, STAGES, stage_of
from ssl_tf.settings.flagfile_lines import shipped

_ARM = re.compile(r"\w[\w+-]*")
_STAGE = re.compile(r"\w[\w.+-]*")
_FOLDER = "studies"
# Keys of an arm beside its stages, and of the whole.
_ARM_KEYS = {"stages"}
_KEYS = {"title", "seeds", "reference", "rounds", "stages", "flags", "arms", "stop"}


@dataclasses.dataclass(frozen=True)
class StopRule:
    """When an arm needs no further seed, because its difference to the reference is plain.

    Attributes:
        figure: the column of the table that is looked at, such as linear_top1.
        seeds: paired seeds that there must be.
        errors: standard errors that the mean difference must exceed.
        deviation: least standard deviation of the differences that is assumed, in percent.
    """

    figure: str
    seeds: int
    errors: float
    deviation: float

    def __str__(self) -> str:
        return (
            f"An arm gets no further seed once {self.seeds} are done and its paired difference to "
            f"the reference in {self.figure} is beyond {self.errors:g} standard errors (standard "
            f"deviation of the differences taken as {self.deviation:g} at least)."
        )


@dataclasses.dataclass(frozen=True)
class Arm:
    """What is compared: stages in their order, and flags of its own for each.

    Attributes:
        name: of the arm.
        stages: names of its stages, such as pretrain and linear.
        flags: stage -> its flags: flagfiles first, then those of all arms, then the arm's own.
    """

    name: str
    stages: tuple[str, ...]
    flags: Mapping[str, tuple[str, ...]]


@dataclasses.dataclass(frozen=True)
class Study:
    """A study as its file has it.

    Attributes:
        title: what is asked.
        seeds: of every arm.
        reference: arm to which the others are compared, or RANDOM_ROW, the random encoder that a
            stage judges with --random_baseline; empty: none.
        rounds: the order of work: a round after the other, in a round a seed after the other, of a
            seed the arms as they stand.
        arms: name -> arm, in the order of the table.
        stop: when an arm needs no further seed; None: never before the last.
        text: of the file.
    """

    title: str
    seeds: tuple[int, ...]
    reference: str
    rounds: tuple[tuple[str, ...], ...]
    arms: Mapping[str, Arm]
    stop: StopRule | None
    text: str


def read_study(name: str) -> Study:
    """Reads the file of a study.

    Args:
        name: path of the file; `studies/NAME` is a shipped one where there is no such file.

    Raises:
        SettingsError: the file cannot be read, or is no study; the message names the place.
    """
    path = Path(name).expanduser()
    directory, file = os.path.split(name)
    if directory == _FOLDER and not path.exists():
        path = Path(shipped(file, _FOLDER))
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        cause = getattr(error, "strerror", None) or "it is no text in UTF-8"
        raise SettingsError(f"--study={name} cannot be read: {cause}") from None
    try:
        content = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise SettingsError(f"--study={name}: {_told(str(error))}") from None
    try:
        return _study(content, text)
    except SettingsError as error:
        raise SettingsError(f"--study={name}: {error}") from None


def _told(message: str) -> str:
    """What the reader of TOML says, in the words of a study where it is about a name."""
    twice = re.match(r"Cannot (?:declare|overwrite) \('arms', '([^']*)'\).*(\(at .*\))", message)
    return f"two arms are named {twice[1]} {twice[2]}" if twice else message


def _study(content: dict[str, Any], text: str) -> Study:
    _known(content, _KEYS, "the study")
    seeds = _list(content, "seeds", int, "the study")
    if not seeds or min(seeds) < 0 or len(set(seeds)) < len(seeds):
        raise SettingsError("seeds: give different numbers from 0 on, such as [0, 1, 2]")
    stages = _stages(content, "the study")
    common = _table(content, "flags", "the study")
    flags = {stage: _flags(common, stage, "flags") for stage in common}
    arms = {}
    for name, own in _table(content, "arms", "the study").items():
        arms[name] = _arm(name, own, stages, flags)
    if not arms:
        raise SettingsError("there is no arm; give each as [arms.NAME]")
    used = {*stages, *(stage for arm in arms.values() for stage in arm.stages)}
    _known(common, used, "flags")
    for name in used & arms.keys():
        raise SettingsError(f"arm {name}: has the name of a stage; choose another")
    reference = _text(content, "reference", "the study")
    if reference and reference not in (*arms, RANDOM_ROW):
        raise SettingsError(
            f"reference = {reference!r}: no arm has this name; give that of one, or {RANDOM_ROW!r}"
        )
    return Study(
        title=_text(content, "title", "the study"),
        seeds=tuple(seeds),
        reference=reference,
        rounds=_rounds(content, tuple(arms)),
        arms=arms,
        stop=_stop(content, arms, reference, len(seeds)),
        text=text,
    )


def _arm(
    name: str, own: Any, stages: tuple[str, ...], common: Mapping[str, tuple[str, ...]]
) -> Arm:
    where = f"arm {name}"
    if not _ARM.fullmatch(name):
        raise SettingsError(f"{where}: its name needs letters, digits, _, + and - alone")
    if name in (*STAGES, "seed"):
        raise SettingsError(
            f"{where}: has the name of a stage, or that of the seed; choose another"
        )
    if not isinstance(own, dict):
        raise SettingsError(f"{where}: give it as [arms.{name}], with a line of flags a stage")
    chosen = _stages(own, where) if "stages" in own else stages
    for number, stage in enumerate(chosen):
        if "checkpoint" in stage_of(stage).given and PRETRAIN not in chosen[:number]:
            raise SettingsError(f"{where}: stage {stage!r} judges a run; put {PRETRAIN} before it")
    _known(own, {*_ARM_KEYS, *chosen}, where)
    if not chosen:
        raise SettingsError(f"{where}: has no stages; give stages, such as ['pretrain', 'linear']")
    flags = {}
    for stage in chosen:
        given = (*common.get(stage, ()), *_flags(own, stage, where))
        # What a study says of all arms changes what an arm's flagfile says, not the other way.
        flags[stage] = tuple(sorted(given, key=lambda flag: not flag.startswith("--flagfile")))
    return Arm(name, chosen, flags)


def _stages(table: Mapping[str, Any], where: str) -> tuple[str, ...]:
    names = _list(table, "stages", str, where)
    for name in names:
        if stage_of(name) is None or not _STAGE.fullmatch(name):
            raise SettingsError(
                f"{where}: stage {name!r} is unknown; a stage is named {', '.join(STAGES)}, or so "
                "with a word behind it, such as linear_cifar10"
            )
        if stage_of(name) is STAGES[PRETRAIN] and name != PRETRAIN:
            raise SettingsError(
                f"{where}: stage {name!r}: an arm has one pre-training, named {PRETRAIN}; make "
                "another arm of it"
            )
    if len(set(names)) < len(names):
        raise SettingsError(f"{where}: stages: give each once")
    return tuple(names)


def _rounds(content: Mapping[str, Any], arms: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    rounds = content.get("rounds", [list(arms)])
    if not isinstance(rounds, list) or not all(isinstance(names, list) for names in rounds):
        raise SettingsError("rounds: give lists of arms, such as [['A', 'B'], ['C']]")
    named = [name for names in rounds for name in names]
    for name in named:
        if name not in arms:
            raise SettingsError(f"rounds: no arm is named {name!r}")
        if named.count(name) > 1:
            raise SettingsError(f"rounds: arm {name} stands there twice")
    for name in arms:
        if name not in named:
            raise SettingsError(f"rounds: arm {name} is in none of them")
    return tuple(map(tuple, rounds))


def _stop(
    content: Mapping[str, Any], arms: Mapping[str, Arm], reference: str, seeds: int
) -> StopRule | None:
    if "stop" not in content:
        return None
    table = _table(content, "stop", "the study")
    _known(table, {"figure", "seeds", "errors", "deviation"}, "stop")
    if reference in ("", RANDOM_ROW):
        # The arm whose stages judge the random encoder, too, must go on, and may be any.
        raise SettingsError("stop: looks at differences to an arm; give reference = 'ARM'")
    figure = _text(table, "figure", "stop")
    numbers = [table.get(name) for name in ("seeds", "errors", "deviation")]
    if not figure or not all(isinstance(n, int | float) and n >= 0 for n in numbers):
        raise SettingsError(
            "stop: give figure, such as 'linear_top1', and the numbers seeds, errors and deviation"
        )
    if type(numbers[0]) is not int or not 2 <= numbers[0] <= seeds:
        raise SettingsError(
            f"stop: seeds = {numbers[0]}: give a whole number from 2, for one alone has no "
            f"standard error, to the {seeds} of the study"
        )
    _check_figure(figure, arms[reference])
    return StopRule(figure, numbers[0], float(numbers[1]), float(numbers[2]))


def _check_figure(figure: str, reference: Arm) -> None:
    """Refuses the figure of a stop rule that could never be compared with that of the reference."""
    from ssl_tf.evaluation.run_table import is_figure  # which takes longer than all else here

    columns = {stage_of(name).column for name in reference.stages} - {""}
    if not is_figure(figure) or figure.partition("_")[0] not in columns:
        raise SettingsError(
            f"stop: figure = {figure!r}: no stage of the reference {reference.name!r} has it; give "
            "a column of table.csv, such as 'linear_top1'"
        )


def _known(table: Mapping[str, Any], names: set[str], where: str) -> None:
    for name in table:
        if name not in names:
            raise SettingsError(f"{where}: {name!r} is unknown; it has {', '.join(sorted(names))}")


def _table(content: Mapping[str, Any], name: str, where: str) -> dict[str, Any]:
    table = content.get(name, {})
    if not isinstance(table, dict):
        raise SettingsError(f"{where}: {name} is no table")
    return table


def _list(content: Mapping[str, Any], name: str, kind: type, where: str) -> list[Any]:
    values = content.get(name, [])
    if not isinstance(values, list) or any(type(value) is not kind for value in values):
        what = "whole numbers" if kind is int else "words"
        raise SettingsError(f"{where}: {name} is no list of {what}")
    return values


def _text(content: Mapping[str, Any], name: str, where: str) -> str:
    text = content.get(name, "")
    if not isinstance(text, str):
        raise SettingsError(f"{where}: {name} is no text")
    return " ".join(text.split())


def _flags(table: Mapping[str, Any], stage: str, where: str) -> tuple[str, ...]:
    """The flags of a stage; empty if the table has none."""
    if stage_of(stage) is None:
        raise SettingsError(f"{where}: {stage!r} is no stage")
    text = table.get(stage, "")
    if not isinstance(text, str):
        raise SettingsError(f"{where}: {stage}: give its flags as one text")
    try:
        flags = shlex.split(text)
    except ValueError as error:
        raise SettingsError(f"{where}: {stage}: {error}") from None
    for flag in flags:
        if not flag.startswith("--"):
            raise SettingsError(f"{where}: {stage}: {flag!r} is no --flag=value")
    return tuple(flags)
