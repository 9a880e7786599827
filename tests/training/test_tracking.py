"""Trackers: what they are given, and what is told where one is missing or does not start."""

import sys
import time
import types

import pytest

from ssl_tf.errors import SettingsError, UserError
from ssl_tf.training.tracking import check_tracker, tracked


@pytest.fixture
def calls():
    return []


@pytest.fixture
def wandb(calls, monkeypatch):
    run = types.SimpleNamespace(id="a1b2", finish=lambda: calls.append("finished"))

    def init(**given):
        calls.append(given)
        return run

    monkeypatch.setitem(sys.modules, "wandb", types.SimpleNamespace(init=init))


def test_wandb_reads_what_tensorboard_shows(wandb, calls, tmp_path, monkeypatch):
    monkeypatch.delenv("WANDB_PROJECT", raising=False)
    (tmp_path / "run").mkdir()
    with tracked("wandb", tmp_path / "run", {"seed": "3"}) as track:
        track(1, {"loss": 2.0})
    (given, finished) = calls
    assert given == {
        "project": "ssl_tf", "name": "run", "dir": str(tmp_path / "run"), "config": {"seed": "3"},
        "sync_tensorboard": True, "id": None, "resume": "allow",
    }  # fmt: skip
    assert finished == "finished"
    # A run that goes on is the same one there.
    with tracked("wandb", tmp_path / "run", {"seed": "3"}):
        pass
    assert calls[2] == {**given, "id": "a1b2"}


def test_a_tracker_is_closed_after_a_failure_too(wandb, calls, tmp_path):
    with pytest.raises(ValueError), tracked("wandb", tmp_path, {}):
        raise ValueError
    assert calls[-1] == "finished"


class MlflowRun:
    info = types.SimpleNamespace(run_id="0123")

    def __init__(self, calls):
        self.calls = calls

    def __enter__(self):
        self.calls.append("started")
        return self

    def __exit__(self, *failure):
        self.calls.append("ended")


@pytest.fixture
def mlflow(calls, monkeypatch):
    def start_run(run_name=None, run_id=None):
        calls.append(run_name or run_id)
        return MlflowRun(calls)

    package = types.SimpleNamespace(
        set_tracking_uri=lambda uri: calls.append(uri),
        start_run=start_run,
        log_params=lambda flags: calls.append(flags),
        log_metrics=lambda figures, step: calls.append((step, figures)),
    )
    monkeypatch.setitem(sys.modules, "mlflow", package)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return package


def test_mlflow_takes_the_figures_and_writes_into_the_run(mlflow, calls, tmp_path, monkeypatch):
    with tracked("mlflow", tmp_path, {"seed": "3"}) as track:
        track(7, {"loss": 2.0})
    place = f"sqlite:///{tmp_path / 'mlflow.db'}"
    begun = [tmp_path.name, "started", {"seed": "3"}]
    assert calls == [place, *begun, (7, {"loss": 2.0}), "ended"]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://tracker")
    calls.clear()
    # A run that goes on is the same one there.
    with tracked("mlflow", tmp_path, {"seed": "3"}):
        pass
    assert calls == ["0123", "started", "ended"]


def test_a_tracker_that_stops_answering_does_not_end_the_run(
    mlflow, calls, tmp_path, monkeypatch, capsys
):
    """Line 2 fails after 3 seconds, so none is tried for 60: 3 and 4 are lost, 5 arrives."""
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])

    def log_metrics(figures, step):
        if step == 2:
            now[0] += 3
            raise ConnectionError("no answer\nafter 7 tries")
        calls.append(step)

    mlflow.log_metrics = log_metrics
    with tracked("mlflow", tmp_path, {}) as track:
        for step, seconds in enumerate([1, 1, 1, 59, 1], start=1):
            track(step, {"loss": 2.0})
            now[0] += seconds
    assert calls[4:] == [1, 5, "ended"]
    assert capsys.readouterr().err.splitlines() == [
        "--track=mlflow fails: no answer; the run goes on, and metrics.jsonl has the figures",
        "--track=mlflow lacks 3 lines; metrics.jsonl has them",
    ]


def test_a_tracker_that_does_not_end_hides_nothing(wandb, tmp_path, capsys, monkeypatch):
    def finish():
        raise OSError("the service is gone")

    run = types.SimpleNamespace(id="a1b2", finish=finish)
    package = types.SimpleNamespace(init=lambda **given: run)
    monkeypatch.setitem(sys.modules, "wandb", package)
    with tracked("wandb", tmp_path, {}):
        pass
    with pytest.raises(ValueError, match="of the run"), tracked("wandb", tmp_path, {}):
        raise ValueError("of the run")
    line = "--track=wandb does not end: the service is gone"
    assert capsys.readouterr().err.splitlines() == [line, line]


def test_a_tracker_knows_how_the_run_has_ended(mlflow, tmp_path):
    failures = []

    class Run(MlflowRun):
        def __exit__(self, kind, *failure):
            failures.append(kind)

    mlflow.start_run = lambda **given: Run([])
    with pytest.raises(KeyError), tracked("mlflow", tmp_path, {}):
        raise KeyError
    with tracked("mlflow", tmp_path, {}):
        pass
    assert failures == [KeyError, None]


def test_a_missing_tracker_is_one_line_and_a_directory_is_none(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "no_such_tracker").mkdir()
    with pytest.raises(SettingsError, match="pip install no_such_tracker, or leave") as raised:
        check_tracker("no_such_tracker")
    assert "\n" not in str(raised.value)
    with pytest.raises(SettingsError, match="--track=no_such_package"):
        check_tracker("no_such_package")
    check_tracker("")
    check_tracker("tensorflow")


def test_a_tracker_that_does_not_start_is_one_line(tmp_path, monkeypatch):
    def init(**given):
        raise RuntimeError("no key is configured\nsee the manual")

    monkeypatch.setitem(sys.modules, "wandb", types.SimpleNamespace(init=init))
    with pytest.raises(UserError) as raised, tracked("wandb", tmp_path, {}):
        pass
    assert str(raised.value) == "--track=wandb does not start: no key is configured"


def test_without_a_tracker_nothing_happens(tmp_path):
    with tracked("", tmp_path, {}) as track:
        assert track(1, {"loss": 1.0}) is None
    assert not list(tmp_path.iterdir())
