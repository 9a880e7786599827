"""The table, the JSON and the picture of a study, from runs written by hand."""

import json

import pytest

from ssl_tf.experiments.outcome import missing, write_outcome
from ssl_tf.experiments.records import Record, write_record
from tests.experiments.small_file import THREE_ARMS, trials_of


def test_the_outcome_has_means_differences_boxes_and_what_is_missing(study):
    write_outcome(*study)
    out = study[2]
    results = json.loads((out / "results.json").read_text())
    rows = {row["run"]: row for row in results["rows"]}
    assert list(rows) == ["base", "near", "far", "random encoder"]
    assert rows["base"]["linear_top1"] == pytest.approx(0.41)
    assert rows["far"]["linear_top1_difference"] == pytest.approx(0.105)
    assert rows["far"]["linear_top1_difference_error"] == pytest.approx(0.005)
    assert rows["far"]["discover_corloc"] == pytest.approx(0.375)
    assert rows["far"]["discover_corloc_error"] == pytest.approx(0.125)
    assert len(results["runs"]) == 7 and results["reference"] == "base"
    # The third seed of `far` is not needed.
    assert results["missing"] == {
        "base-2": "pretrain is not done",
        "near-2": "pretrain is not done",
    }
    text = (out / "table.md").read_text()
    assert text.startswith("# Three arms\n") and "Differences to base" in text
    assert "+10.50 ± 0.50" in text and "discover CorLoc" in text
    assert "near-2 is missing: pretrain is not done" in text
    assert "An arm gets no further seed once 2 are done" in text
    assert (out / "figures.png").stat().st_size > 10_000 and results["remarks"] == []
    assert "discover_corloc_error" in (out / "table.csv").read_text().splitlines()[0]


def test_unlike_evaluations_are_told_and_their_seeds_not_averaged(study):
    _, trials, out = study
    for trial in trials:
        for path in trial.run.glob("linear.json"):
            report = json.loads(path.read_text())
            report["protocol"] = {"epochs": "5.0" if trial.name == "near-1" else "50.0"}
            path.write_text(json.dumps(report))
    write_outcome(*study)
    results = json.loads((out / "results.json").read_text())
    rows = {row["run"]: row for row in results["rows"]}
    assert "linear_top1" not in rows["near"] and "linear_top1_difference" not in rows["near"]
    assert rows["far"]["linear_top1_difference"] == pytest.approx(0.105)
    assert not any("protocols" in row for row in (*results["rows"], *results["runs"]))
    told = "near: no mean of its linear figures, because its seeds differ in epochs"
    assert told in results["remarks"] and told in (out / "table.md").read_text()


def test_reports_that_no_stage_has_made_are_told_and_do_not_count(study):
    _, trials, out = study
    runs = out / "runs"
    by_hand = json.loads((runs / "near-0" / "linear.json").read_text())
    by_hand["trained"]["top1"] = 0.99
    (runs / "near-0" / "linear_mine.json").write_text(json.dumps(by_hand))
    (runs / "base-1" / "knn.json").write_text("no report")
    (runs / "base-1" / "detect").mkdir()
    (runs / "base-1" / "detect" / "detection.json").write_text("{}")
    # Of `far` the linear stage is to be made yet.
    (trial,) = [trial for trial in trials if trial.name == "far-1"]
    done = {step.name: {"flags": dict(step.flags)} for step in trial.steps[:2]}
    write_record(out, trial.name, Record(done))
    write_outcome(*study)
    results = json.loads((out / "results.json").read_text())
    rows = {row["run"]: row for row in results["rows"]}
    # 0.41 and 0.44; 0.50 alone
    assert rows["near"]["linear_top1"] == pytest.approx(0.425)
    assert rows["near"]["linear_top1_error"] == pytest.approx(0.015)
    assert (rows["far"]["linear_top1"], rows["far"]["linear_top1_seeds"]) == (0.50, 1)
    assert not any("knn_top1" in row for row in results["runs"])
    told = (
        "left out, for no stage of the study that is done has made them: "
        "runs/near-0/linear_mine.json, runs/base-1/knn.json, runs/base-1/detect/detection.json, "
        "runs/far-1/linear.json"
    )
    assert results["remarks"] == [told] and told in (out / "table.md").read_text()


def test_a_stage_at_an_earlier_step_has_columns_of_its_own(study, tmp_path):
    _, _, out = study
    text = THREE_ARMS.replace('"linear"]\n[flags]', '"linear", "linear_mid"]\n[flags]')
    text = text.replace("[arms.base]", 'linear_mid = "--dataset=scenes --step=10"\n[arms.base]', 1)
    study, trials = trials_of(tmp_path, text)
    for trial in trials:
        if trial.arm != "far" and trial.seed < 2:
            report = json.loads((trial.run / "linear.json").read_text())
            mid = report | {"step": 10, "trained": {"top1": 0.25}}
            (trial.run / "linear_mid.json").write_text(json.dumps(mid))
            done = {step.name: {"flags": dict(step.flags)} for step in trial.steps}
            write_record(out, trial.name, Record(done))
    write_outcome(study, trials, out)
    results = json.loads((out / "results.json").read_text())
    rows = {row["run"]: row for row in results["rows"]}
    assert results["remarks"] == [
        f"{arm}-{seed}: its linear_mid figures are of step 10, its last step is 20"
        for seed in (0, 1)
        for arm in ("base", "near")
    ]
    assert rows["near"]["linear_top1"] == pytest.approx(0.425)
    assert rows["near"]["linear_mid_top1"] == 0.25 and "linear_mid_top1" not in rows["far"]


def test_figures_of_an_earlier_step_and_runs_before_their_end_are_told(study):
    _, trials, out = study
    by_name = {trial.name: trial for trial in trials}
    path = by_name["near-0"].run / "linear.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"step": 10}))
    for name in ("far-0", "far-1"):
        stop_at(by_name[name].run, 10)
    write_outcome(*study)
    results = json.loads((out / "results.json").read_text())
    told = [
        *(f"far-{seed}: stands at 1 of its 2 epochs" for seed in (0, 1)),
        "near-0: its linear figures are of step 10, its last step is 20",
    ]
    assert results["remarks"][:3] == told
    assert all(f"\n{remark}\n" in (out / "table.md").read_text() for remark in told)
    rows = {row["run"]: row for row in results["rows"]}
    assert rows["far"]["linear_top1"] == pytest.approx(0.515)
    assert "linear_top1_difference" not in rows["far"]
    assert rows["far"]["discover_corloc"] == pytest.approx(0.375)


def stop_at(run, step):
    """Leaves a run with what it had at a step, and its linear figures as those of that step."""
    lines = (run / "metrics.jsonl").read_text().splitlines(keepends=True)
    kept = [line for line in lines if json.loads(line)["step"] <= step]
    (run / "metrics.jsonl").write_text("".join(kept))
    report = json.loads((run / "linear.json").read_text())
    (run / "linear.json").write_text(json.dumps(report | {"step": step}))


def test_a_discovery_that_is_measured_later_is_not_done(study):
    _, trials, out = study
    (out / "discover" / "far-1" / "metrics.json").unlink()
    assert missing(*study)["far-1"] == "discover is not done"
    write_outcome(*study)
    rows = {row["run"]: row for row in json.loads((out / "results.json").read_text())["rows"]}
    assert (rows["far"]["discover_corloc"], rows["far"]["discover_corloc_seeds"]) == (0.25, 1)


def test_figures_of_boxes_on_other_numbers_of_images_are_no_mean_and_are_told(study):
    place = study[2] / "discover" / "far-1" / "metrics.json"
    place.write_text(json.dumps({**json.loads(place.read_text()), "images": 8}))
    write_outcome(*study)
    found = json.loads((study[2] / "results.json").read_text())
    rows = {row["run"]: row for row in found["rows"]}
    assert "discover_corloc" not in rows["far"] and rows["far"]["linear_top1"] > 0
    assert "discover figures differ in images 4 (far-0) and 8 (far-1)" in found["remarks"]


def test_a_run_directory_may_be_a_link_to_another_name(study, tmp_path):
    _, trials, out = study
    write_outcome(*study)
    before = json.loads((out / "results.json").read_text())
    trials[0].run.rename(tmp_path / "moved")
    trials[0].run.symlink_to(tmp_path / "moved")
    write_outcome(*study)
    assert json.loads((out / "results.json").read_text()) == before


def test_nothing_done_is_an_empty_table(tmp_path):
    study, trials = trials_of(tmp_path, THREE_ARMS)
    (tmp_path / "out").mkdir()
    write_outcome(study, trials, tmp_path / "out")
    assert len(json.loads((tmp_path / "out" / "results.json").read_text())["missing"]) == 9
    assert not (tmp_path / "out" / "figures.png").exists()
