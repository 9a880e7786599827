"""Runs the trials of a study, one after the other, as processes of the package's own commands."""

import dataclasses
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ssl_tf.errors import Stopped, UserError, printable
from ssl_tf.experiments.claims import CLAIMS, Claim, Claims, Taken
from ssl_tf.experiments.records import Record, read_record, write_record
from ssl_tf.experiments.stage_commands import PRETRAIN
from ssl_tf.experiments.trials import Step, Trial, trial_name
from ssl_tf.files import read_json, remove, sha256_of
from ssl_tf.training.run_directory import FLAGS, METRICS, MetricsFile
from ssl_tf.training.stop_signals import StopSignals

# What starts a command of the package in a process of its own.
LAUNCH = (sys.executable, "-m")
_LOGS = "logs"
# Seconds between two looks at a child, and at trials that others hold.
_LOOK = 0.2
_WAIT = 5.0
_LOG_END = 4096
# What a signal leaves, for `Stopped`.
_SAVED = ", and what ran has saved its state"


class Runner:
    """Takes trials as long as there are any that this process can do.

    Several runners share the directory: each trial is done by one of them at a time. A trial that
    fails is left, and tried once more by the next start of the command.
    """

    def __init__(
        self,
        output: Path,
        trials: Sequence[Trial],
        silence: float,
        *,
        is_stopped: Callable[[Trial], bool],
        finished: Callable[[], None],
    ):
        """
        Args:
            output: directory of the study.
            trials: in the order of work.
            silence: as in `Claims`.
            is_stopped: whether a trial is not needed any more, by the stop rule.
            finished: called after every stage that is complete.
        """
        self._output = output
        self._trials = trials
        self._is_stopped = is_stopped
        self._finished = finished
        self._by_name = {trial.name: trial for trial in trials}
        (output / CLAIMS).mkdir(parents=True, exist_ok=True)
        (output / _LOGS).mkdir(exist_ok=True)
        self._claims = Claims(output / CLAIMS, silence)
        # Failures of earlier starts are tried again, each once.
        self._earlier = {t.name: read_record(output, t.name).failed for t in trials}
        self._signals = StopSignals()
        self._told: set[str] = set()

    def run(self) -> None:
        """Works until nothing is left but what failed.

        Raises:
            Stopped: by a signal.
        """
        with self._signals:
            while True:
                waiting = self._take_one()
                if waiting is None:
                    continue
                if not waiting:
                    return
                self._tell(f"waiting for {', '.join(waiting)}")
                self._sleep(_WAIT)

    def _take_one(self) -> list[str] | None:
        """Does what can be done of the first trial that is free; None if there was one.

        Returns:
            Otherwise the trials that others hold, or that wait for those.
        """
        waiting = []
        for trial in self._trials:
            record = read_record(self._output, trial.name)
            step = record.next_step(trial)
            if step is None or self._has_failed(trial, record) or self._is_stopped(trial):
                continue
            needed = self._needed(trial, step)
            if needed is not None and not self._will_not_come(needed):
                waiting.append(trial.name)
                continue
            try:
                with self._claims.take(trial.name) as claim:
                    self._work(trial, claim)
            except Taken:
                waiting.append(trial.name)
                continue
            return None
        return waiting

    def _has_failed(self, trial: Trial, record: Record) -> bool:
        return bool(record.failed) and record.failed != self._earlier[trial.name]

    def _needed(self, trial: Trial, step: Step) -> str | None:
        """The first trial whose result a step still waits for; None if it waits for none."""
        for arm, stage in sorted(step.needs):
            name = trial_name(arm, trial.seed)
            if not read_record(self._output, name).has_done(self._by_name[name].step(stage)):
                return name
        return None

    def _will_not_come(self, name: str) -> bool:
        """Whether a trial has failed, or is not needed any more, so that nobody goes on with it."""
        trial, record = self._by_name[name], read_record(self._output, name)
        return self._has_failed(trial, record) or self._is_stopped(trial)

    def _work(self, trial: Trial, claim: Claim) -> None:
        """Does the steps of a trial that are left, until one fails or must wait."""
        while True:
            record = read_record(self._output, trial.name)  # of others, before this claim
            step = record.next_step(trial)
            if step is None:
                return
            needed = self._needed(trial, step)
            if needed is not None:
                if self._will_not_come(needed):
                    self._fail(trial, step, record, f"needs the result of {needed}, which failed")
                return
            began = time.monotonic()
            if not self._is_made(trial, step, record):
                cause = self._make(trial, step, record, claim)
                if cause:
                    self._fail(trial, step, record, cause)
                    return
            done = {
                "flags": dict(step.flags),
                "seconds": round(time.monotonic() - began, 1),
                "reports": {path.name: sha256_of(path) for path in step.reports},
            }
            write_record(self._output, trial.name, Record({**record.done, step.name: done}))
            self._finished()

    def _is_made(self, trial: Trial, step: Step, record: Record) -> bool:
        """Whether a step was completed by a study that was killed before it could record that.

        A report of the same name may be of somebody who looked at the run by other flags, or while
        it trained.
        """
        if step.product is None or not step.product.exists():
            return False
        if record.begun == _begun(step) and _is_of_the_end(step, trial.run):
            return True
        self._tell(f"{step.product} is of no stage that this study has begun; it is made anew")
        return False

    def _make(self, trial: Trial, step: Step, record: Record, claim: Claim) -> str:
        """Runs a step, as `_execute`; the record tells meanwhile that it has begun."""
        if step.product is not None:
            remove(step.product)  # what is there later is of this step
        # Of a run that somebody else has begun the flags are not known.
        is_own = bool(record.begun) or not trial.run.exists()
        write_record(self._output, trial.name, dataclasses.replace(record, begun=_begun(step)))

        def note_end() -> None:
            """Leaves a run that goes on as begun, since it does by its flags alone."""
            is_run = step.name == PRETRAIN and (trial.run / FLAGS).is_file()
            left = _begun(step) if is_own and is_run else {}
            write_record(self._output, trial.name, dataclasses.replace(record, begun=left))

        try:
            cause = self._execute(trial, step, claim)
        except Stopped:
            note_end()
            raise
        # A suite skips data sets that are not prepared.
        lacks = [path.name for path in step.reports if not path.exists()]
        if lacks and not cause:
            cause = f"it has left out {', '.join(lacks)}, as its log says"
        if cause:
            note_end()
        return cause

    def _fail(self, trial: Trial, step: Step, record: Record, cause: str) -> None:
        # The time makes it differ from the failure of an earlier start.
        failed = {
            "stage": step.name,
            "cause": cause,
            "time": time.strftime("%Y-%m-%d %H:%M:%S"),
        }
        if failed == self._earlier[trial.name]:
            failed["time"] += " again"
        begun = read_record(self._output, trial.name).begun
        write_record(self._output, trial.name, Record(record.done, failed, begun))
        told = f"{trial.name}: {step.name} failed: {cause} (log: {self._log_of(trial, step)})"
        print(told, file=sys.stderr, flush=True)

    def _execute(self, trial: Trial, step: Step, claim: Claim) -> str:
        """Runs a step; returns why it failed, empty if it did not.

        Raises:
            Stopped: a signal came; the step has saved its state.
            Taken: another machine took the trial over, so that this one must leave it.
        """
        if self._signals.received:
            raise Stopped(self._signals.received, _SAVED)
        log = self._log_of(trial, step)
        self._tell(f"{trial.name}: {step.name}, log in {log}")
        # Shells and schedulers signal a whole group: a child of its own hears each signal once.
        with log.open("ab") as file:
            child = subprocess.Popen(
                [*LAUNCH, f"ssl_tf.{step.expanded[0]}", *step.expanded[1:]],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=[claim.descriptor],
            )
        passed_on, lost = None, False
        while True:
            try:
                code = child.wait(_LOOK)
                break
            except subprocess.TimeoutExpired:
                pass
            if self._signals.received and passed_on is None:
                passed_on = self._signals.received
                child.send_signal(passed_on)
            if not lost and not claim.beat():
                lost = True
                child.terminate()
        if passed_on is not None and code:
            raise Stopped(passed_on, _SAVED)
        if lost:
            raise Taken(f"{trial.name} was taken over")
        if code == 0:
            return ""
        if code < 0:
            return f"killed by {signal.Signals(-code).name}"
        return _last_line(log).removeprefix("error: ") or f"exit code {code}"

    def _log_of(self, trial: Trial, step: Step) -> Path:
        return self._output / _LOGS / f"{trial.name}.{step.name}.log"

    def _sleep(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if self._signals.received:
                raise Stopped(self._signals.received, _SAVED)
            time.sleep(_LOOK)

    def _tell(self, line: str) -> None:
        """Prints a line, once in a row."""
        if line not in self._told:
            print(line, file=sys.stderr, flush=True)
        self._told = {line}


def _begun(step: Step) -> dict[str, Any]:
    return {"stage": step.name, "flags": dict(step.flags)}


def _is_of_the_end(step: Step, run: Path) -> bool:
    """Whether a report that tells a step of the run tells its last, or the one asked for."""
    if step.product.suffix != ".json":
        return True
    try:
        told = read_json(step.product, dict, "").get("step")
    except UserError:
        return False
    if told is None:
        return True
    lines = MetricsFile.read(run / METRICS)
    last = lines[-1]["step"] if lines else 0
    return told == (int(step.flags.get("step", 0)) or last)


def _last_line(log: Path) -> str:
    """The last line of a log that is not empty, such as that of a UserError."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - _LOG_END))
        lines = file.read().decode("utf-8", "replace").replace("\r", "\n").splitlines()
    return printable(next((line.strip() for line in reversed(lines) if line.strip()), ""))
