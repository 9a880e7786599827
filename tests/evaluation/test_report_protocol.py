"""Figures of unlike evaluations: columns of their own, or a line; never a mean."""

import csv
import dataclasses
import json

import pytest

from ssl_tf import compare
from ssl_tf.evaluation.report_names import report_file
from ssl_tf.evaluation.report_protocol import differing, protocol_of, told_differences
from ssl_tf.evaluation.run_reports import read_runs
from ssl_tf.evaluation.run_table import panels, table
from ssl_tf.evaluation.seed_rows import groups_of, joined, joined_panels
from ssl_tf.settings import CompareSettings, DataSettings, flagfiles
from tests.evaluation.test_run_table import write_run

TEST = "cifar10:test, 10000 images"


def write_report(
    path,
    top1,
    *,
    random=None,
    step=20,
    protocol=None,
    train=50_000,
    name="cifar10:train",
    **entries,
):
    """A report; without a protocol it is one of an earlier version."""
    report = {"step": step, "train": f"{name}, {train} images", "test": TEST, **entries}
    if protocol is not None:
        report["protocol"] = protocol
    report["trained"] = top1 if isinstance(top1, dict) else {"top1": top1}
    if random:
        report["random"] = {"top1": random[1], "encoder_sha256": random[0]}
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(report))


def write_knn(run, top1, k, *, recorded=True, **more):
    protocol = {"knn_k": str(k), "knn_temperature": "0.1"} if recorded else None
    write_report(run / "knn.json", top1, protocol=protocol, knn_k=k, knn_temperature=0.1, **more)


@pytest.fixture
def seeds(tmp_path):
    """Three runs that differ in their seed alone, with a linear figure of the first two."""
    runs = [write_run(tmp_path / f"base-{seed}", f"--seed={seed}") for seed in range(3)]
    for run, value in zip(runs, (0.5, 0.6)):
        write_report(run / "linear.json", value, protocol={"epochs": "50.0"})
    return runs


def rows_of(runs, reference=""):
    """The joined table: name -> its Markdown cells by heading; its remarks."""
    found = read_runs(runs)
    shown = joined(table(found), groups_of(found), reference)
    heading, _, *lines = [line[2:-2].split(" | ") for line in shown.as_markdown().splitlines()]
    cells = [dict(zip(heading, [cell.strip() for cell in line])) for line in lines]
    return {row["run"]: row for row in cells}, shown


@pytest.mark.parametrize("recorded", [True, False])
def test_seeds_of_another_k_are_not_averaged(seeds, recorded):
    for run, k, value in zip(seeds, (200, 20, 200), (0.42, 0.80, 0.42)):
        write_knn(run, value, k, recorded=recorded)
    rows, shown = rows_of(seeds)
    assert rows["base"]["kNN top-1"] == "-" and shown.rows[0]["knn_top1"] is None
    assert shown.remarks == (
        "knn figures differ in knn_k 200 (base-0, base-2) and 20 (base-1)",
        "base: no mean of its knn figures, because its seeds differ in knn_k",
    )
    found = read_runs(seeds)
    drawn = {p.title: p for p in joined_panels(panels(found), groups_of(found))}
    assert "k nearest neighbours" not in drawn
    assert drawn["linear classifier"].series == {"base": [(2.0, pytest.approx(55.0))]}
    # Of one k they are.
    write_knn(seeds[1], 0.45, 200, recorded=recorded)
    rows, shown = rows_of(seeds)
    assert (rows["base"]["kNN top-1"], rows["base"]["kNN k, T"]) == ("43.00 ± 1.00", "200, 0.1")
    assert shown.remarks == ()


def test_a_figure_of_fewer_seeds_has_their_count(seeds):
    rows, shown = rows_of(seeds)
    assert rows["base"]["seeds"] == "0 1 2"
    assert rows["base"]["linear top-1"] == "55.00 ± 5.00 (2 of 3)"
    (row,) = csv.DictReader(shown.as_csv().splitlines())
    assert row["linear_top1_seeds"] == "2" and "protocols" not in row
    write_report(seeds[2] / "linear.json", 0.7, protocol={"epochs": "50.0"})
    rows, shown = rows_of(seeds)
    assert rows["base"]["linear top-1"] == "60.00 ± 5.77" and not shown.remarks


def test_differences_are_of_what_is_alike(seeds, tmp_path):
    others = [write_run(tmp_path / f"other-{s}", f"--seed={s}", "--tau=0.9") for s in range(3)]
    for seed, (run, other) in enumerate(zip(seeds, others)):
        write_knn(run, 0.4, 200, random=(f"r{seed}", 0.2))
        write_knn(other, 0.5, 20, random=(f"r{seed}", 0.3))
    rows, shown = rows_of([*seeds, *others], "random encoder")
    # Each arm has the random encoder of its own k, and of both there is no mean.
    assert rows["base"]["kNN top-1 less random encoder"] == "+20.00 ± 0.00"
    assert rows["other"]["kNN top-1 less random encoder"] == "+20.00 ± 0.00"
    assert rows["random encoder"]["kNN top-1"] == "-"
    assert rows["random encoder"]["seeds"] == "0 1 2"
    assert shown.remarks[0].startswith("knn figures differ in knn_k 200 (base-0, base-1, base-2)")
    assert shown.remarks[1:] == (
        "random encoder: no mean of its knn figures, because its seeds differ in knn_k",
    )
    write_knn(others[1], 0.9, 200)
    rows, _ = rows_of([*seeds, *others], "base")
    assert "kNN top-1 less base" not in rows["other"] and rows["base"]["kNN top-1"].startswith("40")


def test_reports_of_earlier_versions_raise_no_alarm(seeds):
    write_knn(seeds[0], 0.40, 200, random=("r", 0.2))
    for run, value in zip(seeds[1:], (0.42, 0.44)):
        protocol = {"knn_k": "200", "knn_temperature": "0.1", "scene_size": "48", "split": "train"}
        write_report(
            run / "knn.json", value, protocol=protocol, knn_k=200, knn_temperature=0.1,
            random=("r", 0.2), image_size=32,
        )  # fmt: skip
    write_report(seeds[2] / "linear.json", 0.55)
    found = read_runs(seeds)
    shown = table(found)
    assert shown.remarks == () and [row["run"] for row in shown.rows[3:]] == ["random"]
    rows, shown = rows_of(seeds)
    assert shown.remarks == ()
    assert rows["base"]["kNN top-1"] == "42.00 ± 1.15"
    assert rows["base"]["linear top-1"] == "55.00 ± 2.89"


def test_unlike_figures_of_one_column_are_told_on_stderr_and_under_the_table(
    seeds, tmp_path, capsys
):
    for run, epochs in zip(seeds, (5.0, 50.0, 5.0)):
        write_report(
            run / "finetune_1pct.json", 0.5, share="1pct", epochs=epochs, batch_size=256,
            protocol={"epochs": str(epochs), "seed": str(epochs), "batch_size": "256"},
        )  # fmt: skip
    write_report(seeds[2] / "linear.json", 0.5, protocol={"epochs": "50.0", "augment": "true"})
    write_report(seeds[0] / "linear.json", 0.5, protocol={"epochs": "50.0", "augment": "false"})
    arguments = [*map(str, seeds), f"--output={tmp_path / 'out'}"]
    compare.main(flagfiles.parse(compare.flags_of(arguments), CompareSettings))
    lines = [
        "linear figures differ in augment false (base-0) and true (base-2)",
        "finetune_1pct figures differ in epochs 5.0 (base-0, base-2) and 50.0 (base-1)",
    ]
    assert capsys.readouterr().err.splitlines() == lines
    text = (tmp_path / "out" / "table.md").read_text()
    assert text.endswith("".join(f"\n{line}\n" for line in lines)) and "50.00" in text
    assert "differ" not in (tmp_path / "out" / "table.csv").read_text()


def test_other_detectors_classes_and_heads_have_columns_of_their_own(seeds):
    one, two, three = seeds
    for run, detector, steps, one_class, ap in (
        (one, "faster_rcnn", 24_000, "false", 0.3), (two, "retinanet", 300, "false", 0.1),
        (three, "retinanet", 300, "true", 0.2),
    ):  # fmt: skip
        write_report(
            run / "detection" / "detection.json", {"box_ap": ap}, share="", detector=detector,
            steps=steps, masks=False, protocol={"detector": detector, "one_class": one_class},
        )  # fmt: skip
    for run, head in ((one, "fcn"), (two, "deeplab")):  # of an earlier version
        write_report(run / "segment" / "segmentation.json", {"miou": 0.5}, share="10pct", head=head)
    found = table(read_runs(seeds))
    heading = {name for name, text in found.columns.items() if text}
    assert {
        "detection_faster_rcnn_all_classes_box_ap", "detection_retinanet_all_classes_box_ap",
        "detection_retinanet_one_class_box_ap", "segmentation_10pct_fcn_miou",
    } <= heading  # fmt: skip
    assert found.columns["detection_retinanet_one_class_box_ap"] == (
        "detection, retinanet, one class: box AP"
    )
    assert found.rows[1]["detection_retinanet_all_classes_box_ap"] == 0.1
    assert "detection_box_ap" not in found.columns and not found.remarks
    rows, _ = rows_of(seeds)
    assert rows["base"]["detection, faster_rcnn, all classes: box AP"] == "30.00 (1 of 3)"


def test_lists_and_slices_of_other_sizes_have_columns_of_their_own(seeds):
    one, two, three = seeds
    for run, train in ((one, 100), (two, 1000), (three, 1000)):
        write_report(
            run / "finetune_labels.json", train / 2000, share="labels", epochs=30.0, train=train
        )
    write_report(two / "linear.json", 0.3, protocol={"split": "train[:10%]"}, train=5000)
    rows, shown = rows_of(seeds)
    base = rows["base"]
    assert base["labels labels, 100 train images: top-1"] == "5.00 (1 of 3)"
    assert base["labels labels, 1000 train images: top-1"] == "50.00 ± 0.00 (2 of 3)"
    assert base["linear, 5000 train images: top-1"] == "30.00 (1 of 3)"
    assert base["linear, 50000 train images: top-1"] == "50.00 (1 of 3)"
    assert shown.remarks == ()


def test_scenes_of_another_size_have_a_report_and_columns_of_their_own(tmp_path):
    run = write_run(tmp_path / "run", "--scene_size=24")
    own = flagfiles.parse(["--dataset=scenes", "--scene_size=24"], DataSettings)
    names = []
    for size, value in ((24, 0.3), (96, 0.6), (48, 0.4)):
        data = flagfiles.parse(["--dataset=scenes", f"--scene_size={size}"], DataSettings)
        path = report_file(run, "knn", data, own, TEST)
        write_report(path, value, knn_k=20, knn_temperature=0.1, protocol={"scene_size": str(size)})
        names.append(path.name)
    # That of 48 pixels, the default, has the name that it has always had beside other data.
    assert names == ["knn.json", "knn_scenes_96_pixels.json", "knn_scenes.json"]
    (row,) = table(read_runs([run])).rows
    assert (row["knn_24_pixels_top1"], row["knn_96_pixels_top1"]) == (0.3, 0.6)
    assert row["knn_48_pixels_top1"] == 0.4


def test_a_transfer_is_judged_by_its_settings(seeds):
    for run, seed, iterations in zip(seeds, (0, 1, 2), (1000, 1000, 10)):
        (run / "transfer").mkdir()
        settings = {"max_iterations": iterations, "seed": seed}
        report = {
            "step": 20, "dataset": "dtd", "protocol": "linear", "metric": "mean_per_class",
            "settings": settings, "image_size": 32, "sizes": [9, 9, 9],
            "trained": {"mean_per_class": 0.5},
        }  # fmt: skip
        (run / "transfer" / "dtd_linear.json").write_text(json.dumps(report))
    _, shown = rows_of(seeds)
    assert shown.remarks[0] == (
        "transfer_dtd_linear figures differ in max_iterations 1000 (base-0, base-1) and 10 (base-2)"
    )


@pytest.mark.parametrize(
    "train",
    [
        ("folder v1", "folder v2"),
        ("a, those of labels.txt (01234567)", "a, those of labels.txt (89abcdef)"),
    ],
)
def test_as_many_train_images_may_be_others(seeds, train):
    for run, name in zip(seeds, train):
        write_report(run / "linear.json", 0.5, name=name)
    rows, shown = rows_of(seeds[:2])
    assert shown.remarks[0] == (
        f"linear figures differ in train {train[0]} (base-0) and {train[1]} (base-1)"
    )
    assert rows["base"]["linear top-1"] == "-"


def write_data(run, **digests):
    data = {part.replace("_", "-"): {"count": 9, "sha256": sha} for part, sha in digests.items()}
    (run / "data.json").write_text(json.dumps(data))


def test_seeds_of_other_images_are_not_averaged(seeds):
    for run in seeds[:2]:
        write_data(run, training="a" * 64, held_out="b" * 64)
    rows, shown = rows_of(seeds)
    assert rows["base"]["linear top-1"].startswith("55.00 ± 5.00") and not shown.remarks
    write_data(seeds[1], training="c" * 64, held_out="b" * 64)
    rows, shown = rows_of(seeds)
    assert rows["base"]["linear top-1"] == rows["base"]["kNN while training, top-1"] == "-"
    assert shown.remarks == (
        "scenes:train, 4000 of 48 pixels: figures differ in training images 9 of digest "
        "aaaaaaaaaaaa (base-0) "
        "and 9 of digest cccccccccccc (base-1)",
        "base: no mean of its monitor_knn figures, because its seeds differ in training images",
        "base: no mean of its linear figures, because its seeds differ in training images",
    )
    curves = joined_panels(panels(read_runs(seeds)), groups_of(read_runs(seeds)))
    assert not any(panel.title == "linear" for panel in curves)


@pytest.mark.parametrize("key", ["classes", "details"])
def test_annotations_that_runs_learned_from_may_be_others(seeds, key):
    """Boxes made again at one place, or other labels in record files of the same images."""
    for run, told in zip(seeds, ("4" * 20, "5" * 20)):
        digest = {"count": 9, "sha256": "a", "classes": 7, "details": "0"}
        (run / "data.json").write_text(json.dumps({"training": digest | {key: told}}))
    name = "classes" if key == "classes" else "annotations"
    reason = f"base: no mean of its linear figures, because its seeds differ in training {name}"
    rows, shown = rows_of(seeds)
    assert rows["base"]["linear top-1"] == "-" and reason in shown.remarks


def test_boxes_of_each_seed_at_its_own_place_are_meant_to_be_others(tmp_path):
    runs = []
    for seed in (0, 1):
        boxes = ("--crops=object_dilated", f"--proposals=boxes-{seed}")
        run = write_run(tmp_path / f"found-{seed}", f"--seed={seed}", *boxes)
        write_report(run / "linear.json", 0.5, protocol={"epochs": "50.0"})
        digest = {"count": 9, "sha256": "a", "details": f"{seed}"}
        (run / "data.json").write_text(json.dumps({"training": digest}))
        runs.append(run)
    rows, shown = rows_of(runs)
    assert rows["found"]["linear top-1"].startswith("50.00") and not shown.remarks


def test_data_of_a_transfer_may_be_others(seeds):
    for run, test in zip(seeds, ("0" * 20, "1" * 20)):
        data = {"whole": {"sha256": "a", "details": "b"}, "test": {"sha256": "c", "details": test}}
        write_report(run / "linear.json", 0.5, data=data)
    assert rows_of(seeds)[1].remarks[0] == (
        "linear figures differ in test_annotations 000000000000 (base-0) and 111111111111 (base-1)"
    )


def test_test_images_of_one_name_may_be_others(seeds):
    for run, test in zip(seeds, ("0123", "4567")):
        write_report(run / "linear.json", 0.5, contents={"train": "89ab", "test": test})
    assert rows_of(seeds)[1].remarks[0] == (
        "linear figures differ in test_contents 0123 (base-0) and 4567 (base-1)"
    )


def test_annotations_of_one_place_may_be_others(seeds):
    for run, test in zip(seeds, ("0123", "4567")):
        told = {"annotations": {"train": "89ab", "test": test}, "classes": 7}
        write_report(run / "linear.json", 0.5, **told)
    assert rows_of(seeds)[1].remarks[0] == (
        "linear figures differ in test_annotations 0123 (base-0) and 4567 (base-1)"
    )


def test_collapsed_runs_and_other_versions_are_told(seeds):
    line = {"step": 30, "epoch": 3.0, "images_per_second": 100.0, "collapsed": 1.0}
    with (seeds[1] / "metrics.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")
    for run, version, code in zip(seeds, ("2.15.1", "2.21.0"), ("0123", "4567")):
        machine = {"device": "CPU", "replicas": 2, "code": code, "tensorflow": version}
        (run / "environment.json").write_text(json.dumps([machine]))
    remarks = rows_of(seeds)[1].remarks
    assert (
        "training figures differ in code 0123 (base-0) and 4567 (base-1); "
        "tensorflow 2.15.1 (base-0) and 2.21.0 (base-1)"
    ) in remarks
    assert "base-1 has collapsed, as its last look says" in remarks


def test_images_that_could_not_be_read_are_told(seeds):
    write_report(seeds[1] / "linear.json", 0.5, unreadable_images=9)
    assert rows_of(seeds[:2])[1].remarks[0] == (
        "base-1: 9 images could not be read for linear and are left out of it"
    )


def test_an_encoder_in_a_file_has_no_seed_but_a_row(seeds, tmp_path):
    network = {"depth": 50, "width": 1.0, "stem": "imagenet", "stride_in_1x1": False}
    of_file = {"init_encoder": "f", **network}
    write_report(tmp_path / "file" / "linear.json", 0.7, step=0, **of_file)
    rows, _ = rows_of([*seeds, tmp_path / "file"], "base")
    assert (rows["file"]["seeds"], rows["file"]["linear top-1"]) == ("", "70.00")


def test_what_became_of_a_flag_counts():
    small = {"batch_size": 100, "protocol": {"batch_size": "256", "epochs": "5.0"}, "train": "a"}
    assert protocol_of(small) == {"batch_size": "100", "epochs": "5.0"}
    drawn = {"train": "a, 1 % of each class", "train_images": "12"}
    # How a share was drawn is a seed.
    for told in ("a, 1 % of each class", "a, 1 % of each class, seed 3"):
        assert protocol_of({"train": f"{told}, 12 images"}) == drawn
    assert differing([{"a": "1", "b": "1"}, {"a": "1"}, {"a": "2", "c": "3"}]) == ["a"]
    assert told_differences("knn", {"x": {"a": "1"}, "y": {"b": "2"}}) == ""


@pytest.mark.parametrize(
    "flags, key, value",
    [
        (["--knn_k=20"], "knn_k", "20"),
        (["--knn_temperature=0.07"], "knn_temperature", "0.07"),
        (["--monitor_bank=2000"], "monitor_bank", "2000"),
        (["--monitor_queries=64"], "monitor_queries", "64"),
        (["--monitor_split=train"], "monitor_split", "train"),
    ],
)
def test_knn_while_training_has_the_protocol_of_the_flags(flags, key, value, tmp_path):
    """The last column of the table: 35.00 of both, by another k."""
    one, other = write_run(tmp_path / "one"), write_run(tmp_path / "other", *flags)
    default = dataclasses.asdict(read_runs([one])[0].settings.monitor)
    default = {**default, **default["neighbours"]}[key]
    _, shown = rows_of([one, other])
    assert shown.remarks == (
        f"monitor_knn figures differ in {key} {default or 'none'} (one) and {value} (other)",
    )


def test_held_out_images_are_of_the_protocol_of_knn_while_training(tmp_path):
    flags = [[], ["--holdout=100"], ["--holdout=100", "--holdout_rule=spaced"]]
    runs = [write_run(tmp_path / f"{n}", *own) for n, own in enumerate(flags)]
    _, shown = rows_of(runs)
    assert shown.remarks == (
        "monitor_knn figures differ in holdout 0 (0) and 100 (1, 2); "
        "holdout_rule seeded (1) and spaced (2)",
    )


def test_seeds_whose_monitors_are_unlike_are_not_averaged(tmp_path):
    """The split of the monitors may change without another result, so these are one row."""
    flags = [["--monitor_split=train"], []]
    runs = [write_run(tmp_path / f"a-{n}", f"--seed={n}", *own) for n, own in enumerate(flags)]
    rows, shown = rows_of(runs)
    assert rows["a"]["kNN while training, top-1"] == "-"
    assert shown.remarks[-1] == (
        "a: no mean of its monitor_knn figures, because its seeds differ in monitor_split"
    )
    found = read_runs(runs)
    assert joined_panels(panels(found), groups_of(found)) == []
    assert rows_of(runs[:1])[0]["a-0"]["kNN while training, top-1"] == "35.00"
