"""The runner, on commands that only note that they were started (`fake_commands`)."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ssl_tf.errors import SettingsError
from ssl_tf.experiments import runner
from ssl_tf.experiments.outcome import missing
from ssl_tf.experiments.records import (
    Record,
    check_flags,
    read_record,
    remove_record,
    write_record,
)
from ssl_tf.experiments.runner import Runner
from tests.experiments import fake_commands
from tests.experiments.small_file import ARMS, HEAD, trials_of

# Runs the trials of the study in DIRECTORY/small.toml, in a process of its own.
PROGRAM = """
import sys
from pathlib import Path
from ssl_tf.experiments import runner
from tests.experiments import fake_commands, small_file
runner.LAUNCH = (sys.executable, fake_commands.__file__)
directory = Path(sys.argv[1])
text = (directory / "small.toml").read_text()
study, trials = small_file.trials_of(directory, text)
runner.Runner(
    directory / "out", trials, 60.0, is_stopped=lambda trial: False, finished=lambda: None
).run()
"""


@pytest.fixture(autouse=True)
def fakes(tmp_path, monkeypatch):
    monkeypatch.setattr(runner, "LAUNCH", (sys.executable, fake_commands.__file__))
    monkeypatch.setattr(runner, "_WAIT", 0.2)
    monkeypatch.setenv("STARTED", str(tmp_path / "started"))


def started(directory):
    """The commands in the order in which they were started, as RESULT COMMAND."""
    path = directory / "started"
    return path.read_text().splitlines() if path.exists() else []


def work(directory, text, is_stopped=lambda trial: False):
    study, trials = trials_of(directory, text)
    reports = []
    Runner(
        directory / "out", trials, 60.0, is_stopped=is_stopped, finished=lambda: reports.append(1)
    ).run()
    return missing(study, trials, directory / "out"), len(reports)


def test_everything_is_done_once_in_the_order_of_the_file(tmp_path):
    left, reports = work(tmp_path, HEAD + ARMS)
    assert left == {} and reports == 8
    assert started(tmp_path) == [
        "one-0 pretrain", "linear.json linear", "two-0 pretrain", "linear.json linear",
        "one-1 pretrain", "linear.json linear", "two-1 pretrain", "linear.json linear",
    ]  # fmt: skip
    assert work(tmp_path, HEAD + ARMS) == ({}, 0) and len(started(tmp_path)) == 8
    assert list((tmp_path / "out" / "claims").iterdir()) == []
    # A new seed is done, what is there is not done again.
    assert work(tmp_path, HEAD.replace("[0, 1]", "[0, 1, 2]") + ARMS)[1] == 4


ONE = HEAD.replace("[0, 1]", "[0]") + "[arms.one]\n"


def killed_after_linear(directory, report, begun):
    """Leaves what a study leaves that is killed before it can record its second stage.

    Args:
        directory: of the study.
        report: of that stage.
        begun: changes what the record tells of it; None: it tells nothing, as in older versions.
    """
    trial = trials_of(directory, ONE)[1][0]
    linear = trial.steps[1]
    trial.run.mkdir(parents=True)
    (trial.run / "metrics.jsonl").write_text('{"step": 7}\n{"step": 20}\n')
    linear.product.write_text(json.dumps(report))
    told = {} if begun is None else {"stage": "linear", "flags": {**linear.flags, **begun}}
    write_record(directory / "out", trial.name, Record({"pretrain": {}}, begun=told))
    return linear


@pytest.mark.parametrize("report", [{}, {"step": 20}])
def test_what_is_complete_but_not_recorded_is_not_done_again(tmp_path, report):
    linear = killed_after_linear(tmp_path, report, begun={})
    assert work(tmp_path, ONE)[0] == {} and started(tmp_path) == []
    record = read_record(tmp_path / "out", "one-0")
    assert record.done["linear"]["flags"] == linear.flags and record.begun == {}
    assert json.loads(linear.product.read_text()) == report


@pytest.mark.parametrize(
    "report, begun",
    [({"step": 20}, None), ({"step": 20}, {"epochs": "1.0"}), ({"step": 7}, {}), ([], {})],
    ids=["not begun", "other flags", "in the middle of the run", "no report"],
)
def test_a_report_of_somebody_else_is_made_anew(tmp_path, capsys, report, begun):
    linear = killed_after_linear(tmp_path, report, begun)
    assert work(tmp_path, ONE)[0] == {} and started(tmp_path) == ["linear.json linear"]
    assert linear.product.read_text() == "{}"
    assert f"{linear.product} is of no stage that this study has begun" in capsys.readouterr().err


def test_a_report_that_somebody_makes_of_a_stage_that_failed_is_made_anew(tmp_path, monkeypatch):
    monkeypatch.setenv("FAILS", "linear.json")
    assert "linear failed" in work(tmp_path, ONE)[0]["one-0"]
    assert read_record(tmp_path / "out", "one-0").begun == {}
    report = tmp_path / "out" / "runs" / "one-0" / "linear.json"
    report.write_text('{"epochs": 1}')
    (tmp_path / "mended").touch()
    assert work(tmp_path, ONE)[0] == {} and report.read_text() == "{}"


def test_a_report_that_is_replaced_or_gone_is_made_again(tmp_path, capsys):
    assert work(tmp_path, ONE)[0] == {}
    report = tmp_path / "out" / "runs" / "one-0" / "linear.json"
    # Somebody has judged the run by other flags, into the file of the stage.
    report.write_text('{"epochs": 1}')
    study, trials = trials_of(tmp_path, ONE)
    assert missing(study, trials, tmp_path / "out") == {"one-0": "linear is not done"}
    assert work(tmp_path, ONE)[0] == {} and report.read_text() == "{}"
    assert f"{report} is of no stage that this study has begun" in capsys.readouterr().err
    report.unlink()
    assert work(tmp_path, ONE)[0] == {} and report.read_text() == "{}"
    assert started(tmp_path) == ["one-0 pretrain", *["linear.json linear"] * 3]


def test_a_failure_is_told_and_the_others_go_on(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("FAILS", "one-1")
    text = HEAD + ARMS + '[arms.three]\npretrain = "--init_from={one}"\n'
    left, _ = work(tmp_path, text)
    cause = "pretrain failed: --epochs=0: must be greater than 0"
    assert left == {
        "one-1": cause,
        "three-1": "pretrain failed: needs the result of one-1, which failed",
    }
    assert f"one-1: {cause} (log: " in capsys.readouterr().err
    assert [line for line in started(tmp_path) if line.startswith("three")] == ["three-0 pretrain"]
    # The next start tries again, once: first in vain, then with success.
    before = len(started(tmp_path))
    assert "one-1" in work(tmp_path, text)[0] and len(started(tmp_path)) == before + 1
    (tmp_path / "mended").touch()
    assert work(tmp_path, text)[0] == {}
    assert not read_record(tmp_path / "out", "one-1").failed


def test_a_run_that_failed_goes_on_by_its_flags_alone(tmp_path, monkeypatch):
    """One that has no run yet, as after a wrong flag, has no flags."""
    monkeypatch.setenv("FAILS", "one-0")
    text = HEAD.replace("[0, 1]", "[0]") + "[arms.one]\n"
    out = tmp_path / "out"
    for begins in (False, True):
        if begins:
            monkeypatch.setenv("BEGINS", "1")
        assert "one-0" in work(tmp_path, text)[0]
        (other,) = trials_of(tmp_path, text.replace("--epochs=20", "--epochs=30"))[1]
        record = read_record(out, "one-0")
        if begins:
            with pytest.raises(SettingsError, match="--epochs=20.0 there, 30.0 here"):
                check_flags(record, other, out)
        else:
            check_flags(record, other, out)
    # Without its run, or with one that others have begun by other flags, there is nothing to keep.
    shutil.rmtree(out / "runs/one-0")
    check_flags(record, other, out)
    (out / "runs/one-0").mkdir()
    (out / "runs/one-0/flags.txt").touch()
    remove_record(out, "one-0")
    assert "one-0" in work(tmp_path, text)[0] and not read_record(out, "one-0").begun
    (tmp_path / "mended").touch()
    assert work(tmp_path, text)[0] == {} and not read_record(out, "one-0").begun


def test_a_flagfile_that_changes_meanwhile_changes_no_run(tmp_path):
    flagfile = tmp_path / "some.flags"
    flagfile.write_text("--dataset=scenes\n--tau=0.9\n")
    text = f'seeds = [0]\nstages = ["pretrain"]\n[arms.one]\npretrain="--flagfile={flagfile}"\n'
    _, trials = trials_of(tmp_path, text)
    flagfile.write_text("--dataset=scenes\n--tau=0.5\n")
    done = []
    Runner(
        tmp_path / "out",
        trials,
        60.0,
        is_stopped=lambda trial: False,
        finished=lambda: done.append(1),
    ).run()
    assert done and "--tau=0.9 " in (tmp_path / "arguments").read_text()
    assert read_record(tmp_path / "out", "one-0").done["pretrain"]["flags"]["tau"] == "0.9"


def test_a_suite_is_done_once_all_its_data_sets_are(tmp_path, monkeypatch):
    stages = ONE.replace('["pretrain", "linear"]', '["pretrain", "transfer"]')
    text = stages.replace(
        'linear = "--dataset=scenes"', 'transfer = "--only=cifar10,dtd --protocol=linear"'
    )
    monkeypatch.setenv("UNPREPARED", "dtd")
    left, _ = work(tmp_path, text)
    told = "transfer failed: it has left out dtd_linear.json, as its log says"
    assert left == {"one-0": told}
    (tmp_path / "mended").touch()
    assert work(tmp_path, text)[0] == {}
    assert started(tmp_path)[1:] == ["one-0 transfer"] * 2


def test_a_stage_that_somebody_kills_has_failed(tmp_path, monkeypatch):
    text = HEAD.replace("[0, 1]", "[0]") + "[arms.one]\n"
    killer = tmp_path / "killer.py"
    killer.write_text("import os\nprint('step 3', flush=True)\nos.kill(os.getpid(), 9)\n")
    monkeypatch.setattr(runner, "LAUNCH", (sys.executable, str(killer)))
    assert work(tmp_path, text)[0] == {"one-0": "pretrain failed: killed by SIGKILL"}


def test_an_arm_waits_for_the_result_that_it_reads(tmp_path):
    text = (
        HEAD.replace("[0, 1]", "[4]")
        + """
[arms.late]
pretrain = "--init_from={early}"
[arms.early]
"""
    )
    assert work(tmp_path, text)[0] == {}
    assert [line for line in started(tmp_path) if "pretrain" in line] == [
        "early-4 pretrain",
        "late-4 pretrain",
    ]


def test_what_is_not_needed_is_left_out(tmp_path):
    work(tmp_path, HEAD + ARMS, is_stopped=lambda trial: trial.name == "two-1")
    assert [line for line in started(tmp_path) if line.startswith("two")] == ["two-0 pretrain"]


def start(directory):
    environment = {**os.environ, "SECONDS": "0.3"}
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, directory],
        env=environment,
        cwd=Path(__file__).parents[2],
        stderr=subprocess.PIPE,
        text=True,
    )


def test_two_runners_share_the_trials(tmp_path):
    (tmp_path / "small.toml").write_text(HEAD.replace("[0, 1]", "[0, 1, 2]") + ARMS)
    both = [start(tmp_path), start(tmp_path)]
    told = [process.communicate()[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], told
    lines = [line for line in started(tmp_path) if "pretrain" in line]
    assert sorted(lines) == sorted(
        f"{arm}-{n} pretrain" for arm in ("one", "two") for n in range(3)
    )
    assert all(" pretrain, log in" in text.replace(": ", " ") for text in told)


def wait_for(directory, line):
    for _ in range(400):
        if line in started(directory):
            return
        time.sleep(0.05)
    raise AssertionError(f"{line} was not started: {started(directory)}")


@pytest.mark.parametrize("begins", [False, True])
def test_a_signal_is_passed_on_and_the_same_command_goes_on(tmp_path, monkeypatch, begins):
    if begins:
        monkeypatch.setenv("BEGINS", "1")
    (tmp_path / "small.toml").write_text(HEAD + ARMS)
    monkeypatch.setenv("SECONDS", "30")
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, tmp_path], cwd=Path(__file__).parents[2],
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    wait_for(tmp_path, "one-0 pretrain")
    process.send_signal(signal.SIGTERM)
    told = process.communicate()[1]
    assert "Stopped: stopped by SIGTERM, and what ran has saved its state\n" in told
    assert (tmp_path / "out" / "logs" / "one-0.pretrain.log").read_text() == "saved\n"
    # Its run, if it has one, goes on by its flags alone.
    pretrain = trials_of(tmp_path, HEAD + ARMS)[1][0].steps[0]
    begun = {"stage": "pretrain", "flags": pretrain.flags} if begins else {}
    assert read_record(tmp_path / "out", "one-0") == Record(begun=begun)
    monkeypatch.setenv("SECONDS", "0")
    assert work(tmp_path, HEAD + ARMS)[0] == {}


def test_a_killed_runner_leaves_its_child_the_trial(tmp_path, monkeypatch):
    text = HEAD.replace("[0, 1]", "[0]") + "[arms.one]\n"
    (tmp_path / "small.toml").write_text(text)
    monkeypatch.setenv("SECONDS", "2")
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, tmp_path], cwd=Path(__file__).parents[2],
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    wait_for(tmp_path, "one-0 pretrain")
    process.kill()
    process.wait()
    pretrain = trials_of(tmp_path, text)[1][0].steps[0]
    begun = {"stage": "pretrain", "flags": pretrain.flags}
    assert read_record(tmp_path / "out", "one-0").begun == begun
    monkeypatch.setenv("SECONDS", "0")
    assert work(tmp_path, text)[0] == {}
    # Started again only when the first was done, which the directory of its result shows.
    assert started(tmp_path) == ["one-0 pretrain", "one-0 pretrain", "linear.json linear"]


def test_a_record_that_is_damaged(tmp_path):
    from ssl_tf.errors import UserError

    write_record(tmp_path, "one-0", Record({"pretrain": {}}))
    path = tmp_path / "records" / "one-0.json"
    path.write_text("{")
    with pytest.raises(UserError, match="one-0.json is damaged, it is no JSON; remove it"):
        read_record(tmp_path, "one-0")
    for text in ('{"done": []}', '{"done": {"pretrain": 1}}', '{"taken": "no"}', '{"begun": null}'):
        path.write_text(text)
        with pytest.raises(UserError, match="one-0.json is no record of a study; remove it"):
            read_record(tmp_path, "one-0")
