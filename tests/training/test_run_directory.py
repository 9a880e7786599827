import dataclasses
import json

import pytest
import tensorflow as tf

from ssl_tf.data.sources.opening import open_training_source
from ssl_tf.errors import SettingsError, UserError
from ssl_tf.evaluation import context
from ssl_tf.pretraining import run
from ssl_tf.settings import EvaluationSettings, PretrainSettings, flagfiles
from ssl_tf.training.data_places import note_places
from ssl_tf.training.environment import note_environment
from ssl_tf.training.run_directory import (
    MetricsFile,
    check_run,
    open_run,
    read_settings,
    with_library_of_run,
    with_rule_of_run,
)
from tests.data.tiny_images import png, write_folder
from tests.training.foreign_files import FOREIGN


def settings(directory, *flags):
    return flagfiles.parse(["--dataset=scenes", f"--run_dir={directory}", *flags], PretrainSettings)


def test_a_run_can_be_started_again_from_its_own_flags(tmp_path):
    directory = open_run(settings(tmp_path / "run", "--seed=4"))
    again = flagfiles.parse([f"--flagfile={directory / 'flags.txt'}"], PretrainSettings)
    assert again == settings(tmp_path / "run", "--seed=4") == read_settings(directory)
    assert open_run(again) == directory
    note_environment(directory, 1, False)
    (environment,) = json.loads((directory / "environment.json").read_text())
    assert environment["tensorflow"] == tf.__version__ and environment["replicas"] == 1


HELD = [0, 10, 20, 30]  # the first of each stretch of ten


def of_an_older_version(directory, missing="holdout_rule", *more):
    """A run of 40 scenes with 4 held out, whose flags.txt is older than a flag."""
    open_run(settings(directory, "--scenes=40", "--holdout=4", *more))
    flags = directory / "flags.txt"
    lines = flags.read_text().splitlines(keepends=True)
    older = [line for line in lines if not line.startswith(f"--{missing}=")]
    assert len(older) == len(lines) - 1
    flags.write_text("".join(older))
    return directory


def held_out(data):
    _, held = open_training_source(data)
    return [int(r["id"].decode().split("/")[-1]) for r in held.annotations().as_numpy_iterator()]


def test_a_run_of_an_older_version_keeps_its_split(tmp_path, monkeypatch):
    directory = of_an_older_version(tmp_path / "old")
    again = settings(directory, "--scenes=40", "--holdout=4")
    assert held_out(again.data) != HELD
    # Resumed, by its flags or by its file.
    opened = []

    def open_only(settings, cluster, workers):
        opened.append(settings.data)
        raise InterruptedError

    monkeypatch.setattr(run, "_open", open_only)
    for start in (again, flagfiles.parse([f"--flagfile={directory}/flags.txt"], PretrainSettings)):
        with pytest.raises(InterruptedError):
            run.run(start)
        assert held_out(opened[-1]) == HELD and open_run(start) == directory
    # Judged.
    monkeypatch.setattr(context, "open_encoders", lambda _: context.Encoders({}, None, 16, 1))
    data = ["--dataset=scenes", "--scenes=40", "--holdout=4", f"--checkpoint={directory}"]
    judged = context.open_context(flagfiles.parse(data, EvaluationSettings), "knn")
    ids = [record["id"].decode() for record in judged.test.annotations().as_numpy_iterator()]
    assert [int(name.split("/")[-1]) for name in ids] == HELD
    # Its --validation and the monitors follow the same rule.
    assert judged.train.holdout_rule == "spaced"


def test_an_evaluation_tells_that_images_are_not_turned_as_the_run_did(
    tmp_path, monkeypatch, capsys
):
    files = {"a/0.png": png(0), "b/0.png": png(1)}
    parts = {part: write_folder(tmp_path / part, files) for part in ("one", "two")}
    (tmp_path / "run").mkdir()
    (tmp_path / "run/flags.txt").write_text("--image_folder=F\n--orient\n")
    monkeypatch.setattr(context, "open_encoders", lambda _: context.Encoders({}, None, 16, 1))
    data = [f"--image_folder={parts['one']}", f"--test_image_folder={parts['two']}"]
    for flags, count in (([], 2), (["--orient"], 0)):
        given = [f"--checkpoint={tmp_path / 'run'}", *data, *flags]
        context.open_context(flagfiles.parse(given, EvaluationSettings), "knn")
        assert capsys.readouterr().err.count("the encoder learned from images that were") == count


def test_a_run_of_this_version_keeps_its_split_too(tmp_path):
    new = settings(tmp_path / "new", "--scenes=40", "--holdout=4")
    directory = open_run(new)
    assert held_out(with_rule_of_run(new.data, directory)) == held_out(new.data) != HELD
    asked = settings(tmp_path / "new", "--scenes=40", "--holdout=4", "--holdout_rule=spaced")
    assert held_out(asked.data) == HELD
    with pytest.raises(SettingsError, match="--holdout_rule=spaced: .* begun with seeded"):
        with_rule_of_run(asked.data, directory)


@pytest.mark.parametrize("recipe", ["moco", "byol"])
def test_a_run_of_an_older_version_keeps_tensorflows_pixels(tmp_path, monkeypatch, recipe):
    given = ["--scenes=40", "--holdout=4", f"--recipe={recipe}"]
    directory = of_an_older_version(tmp_path / "old", "image_library", given[-1])
    opened = []

    def open_only(settings, cluster, workers):
        opened.append(settings)
        raise InterruptedError

    monkeypatch.setattr(run, "_open", open_only)
    by_file = flagfiles.parse([f"--flagfile={directory}/flags.txt"], PretrainSettings)
    for start in (settings(directory, *given), by_file):
        with pytest.raises(InterruptedError):
            run.run(start)
        assert opened[-1].views.image_library == opened[-1].views.library == "tensorflow"
        assert check_run(opened[-1])
    with pytest.raises(SettingsError, match="--image_library=tensorflow there, pillow here"):
        run.run(settings(directory, *given, "--image_library=pillow"))


def test_a_run_records_whose_pixels_its_recipe_chose(tmp_path):
    for recipe, library in (("moco", "pillow"), ("byol", "tensorflow"), ("swav", "pillow")):
        made = settings(tmp_path / recipe, f"--recipe={recipe}")
        views = with_library_of_run(made.views, tmp_path / recipe)
        directory = open_run(dataclasses.replace(made, views=views))
        assert f"--image_library={library}\n" in (directory / "flags.txt").read_text()
        # A recipe of other pixels would not change what the run has.
        assert with_library_of_run(made.views, directory) == views == read_settings(directory).views


def test_other_flags_are_refused_and_named(tmp_path):
    open_run(settings(tmp_path / "run"))
    with pytest.raises(SettingsError, match="--seed=0 there, 3 here"):
        open_run(settings(tmp_path / "run", "--seed=3"))
    open_run(settings(tmp_path / "run", "--logical_cpus=2", "--keep_checkpoints=5"))


def test_data_may_have_moved_once_a_record_tells_them_from_others(tmp_path, capsys):
    def of(folder, *flags):
        given = [f"--image_folder={folder}", f"--run_dir={tmp_path / 'run'}", *flags]
        return flagfiles.parse(given, PretrainSettings)

    directory = open_run(of("there"))
    with pytest.raises(SettingsError, match="--image_folder=there there, here here"):
        check_run(of("here"))
    (directory / "data.json").write_text('{"training": {"sha256": "a", "details": "b"}}')
    assert check_run(of("here"))
    with pytest.raises(SettingsError, match=r"\(--seed=0 there, 1 here\)"):
        check_run(of("here", "--seed=1"))
    # Of another kind they are others.
    with pytest.raises(SettingsError, match="--image_folder=there there"):
        check_run(settings(directory))
    note_places(directory, of("there"))
    assert capsys.readouterr().err == "" and read_settings(directory) == of("there")
    note_places(directory, of("here", "--log_every=7"))
    assert f"{directory}: its images are now in here" in capsys.readouterr().err
    assert read_settings(directory) == of("here")
    assert (directory / "flags.txt").read_text().startswith("# python -m ssl_tf.pretrain --flagfil")


def test_a_kill_while_the_directory_is_made_leaves_one_that_can_be_taken_up(tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    for name in ("environment.json", "environment.json.writing", "flags.txt.writing"):
        (run / name).write_text("half")
        open_run(settings(run))
        assert read_settings(run) == settings(run)
        (run / "flags.txt").unlink()


def test_locks_of_workers_make_no_run_of_a_directory(tmp_path):
    for name in ("run.lock", "worker_1.lock"):
        (tmp_path / name).touch()
    assert not check_run(settings(tmp_path))
    (tmp_path / "worker_1.lock.txt").touch()
    with pytest.raises(SettingsError, match="exists and is not a run"):
        check_run(settings(tmp_path))


def test_a_directory_that_is_no_run_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(SettingsError, match="is not a run"):
        open_run(settings(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
    with pytest.raises(UserError, match="no run directory"):
        read_settings(tmp_path)


def steps(path):
    return [line["step"] for line in MetricsFile.read(path)]


@pytest.mark.parametrize("cut", ["", '{"step": 12, "lo', '{"step": 12}'])
def test_metrics_after_the_resumed_step_are_dropped(tmp_path, cut):
    path = tmp_path / "metrics.jsonl"
    metrics = MetricsFile(path, 0)
    for step in (0, 5, 10):
        metrics.append({"step": step})
    whole = path.read_text().splitlines()
    with path.open("a") as file:
        file.write(cut)  # by a kill, in the middle of a line
    resumed = MetricsFile(path, 5)
    assert path.read_text().splitlines() == whole[:2]
    resumed.append({"step": 6})
    assert steps(path) == [0, 5, 6]


@pytest.mark.parametrize("left", ['{"step": 0}\n{"step": 1}\n{"st', '{"st', ""])
def test_a_run_that_starts_again_from_scratch_writes_its_metrics_anew(tmp_path, left):
    path = tmp_path / "metrics.jsonl"
    path.write_text(left)
    metrics = MetricsFile(path, 0)
    assert path.read_text() == ""
    metrics.append({"step": 0})
    assert steps(path) == [0]


def test_a_damaged_line_within_metrics_is_named(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 0}\n{"step": \n{"step": 2}\n')
    with pytest.raises(UserError, match="line 2 is damaged"):
        MetricsFile(path, 2)


@pytest.mark.parametrize("line", [*FOREIGN, b"[]", b"{}", b'{"step": "1"}', b'{"step": null}'])
def test_a_line_of_metrics_without_a_step_is_named_with_its_remedy(tmp_path, line):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"step": 0}\n' + line + b'\n{"step": 2}\n')
    with pytest.raises(UserError, match="metrics.jsonl: line 2 is damaged; remove the line"):
        MetricsFile(path, 2)
