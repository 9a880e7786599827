"""The finished trials of a study in one small file, with which the same study goes on elsewhere."""

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ssl_tf.errors import UserError, warn
from ssl_tf.experiments.claims import CLAIMS, Claims, Taken
from ssl_tf.experiments.records import Record, check_flags, read_record, remove_record, write_record
from ssl_tf.experiments.stage_commands import PRETRAIN, default_flags, stage_of
from ssl_tf.experiments.trials import Step, Trial, trial_name
from ssl_tf.files import read_json, remove, write_json, write_text
from ssl_tf.settings import PretrainSettings, flagfiles
from ssl_tf.training.data_places import DATA
from ssl_tf.training.environment import ENVIRONMENT
from ssl_tf.training.run_directory import (
    COMPUTE,
    FLAGS,
    METRICS,
    MetricsFile,
    is_look,
)

FINISHED = "finished.json"
# Stands for the directory of the study, which is another one elsewhere.
_OUTPUT = "OUTPUT"
_REMEDY = f"give the {FINISHED} of another directory of the study"


def write_finished(output: Path, trials: Sequence[Trial]) -> None:
    """Writes what tables and pictures need of every complete trial: some KB each, no weights.

    Trials that the file has and of which nothing is known here stay in it: it may be the only copy.
    """
    found = _unknown_here(output)
    for trial in trials:
        record = read_record(output, trial.name)
        if record.next_step(trial) is None:
            found[trial.name] = {
                "done": {
                    name: {
                        # Files elsewhere have other bytes, with the paths there.
                        **{key: value for key, value in done.items() if key != "reports"},
                        "flags": _without_defaults(name, done["flags"]),
                    }
                    for name, done in record.done.items()
                },
                "metrics": _shown(MetricsFile.read(trial.run / METRICS)),
                "files": _moved(_read_files(output, trial), output, _OUTPUT),
            }
    lines = [f"{json.dumps(name)}: {json.dumps(entry)}" for name, entry in found.items()]
    write_text(output / FINISHED, "{\n" + ",\n".join(lines) + "\n}\n")


def _unknown_here(output: Path) -> dict[str, Any]:
    """The trials of the file that is there which have no record in this directory."""
    try:
        content = read_json(output / FINISHED, dict, _REMEDY)
    except UserError:  # there is none, or it is damaged
        return {}
    return {name: x for name, x in content.items() if read_record(output, name) == Record()}


def take_finished(path: Path, output: Path, trials: Sequence[Trial]) -> None:
    """Takes over the trials of a file of `write_finished` that are not begun here.

    They count as done, but have no weights.

    Args:
        path: of the file.
        output: of the study.
        trials: all that there are; what else the file has is left.

    Raises:
        UserError: the file is damaged.
        SettingsError: a trial was made with other flags. Nothing is taken then.
    """
    content = read_json(path, dict, _REMEDY)
    records = {}
    for trial in trials:
        begun = trial.run.exists() or read_record(output, trial.name) != Record()
        if trial.name in content and not begun:
            entry = content[trial.name]
            record = _record(path, trial, entry)
            check_flags(record, trial, path)
            lacks = [
                *(step.name for step in trial.steps if step.name not in record.done),
                *(report for report in _reports(output, trial) if report not in entry["files"]),
            ]
            if lacks:
                warn(f"{path}: {trial.name} is not taken over, for it lacks {', '.join(lacks)}")
            else:
                records[trial.name] = record
    for trial in trials:
        if trial.name in records:
            _write_files(output, trial, content[trial.name])
            write_record(output, trial.name, records[trial.name])
    print(f"taken over from {path}: {', '.join(records) or 'nothing'}", file=sys.stderr)


def make_again(
    output: Path, trials: Sequence[Trial], silence: float, is_stopped: Callable[[Trial], bool]
) -> None:
    """Forgets the trials that were taken over but whose weights a stage needs that is to be made.

    Args:
        output: of the study.
        trials: all that there are.
        silence: as in `Claims`.
        is_stopped: whether a trial is not needed any more, by the stop rule.
    """
    (output / CLAIMS).mkdir(parents=True, exist_ok=True)
    claims = Claims(output / CLAIMS, silence)
    while True:
        records = {trial.name: read_record(output, trial.name) for trial in trials}
        if not any(record.taken for record in records.values()):
            return
        to_make = [
            (trial, step)
            for trial in trials
            for step in trial.steps
            if not records[trial.name].has_done(step) and not is_stopped(trial)
        ]
        readers = {name: t.name for t, step in reversed(to_make) for name in _reads(t, step)}
        again = [t for t in trials if records[t.name].taken and t.name in readers]
        if not again:
            return
        print(f"{len(again)} of the trials taken over are made again", file=sys.stderr)
        for trial in again:
            try:
                with claims.take(trial.name):
                    if read_record(output, trial.name).taken:
                        # Of a stage outside of the run the directory has its report alone.
                        reports = _files(output, trial).values()
                        for directory in {trial.run, *(path.parent for path in reports)}:
                            remove(directory)
                        remove_record(output, trial.name)
            except Taken:  # by another process, which has forgotten it, too
                continue
            told = f"{trial.name} is made again, because {readers[trial.name]} needs its weights"
            print(told, file=sys.stderr)


def _reads(trial: Trial, step: Step) -> set[str]:
    """The trials whose results a step reads, its own among them."""
    return {trial.name, *(trial_name(arm, trial.seed) for arm, _ in step.needs)}


def _files(output: Path, trial: Trial) -> dict[str, Path]:
    """The files of JSON of which tables are made: name in the study -> path."""
    paths = (trial.run / name for name in (COMPUTE, DATA, ENVIRONMENT))
    return {
        **{path.relative_to(output).as_posix(): path for path in paths},
        **_reports(output, trial),
    }


def _reports(output: Path, trial: Trial) -> dict[str, Path]:
    paths = (path for step in trial.steps for path in step.reports)
    return {path.relative_to(output).as_posix(): path for path in paths}


def _read_files(output: Path, trial: Trial) -> dict[str, Any]:
    files = _files(output, trial).items()
    return {
        name: read_json(path, (dict, list), "make it anew, or remove it")
        for name, path in files
        if path.exists()
    }


def _shown(lines: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The lines with figures of the monitors, the last that tells the time of a step, the last."""
    kept = {n for n, line in enumerate(lines) if is_look(line)}
    kept.update([n for n, line in enumerate(lines) if line.get("timed_steps")][-1:])
    kept.update(range(len(lines))[-1:])
    return [lines[number] for number in sorted(kept)]


def _without_defaults(stage: str, flags: Mapping[str, str]) -> dict[str, str]:
    defaults = default_flags(stage)
    return {name: value for name, value in flags.items() if defaults.get(name) != value}


def _record(path: Path, trial: Trial, entry: Any) -> Record:
    """The record of a trial that is taken over.

    Raises:
        UserError: the entry is damaged.
    """
    try:
        done = {
            name: {**stage, "flags": {**default_flags(name), **stage["flags"]}}
            for name, stage in entry["done"].items()
            if stage_of(name)
        }
        if not (isinstance(entry["files"], dict) and isinstance(entry["metrics"], list)):
            raise TypeError
    except (KeyError, TypeError, AttributeError):
        raise UserError(f"{path} is damaged at {trial.name}; {_REMEDY}") from None
    return Record(done, taken=True)


def _write_files(output: Path, trial: Trial, entry: Mapping[str, Any]) -> None:
    """Writes the files that the trial would have, whatever names the entry has."""
    files = _moved(entry["files"], _OUTPUT, output)
    for name, path in _files(output, trial).items():
        if name in files:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_json(path, files[name])
    for step in trial.steps:
        if step.name == PRETRAIN:
            trial.run.mkdir(parents=True, exist_ok=True)
            write_text(trial.run / METRICS, "".join(f"{json.dumps(x)}\n" for x in entry["metrics"]))
            settings = flagfiles.parse(step.expanded[1:], PretrainSettings)
            flagfiles.write_flagfile(settings, trial.run / FLAGS, ["figures alone, no weights"])


def _moved(files: Mapping[str, Any], old: Path | str, new: Path | str) -> dict[str, Any]:
    """The contents with the paths in them in another directory."""
    begins = [json.dumps(f"{place}{os.sep}")[:-1] for place in (old, new)]
    return json.loads(json.dumps(files).replace(*begins))
