"""Claims on trials: between processes, and between machines that share no locks."""

import json
import subprocess
import sys
import time

import pytest

from ssl_tf.experiments.claims import Claims, Taken


def held_elsewhere(directory, **more):
    holder = {"host": "elsewhere", "process": 7, "since": "2026-01-01 00:00:00", **more}
    (directory / "a-0.lock").write_text(json.dumps(holder) + "\n")


def test_a_trial_is_held_by_one(tmp_path):
    one, two = Claims(tmp_path, 60), Claims(tmp_path, 60)
    with one.take("a-0"):
        with pytest.raises(Taken, match="in use by process"), two.take("a-0"):
            pass
        with two.take("b-0"):
            pass
    with two.take("a-0"):
        pass


def test_a_machine_that_says_nothing_is_dead(tmp_path, monkeypatch):
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    claims = Claims(tmp_path, 60)

    def is_free():
        try:
            with claims.take("a-0"):
                return True
        except Taken as taken:
            assert str(taken) == "a-0 is held by elsewhere"
            return False

    held_elsewhere(tmp_path)
    assert not is_free()
    now += 50
    held_elsewhere(tmp_path, beats=1)
    assert not is_free()
    now += 50
    assert not is_free()
    now += 11
    assert is_free() and not (tmp_path / "a-0.lock").exists()


def test_a_holder_says_that_it_is_alive_and_sees_that_it_was_replaced(tmp_path, monkeypatch):
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    with Claims(tmp_path, 60).take("a-0") as claim:
        before = (tmp_path / "a-0.lock").read_text()
        assert claim.beat() and (tmp_path / "a-0.lock").read_text() == before
        now += 11
        assert claim.beat()
        assert json.loads((tmp_path / "a-0.lock").read_text()) == {**json.loads(before), "beats": 1}
        held_elsewhere(tmp_path)
        now += 11
        assert not claim.beat()


def test_a_child_holds_the_trial_when_its_parent_is_gone(tmp_path):
    parent = """
import os, subprocess, sys
from pathlib import Path
from ssl_tf.experiments.claims import Claims
with Claims(Path(sys.argv[1]), 60).take("a-0") as claim:
    child = subprocess.Popen(
        ["sleep", "600"], pass_fds=[claim.descriptor], stdout=subprocess.DEVNULL
    )
    print(child.pid, flush=True)
    os.kill(os.getpid(), 9)
"""
    made = subprocess.run(
        [sys.executable, "-c", parent, tmp_path], stdout=subprocess.PIPE, text=True
    )
    pid = made.stdout.strip()
    claims = Claims(tmp_path, 60)
    with pytest.raises(Taken), claims.take("a-0"):
        pass
    subprocess.run(["kill", "-9", pid], check=True)
    for _ in range(200):
        try:
            with claims.take("a-0"):
                return
        except Taken:
            time.sleep(0.05)
    raise AssertionError("the trial stays held")


def test_who_was_replaced_leaves_the_claim_of_its_successor(tmp_path):
    # As where the file system passes no locks on: the successor writes into the same file.
    with Claims(tmp_path, 60).take("a-0"):
        held_elsewhere(tmp_path)
    assert json.loads((tmp_path / "a-0.lock").read_text())["host"] == "elsewhere"
    with pytest.raises(Taken, match="held by elsewhere"), Claims(tmp_path, 60).take("a-0"):
        pass
