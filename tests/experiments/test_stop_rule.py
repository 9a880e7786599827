"""The stop rule of a study, on runs written by hand."""

import dataclasses
import json

import pytest

from ssl_tf.errors import UserError
from ssl_tf.experiments.outcome import missing, write_outcome
from ssl_tf.experiments.records import Record, write_record
from ssl_tf.experiments.stop_rule import _differences_of, is_stopped


def test_the_stop_rule(study):
    the_study, trials, out = study
    by_name = {trial.name: trial for trial in trials}

    def stops(name):
        return is_stopped(the_study, trials, by_name[name], out)

    assert not stops("far-2")  # there is no table yet
    write_outcome(*study)
    # far: 10.5 against 4 x max(0.5, 1.0 / sqrt 2); near: 1.5
    assert stops("far-2") and not stops("near-2") and not stops("base-2")
    assert "far-2" not in missing(*study)
    # What somebody has begun is brought to its end.
    write_record(out, "far-2", Record({"discover": {}}))
    assert not stops("far-2")


def test_a_rule_whose_figure_no_report_has_is_told(study):
    the_study, trials, out = study
    rule = dataclasses.replace(the_study.stop, figure="linear_map")
    write_outcome(dataclasses.replace(the_study, stop=rule), trials, out)
    told = "no arm is stopped: no report of base has linear_map, the stop rule's"
    assert told in json.loads((out / "results.json").read_text())["remarks"]
    assert told in (out / "table.md").read_text()


def test_damaged_results_are_one_line_with_a_way_out(study):
    the_study, trials, out = study
    write_outcome(*study)
    (out / "results.json").write_text("{")
    with pytest.raises(
        UserError, match="results.json is damaged, it is no JSON; remove it"
    ) as told:
        is_stopped(the_study, trials, {trial.name: trial for trial in trials}["far-2"], out)
    assert "\n" not in str(told.value)


def test_the_rule_finds_its_figure_whatever_the_columns_are_named_by():
    data, kind = "linear_scenes_test_16_images", "detection_faster_rcnn"
    stages = {"knn": "knn", data: "linear", kind: "detection"}
    row = {f"{data}_map_difference": 3, f"{kind}_box_ap_difference": 4}
    assert _differences_of("linear_map", row, stages) == [f"{data}_map_difference"]
    assert _differences_of("detection_box_ap", row, stages) == [f"{kind}_box_ap_difference"]
    assert _differences_of("linear_top1", row, stages) == []
    assert _differences_of("finetune_top1", row, stages) == []


def test_a_figure_of_several_data_sets_stops_no_arm(study):
    the_study, trials, out = study
    stages = {"a": "linear", "b": "linear"}
    row = {"a_top1_difference": 0.1, "b_top1_difference": 0.0}
    found = _differences_of("linear_top1", row, stages)
    assert found == ["a_top1_difference", "b_top1_difference"]
    for name in found:
        row |= {f"{name}_seeds": 2, f"{name}_error": 0.0}
    by_name = {trial.name: trial for trial in trials}
    results = {"stages": stages, "rows": [{"run": "far"} | row]}
    assert not is_stopped(the_study, trials, by_name["far-2"], out, results)
    results["stages"] = {"a": "linear"}
    assert is_stopped(the_study, trials, by_name["far-2"], out, results)


def test_the_rule_reads_the_column_that_it_names_and_none_of_another_stage():
    stages = {"finetune_1pct": "finetune_1pct"}
    row = {"finetune_1pct_top1_difference": 0.05}
    assert _differences_of("finetune_top1", row, stages) == []
    row |= {"finetune_top1_difference": 0.0}
    stages |= {"finetune": "finetune"}
    assert _differences_of("finetune_top1", row, stages) == ["finetune_top1_difference"]
    assert _differences_of("finetune_1pct_top1", row, stages) == ["finetune_1pct_top1_difference"]


def test_the_rule_stops_where_columns_are_named_by_the_kind(study):
    the_study, trials, out = study
    for trial in trials:
        for path in trial.run.glob("linear.json"):
            report = json.loads(path.read_text())
            # One arm learns from fewer images, so that the columns tell the number.
            count = 9 if trial.arm == "near" else 40
            path.write_text(json.dumps(report | {"train": f"scenes:train, {count} images"}))
    write_outcome(*study)
    results = json.loads((out / "results.json").read_text())
    assert results["stages"]["linear_40_train_images"] == "linear"
    by_name = {trial.name: trial for trial in trials}
    assert is_stopped(the_study, trials, by_name["far-2"], out)
