"""A study that goes on elsewhere with finished.json, the file of its finished trials."""

import json

import pytest

from ssl_tf.errors import SettingsError, UserError
from ssl_tf.experiments.finished import make_again, take_finished
from ssl_tf.experiments.outcome import missing, write_outcome
from ssl_tf.experiments.records import Record, read_record, write_record
from tests.experiments.small_file import THREE_ARMS, trials_of

SILENCE = 60.0


@pytest.fixture
def moved(study, tmp_path):
    """The file of the study, and the same study in another directory, where nothing is done."""
    study_there, trials_there, there = study
    for trial in trials_there:
        for path in trial.run.glob("linear.json"):
            report = json.loads(path.read_text())
            path.write_text(json.dumps(report | {"checkpoint": str(trial.run)}))
    write_outcome(study_there, trials_there, there)
    (tmp_path / "elsewhere").mkdir()
    study_here, trials_here = trials_of(tmp_path / "elsewhere", THREE_ARMS)
    here = tmp_path / "elsewhere" / "out"
    here.mkdir()
    return there / "finished.json", study_here, trials_here, here


def never(trial):
    return False


def changed(path, change):
    """The file after a change of its content."""
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    return path


def test_table_and_picture_are_those_of_the_directory_that_made_the_file(moved):
    path, study, trials, here = moved
    take_finished(path, here, trials)
    write_outcome(study, trials, here)
    for name in ("results.json", "table.csv", "table.md", "figures.png", "finished.json"):
        assert (here / name).read_bytes() == path.with_name(name).read_bytes(), name
    assert set(missing(study, trials, here)) == {"base-2", "near-2"}
    # Paths are of the new place there, and of no place in the file.
    report = json.loads((here / "runs" / "near-1" / "linear.json").read_text())
    assert report["checkpoint"] == str(here / "runs" / "near-1")
    assert str(path.parent) not in path.read_text()


def test_the_file_has_the_lines_that_are_shown(moved):
    content = json.loads(moved[0].read_text())
    assert list(content) == ["base-0", "near-0", "far-0", "base-1", "near-1", "far-1"]
    # The line of step 5 has a loss alone, those of looks have a loss, too.
    lines = content["far-1"]["metrics"]
    assert [(line["step"], "loss" in line) for line in lines] == [
        (0, False),
        (10, True),
        (20, True),
    ]
    assert content["far-0"]["files"]["discover/far-0/metrics.json"]["ncut"]["corloc"] == 0.25
    flags = content["far-0"]["done"]["discover"]["flags"]
    assert flags == {"dataset": "scenes", "discoverer": "ncut", "encoder": "OUTPUT/runs/base-0"}


def test_what_is_begun_here_is_not_taken(moved):
    path, _, trials, here = moved
    (here / "runs" / "base-0").mkdir(parents=True)
    write_record(here, "near-0", Record({"pretrain": {"flags": {}}}))
    take_finished(path, here, trials)
    taken = {trial.name for trial in trials if read_record(here, trial.name).taken}
    assert taken == {"far-0", "base-1", "near-1", "far-1"}
    assert not any((here / "runs" / "base-0").iterdir())


def test_what_lacks_a_report_is_not_taken(moved, capsys):
    path, study, trials, here = moved
    changed(path, lambda content: content["near-1"]["files"].pop("runs/near-1/linear.json"))
    take_finished(path, here, trials)
    assert (
        "near-1 is not taken over, for it lacks runs/near-1/linear.json" in capsys.readouterr().err
    )
    assert read_record(here, "near-1") == Record() and read_record(here, "near-0").taken
    # Nor is one told to be complete whose report is gone here.
    (here / "runs" / "near-0" / "linear.json").unlink()
    write_outcome(study, trials, here)
    assert missing(study, trials, here)["near-0"] == "linear is not done"
    assert "near-0" not in json.loads((here / "finished.json").read_text())


def test_a_trial_whose_weights_are_needed_is_made_again(moved, capsys):
    path, _, trials, here = moved
    take_finished(path, here, trials)
    make_again(here, trials, SILENCE, never)
    assert read_record(here, "base-0").taken and read_record(here, "base-1").taken
    capsys.readouterr()
    # `far` reads the run of `base`; a stage that came later reads that of its own arm.
    by_name = {trial.name: trial for trial in trials}
    record = read_record(here, "far-1")
    del record.done["discover"]
    write_record(here, "far-1", record)
    record = read_record(here, "near-0")
    del record.done["linear"]
    write_record(here, "near-0", record)
    make_again(here, trials, SILENCE, lambda trial: trial.name == "near-0")
    again = {"base-1", "far-1"}
    for name, trial in by_name.items():
        kept = trial.seed < 2 and name not in again
        assert (bool(read_record(here, name).done), trial.run.exists()) == (kept, kept), name
    told = capsys.readouterr().err
    assert "base-1 is made again, because far-1 needs its weights" in told
    make_again(here, trials, SILENCE, never)
    assert not read_record(here, "near-0").done and read_record(here, "near-1").taken


def test_flags_that_differ_are_refused_and_nothing_is_taken(moved):
    path, _, trials, here = moved

    def other_epochs(content):
        content["near-1"]["done"]["pretrain"]["flags"]["epochs"] = "30.0"

    changed(path, other_epochs)
    with pytest.raises(SettingsError, match=r"arm near, pretrain: seed 1 .*--epochs=30.0 there"):
        take_finished(path, here, trials)
    assert not any(here.iterdir())


def test_a_damaged_file_is_refused(moved):
    path, _, trials, here = moved
    changed(path, lambda content: content["near-1"].pop("metrics"))
    with pytest.raises(UserError, match="finished.json is damaged at near-1"):
        take_finished(path, here, trials)
    path.write_text("{")
    with pytest.raises(UserError, match="finished.json is damaged, it is no JSON"):
        take_finished(path, here, trials)
    assert not any(here.iterdir())


def test_nothing_is_written_at_names_of_the_file(moved):
    path, _, trials, here = moved

    def outside(content):
        content["../../bad-0"] = content["near-1"]
        content["near-1"]["files"]["../../../bad.json"] = {}

    take_finished(changed(path, outside), here, trials)
    assert not list(here.parents[1].rglob("*bad*"))
    assert read_record(here, "near-1").taken


def test_a_discovery_that_was_taken_is_made_again_in_an_empty_place(moved):
    path, _, trials, here = moved
    take_finished(path, here, trials)
    place = here / "discover" / "far-1"
    assert (place / "metrics.json").exists()
    record = read_record(here, "far-1")
    del record.done["linear"]
    write_record(here, "far-1", record)
    make_again(here, trials, SILENCE, never)
    assert not place.exists()


def test_the_only_copy_of_finished_trials_is_not_written_over(moved):
    path, study, trials, here = moved
    (here / "finished.json").write_bytes(path.read_bytes())
    write_outcome(study, trials, here)
    assert json.loads((here / "finished.json").read_text()) == json.loads(path.read_text())
    # One that is begun here has its own entry, once it is done.
    begun = {"stage": "pretrain", "flags": {}}
    write_record(here, "near-0", Record({}, begun=begun))
    write_outcome(study, trials, here)
    kept = json.loads((here / "finished.json").read_text())
    assert set(kept) == json.loads(path.read_text()).keys() - {"near-0"}
