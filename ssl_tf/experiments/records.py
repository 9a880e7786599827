"""What is done of each trial, on disk: so that a study goes on where it was killed."""

import dataclasses
import glob
import os
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from ssl_tf.errors import SettingsError, UserError
from ssl_tf.experiments.stage_commands import PRETRAIN, default_flags
from ssl_tf.experiments.study_file import Study
from ssl_tf.experiments.trials import Step, Trial
from ssl_tf.files import read_json, remove, sha256_of, write_json, write_text

_DIRECTORY = "records"
_STUDY = "study.toml"
_LISTED = 3
# What gives a run its first weights.
_OF_START = ("init_from", "init_encoder")

# Name of a trial -> names of its stages that are done.
Done = Mapping[str, Collection[str]]


@dataclasses.dataclass(frozen=True)
class Record:
    """What is done of a trial.

    Attributes:
        done: stage -> "flags" on which its result depends, the "seconds" that it took, and its
            "reports", name of the file -> SHA-256; records of earlier versions lack these.
        failed: "stage", "cause" and "time" of the last failure; empty if the trial has not failed.
        begun: "stage" and "flags" of the stage that runs, or ran when its study was killed, or of a
            pre-training that was stopped or failed and goes on; empty if the last one has ended.
        taken: whether another study has done it, so that its weights are not here.
    """

    done: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)
    failed: dict[str, str] = dataclasses.field(default_factory=dict)
    begun: dict[str, Any] = dataclasses.field(default_factory=dict)
    taken: bool = False

    def has_done(self, step: Step) -> bool:
        """Whether a step is done, and its reports are there as it has written them.

        One of the same name may be of somebody who judged the run by other flags.
        """
        if step.name not in self.done:
            return False
        written = self.done[step.name].get("reports", {})
        return all(
            path.exists() and written.get(path.name) in (None, sha256_of(path))
            for path in step.reports
        )

    def next_step(self, trial: Trial) -> Step | None:
        """The first step that is not done; None if all are."""
        return next((step for step in trial.steps if not self.has_done(step)), None)


def check_inputs(trials: Sequence[Trial], output: Path) -> None:
    """Checks that what all stages that are left read is where their flags say.

    A later stage would find that out after the pre-training, of each arm.

    Raises:
        SettingsError: they are not; the message names the arm and the stage.
    """
    for trial in trials:
        record = read_record(output, trial.name)
        for step in (step for step in trial.steps if not record.has_done(step)):
            # A run that goes on reads its own weights.
            goes_on = step.name == PRETRAIN and trial.run.exists()
            for name, value in step.inputs.items():
                if not (_exists(value) or (goes_on and name in _OF_START)):
                    raise SettingsError(
                        f"arm {trial.arm}, {step.name}: --{name}={value} does not exist; correct it"
                    )


def _exists(place: str) -> bool:
    """Whether there is a file or folder, files of a glob, or each of a list of directories."""
    # A name may hold a comma, too, and another machine's file system is asked by its stage.
    place = os.path.expanduser(place)
    listed = all(os.path.exists(path) for path in place.split(","))
    return listed or "://" in place or bool(glob.glob(place))


def read_record(output: Path, trial: str) -> Record:
    """The record of a trial; an empty one where there is none.

    Raises:
        UserError: it is damaged.
    """
    path = _path(output, trial)
    if not path.exists():
        return Record()
    remedy = "remove it; evaluations are then made again, and trainings found complete"
    values = read_json(path, dict, remedy)
    empty = dataclasses.asdict(Record())
    known = {name: values[name] for name in empty if name in values}
    wrong = [name for name, value in known.items() if type(value) is not type(empty[name])]
    if wrong or not all(isinstance(done, dict) for done in known.get("done", {}).values()):
        raise UserError(f"{path} is no record of a study; {remedy}")
    return Record(**known)


def write_record(output: Path, trial: str, record: Record) -> None:
    """Writes the record of a trial, which this process holds."""
    path = _path(output, trial)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, dataclasses.asdict(record))


def remove_record(output: Path, trial: str) -> None:
    """Forgets a trial, which this process holds."""
    remove(_path(output, trial))


def check_flags(record: Record, trial: Trial, place: Path) -> None:
    """Refuses a record of a trial of which a stage was done with other flags, or is trained with.

    An evaluation that was killed is made anew, with the flags of now.

    Args:
        record: of the trial.
        trial: as it would be done now.
        place: of the record: a directory of the study, or a file.

    Raises:
        SettingsError: names the arm, the stage and the flags.
    """
    for step in trial.steps:
        flags = record.done.get(step.name, {}).get("flags", step.flags)
        if step.name == PRETRAIN and record.begun.get("stage") == PRETRAIN and trial.run.exists():
            # Its data may have moved, which the run itself judges.
            flags = {
                **record.begun["flags"],
                **{n: step.flags[n] for n in step.inputs if n in step.flags},
            }
        # A flag that came later was at its default; one that is gone is at its own.
        flags = {**default_flags(step.name), **flags}
        differing = [n for n in step.flags if flags[n] != step.flags[n]]
        if differing:
            told = ", ".join(
                f"--{n}={flags[n]} there, {step.flags[n]} here" for n in differing[:_LISTED]
            )
            raise SettingsError(
                f"arm {trial.arm}, {step.name}: seed {trial.seed} in {place} was made with other "
                f"flags ({told}); give another --output, or another name to the arm"
            )


def keep_study(output: Path, study: Study) -> None:
    """Keeps the file of the study as it was at the first start, and tells if it is another now."""
    path = output / _STUDY
    if not path.exists():
        write_text(path, study.text)
    elif path.read_text(encoding="utf-8") != study.text:
        print(
            f"note: the file of the study is not that of the first start, which is {path}",
            file=sys.stderr,
        )


def _path(output: Path, trial: str) -> Path:
    return output / _DIRECTORY / f"{trial}.json"
