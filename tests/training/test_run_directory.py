import json

import pytest

from ssl_tf import flagfiles
from ssl_tf.errors import SettingsError, UserError
from ssl_tf.settings import PretrainSettings
from ssl_tf.training.run_directory import MetricsFile, open_run, read_settings


def settings(directory, *flags):
    return flagfiles.parse(["--dataset=scenes", f"--run_dir={directory}", *flags], PretrainSettings)


def test_a_run_can_be_started_again_from_its_own_flags(tmp_path):
    directory = open_run(settings(tmp_path / "run", "--seed=4"))
    again = flagfiles.parse([f"--flagfile={directory / 'flags.txt'}"], PretrainSettings)
    assert again == settings(tmp_path / "run", "--seed=4") == read_settings(directory)
    assert open_run(again) == directory
    assert json.loads((directory / "environment.json").read_text())["tensorflow"].startswith("2.15")


def test_other_flags_are_refused_and_named(tmp_path):
    open_run(settings(tmp_path / "run"))
    with pytest.raises(SettingsError, match="--seed=0 there, 3 here"):
        open_run(settings(tmp_path / "run", "--seed=3"))
    open_run(settings(tmp_path / "run", "--logical_cpus=2", "--keep_checkpoints=5"))


def test_a_directory_that_is_no_run_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(SettingsError, match="is not a run"):
        open_run(settings(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
    with pytest.raises(UserError, match="no run directory"):
        read_settings(tmp_path)


def test_metrics_after_the_resumed_step_are_dropped(tmp_path):
    path = tmp_path / "metrics.jsonl"
    metrics = MetricsFile(path, 0)
    for step in (0, 5, 10):
        metrics.append({"step": step})
    with path.open("a") as file:
        file.write('{"step": 12, "lo')  # cut short by a kill
    resumed = MetricsFile(path, 5)
    resumed.append({"step": 6})
    assert [line["step"] for line in MetricsFile.read(path)] == [0, 5, 6]
