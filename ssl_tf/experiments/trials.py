"""The trials of a study: every arm with every seed, as command lines that are checked."""

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ssl_tf.errors import SettingsError, warn
from ssl_tf.evaluation.report_names import RANDOM_ROW
from ssl_tf.experiments.stage_commands import PRETRAIN, Stage, stage_of
from ssl_tf.experiments.stage_flags import checked_flags
from ssl_tf.experiments.study_file import Arm, Study
from ssl_tf.settings import (
    DiscoverSettings,
    StudySettings,
    TransferSettings,
    fields,
)
from ssl_tf.settings.data import GROUND_TRUTH
from ssl_tf.settings.discovery import KERAS_ENCODERS
from ssl_tf.settings.flagfile_lines import expand

_REFERENCE = re.compile(r"\{([^{}]*)\}")
# What stands for a path in some flags.
_NO_PATHS = (GROUND_TRUTH, *KERAS_ENCODERS)


@dataclasses.dataclass(frozen=True)
class Step:
    """One command of a trial.

    Attributes:
        name: of the stage.
        command: what stands behind `python -m ssl_tf.`, with all flags.
        expanded: the same with the lines of its flagfiles, which may change while others train.
        product: is there once it is complete; None: the command itself is quick to see.
        reports: with its figures, where it measures any.
        flags: on which the result depends, by name, as text; paths in the study's output are
            relative to it.
        inputs: flag -> the file or directory that it reads, outside of the study's output.
        needs: (arm, stage) of other arms whose results it reads, at the same seed.
    """

    name: str
    command: tuple[str, ...]
    expanded: tuple[str, ...]
    product: Path | None
    reports: tuple[Path, ...]
    flags: Mapping[str, str]
    inputs: Mapping[str, str]
    needs: frozenset[tuple[str, str]]


@dataclasses.dataclass(frozen=True)
class Trial:
    """An arm with a seed.

    Attributes:
        arm: its name.
        seed: of all its stages.
        steps: its commands, in their order.
        run: directory of its pre-training.
    """

    arm: str
    seed: int
    steps: tuple[Step, ...]
    run: Path

    @property
    def name(self) -> str:
        return trial_name(self.arm, self.seed)

    def step(self, stage: str) -> Step:
        """The step of a stage of the arm."""
        return next(step for step in self.steps if step.name == stage)


def trial_name(arm: str, seed: int) -> str:
    """The name of an arm with a seed, such as byol-0."""
    return f"{arm}-{seed}"


def make_trials(study: Study, settings: StudySettings) -> list[Trial]:
    """All trials in the order of work, their flags checked without TensorFlow.

    Raises:
        SettingsError: a flag of an arm is wrong, names an arm or a stage that there is not, or arms
            wait for each other; the message names the arm and the stage. Or no stage reads a flag
            of --extra.
    """
    for flag in settings.extra.split():
        if not flag.startswith("--"):
            raise SettingsError(f"--extra: {flag!r} is no --flag=value")
    trials = [
        _trial(study, study.arms[arm], seed, settings)
        for names in study.rounds
        for seed in study.seeds
        for arm in names
    ]
    _check_order(trials)
    _check_extra(trials, settings)
    if study.reference == RANDOM_ROW and not any(_judges_random(trial) for trial in trials):
        raise SettingsError(
            f"reference = {RANDOM_ROW!r}: no stage judges it; give --random_baseline to one"
        )
    _tell_of_equal_arms(trials)
    return trials


def _judges_random(trial: Trial) -> bool:
    return any(step.flags.get("random_baseline") == "true" for step in trial.steps)


def _tell_of_equal_arms(trials: Sequence[Trial]) -> None:
    """Warns of arms that do the same, whose difference would read as a result."""
    first: dict[tuple[Any, ...], str] = {}
    for trial in trials:
        if trial.seed == trials[0].seed:
            does = tuple((step.name, *step.command[:1], *_own(step, trial)) for step in trial.steps)
            same = first.setdefault(does, trial.arm)
            if same != trial.arm:
                warn(f"arms {same} and {trial.arm} differ in no flag on which a result depends")


def _own(step: Step, trial: Trial) -> Iterator[tuple[str, str]]:
    """The flags of a step, without the name of its arm in paths of its own results."""
    for name, value in sorted(step.flags.items()):
        yield name, value.replace(f"/{trial.name}", "/TRIAL")


def _trial(study: Study, arm: Arm, seed: int, settings: StudySettings) -> Trial:
    output = settings.directory
    places = _Places(study, arm, seed, output)
    steps = []
    made: dict[Path, str] = {}
    for number, name in enumerate(arm.stages):
        stage, needs = stage_of(name), set()
        where = f"arm {arm.name}, {name}"
        before = arm.stages[:number]
        flags = [places.filled(flag, where, before, needs) for flag in arm.flags[name]]
        result = places.of(arm.name, name)
        named = {"run": places.of(arm.name, PRETRAIN), "place": result}
        given = {flag: text.format_map(named) for flag, text in stage.given.items()}
        if "seed" in fields.names(stage.settings):
            given["seed"] = str(seed)
        arguments, bound = checked_flags(stage, flags, given, settings, where)
        # What nothing reads is no difference: earlier versions gave such flags to more stages.
        left_out = fields.unused(bound).keys() | given.keys()
        flags_of_result = {
            flag: _within(output, value)
            for flag, value in fields.result_flags(bound).items()
            if flag not in left_out
        }
        reports = _reports(stage, result, bound)
        for path in reports or (result,):
            if path in made:
                raise SettingsError(
                    f"arm {arm.name}: {made[path]} and {name} would both be written to {path}; "
                    "leave one out, or make another arm of it"
                )
            made[path] = name
        steps.append(
            Step(
                name=name,
                command=(*stage.command, *arguments),
                expanded=(*stage.command, *expand(arguments)),
                product=Path(stage.product.format_map(named)) if stage.product else None,
                reports=reports,
                flags=flags_of_result,
                inputs=_inputs(output, bound),
                needs=frozenset(needs),
            )
        )
    return Trial(arm.name, seed, tuple(steps), places.of(arm.name, PRETRAIN))


def _reports(stage: Stage, place: Path, settings: Any) -> tuple[Path, ...]:
    """The reports of a stage, of a suite one for each of its data sets."""
    measures = not isinstance(settings, DiscoverSettings) or settings.boxes
    if not stage.report or not measures:
        return ()
    named = [{"place": place}]
    if isinstance(settings, TransferSettings):
        told = {"place": place, "protocol": settings.protocol}
        named = [{**told, "dataset": dataset} for dataset in settings.datasets]
    return tuple(Path(stage.report.format_map(names)) for names in named)


@dataclasses.dataclass(frozen=True)
class _Places:
    """Where the results of a seed lie, and what stands for them in the flags of an arm."""

    study: Study
    arm: Arm
    seed: int
    output: Path

    def of(self, arm: str, stage: str) -> Path:
        """The result of a stage of an arm."""
        named = {"stage": stage, "trial": trial_name(arm, self.seed)}
        return self.output / stage_of(stage).place.format_map(named)

    def filled(
        self, flag: str, where: str, before: Sequence[str], needs: set[tuple[str, str]]
    ) -> str:
        """A flag with paths in the place of its {references}; adds what they need of other arms.

        Raises:
            SettingsError: a reference is unknown.
        """

        def found(match: re.Match) -> str:
            name = match[1]
            if name == "seed":
                return str(self.seed)
            if name in before:
                return str(self.of(self.arm.name, name))
            arm, _, stage = name.partition(".")
            stage = stage or PRETRAIN
            other = self.study.arms.get(arm)
            if other is None or arm == self.arm.name or stage not in other.stages:
                raise SettingsError(
                    f"{where}: {{{name}}} is unknown; give {{seed}}, an earlier stage of the arm, "
                    "{ARM} for the run of another arm, or {ARM.STAGE}"
                )
            needs.add((arm, stage))
            return str(self.of(arm, stage))

        return _REFERENCE.sub(found, flag)


def _inputs(output: Path, settings: Any) -> dict[str, str]:
    """What a stage reads that no stage of the study makes."""
    return {
        name: value
        for name, value in fields.inputs(settings).items()
        if value not in _NO_PATHS and value == _within(output, value)
    }


def _within(output: Path, value: str) -> str:
    """The value of a flag; a path in the output is told without it, so that it may move."""
    head = f"{output}/"
    return f"OUTPUT/{value.removeprefix(head)}" if value.startswith(head) else value


def _check_extra(trials: Sequence[Trial], settings: StudySettings) -> None:
    given = {argument for trial in trials for step in trial.steps for argument in step.command}
    for flag in settings.extra.split():
        if flag not in given:
            raise SettingsError(f"--extra: {flag!r} is a --flag=value that no stage reads")


def _check_order(trials: Sequence[Trial]) -> None:
    """Refuses arms that wait for each other."""
    steps = {(trial.arm, step.name): step for trial in trials for step in trial.steps}
    before = {}
    for trial in trials:
        for earlier, step in zip((None, *trial.steps), trial.steps):
            before[trial.arm, step.name] = earlier.name if earlier else None

    def walk(key: tuple[str, str], way: tuple[tuple[str, str], ...]) -> None:
        if key in way:
            arms = dict.fromkeys(arm for arm, _ in way[way.index(key) :])
            raise SettingsError(f"arms {', '.join(arms)} wait for each other's results")
        if key not in sound:
            for needed in _waits(key):
                walk(needed, (*way, key))
            sound.add(key)

    def _waits(key: tuple[str, str]) -> Iterator[tuple[str, str]]:
        yield from sorted(steps[key].needs)
        if before[key]:
            yield key[0], before[key]

    sound: set[tuple[str, str]] = set()
    for key in steps:
        walk(key, ())
