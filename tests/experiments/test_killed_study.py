"""A study that is killed twice gives the table of one that nobody touched."""

import json
import os
import signal
import subprocess
import sys
import time

from ssl_tf import command, pretrain, study
from ssl_tf.experiments.runner import Runner
from ssl_tf.networks import resnet
from ssl_tf.settings import PretrainSettings, StudySettings
from tests.experiments import small_study
from tests.two_blocks import TWO_BLOCKS

# Columns of the machine, and of where the study lies.
OF_THE_MACHINE = ("images_per_second", "device_seconds")


def start(path, output):
    return subprocess.Popen(
        [sys.executable, small_study.__file__, f"--study={path}", f"--output={output}"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_until(process, reached):
    while not reached():
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.01)


def has_checkpoint(output, trial):
    return lambda: any(
        path.suffix == "" for path in (output / "runs" / trial).glob("checkpoints/step_*")
    )


def results(output):
    found = json.loads((output / "results.json").read_text())
    for row in found["rows"] + found["runs"]:
        for name in OF_THE_MACHINE:
            row.pop(name, None)
    return found


def test_kills_leave_no_trace(tmp_path, monkeypatch):
    path = tmp_path / "study.toml"
    path.write_text(small_study.STUDY)
    killed, untouched = tmp_path / "killed", tmp_path / "untouched"

    # The runner is killed, its child goes on, and the next runner waits for that.
    first = start(path, killed)
    wait_until(first, has_checkpoint(killed, "plain-0"))
    first.kill()
    first.communicate()
    second = start(path, killed)
    wait_until(second, has_checkpoint(killed, "coloured-0"))
    second.send_signal(signal.SIGTERM)
    told = second.communicate()[1]
    assert second.returncode == 128 + signal.SIGTERM, told
    assert "what ran has saved its state; the same command continues from there" in told
    last = start(path, killed)

    # Meanwhile the same without processes, in one go.
    monkeypatch.setitem(resnet.DEPTHS, 18, TWO_BLOCKS)

    def execute(runner, trial, step, claim):
        assert step.command[0] == "pretrain"
        command.run(pretrain.main, PretrainSettings, list(step.command[1:]))
        return ""

    monkeypatch.setattr(Runner, "_execute", execute)
    arguments = [f"--study={path}", f"--output={untouched}"]
    command.run(study.main, StudySettings, arguments)
    told = last.communicate()[1]
    assert last.returncode == 0, told
    assert results(killed) == results(untouched)
    rows = {row["run"]: row for row in results(killed)["rows"]}
    assert rows["coloured"]["seeds"] == "0 1" and "monitor_knn_top1_difference" in rows["coloured"]
    files = {"study.toml", "table.md", "table.csv", "results.json", "figures.png"}
    assert files <= {name for name in os.listdir(killed)}
