"""Reports of several data sets: what is not alike is not joined."""

import csv
import json

import pytest

from ssl_tf import compare
from ssl_tf.errors import UserError
from ssl_tf.evaluation.run_reports import read_runs
from ssl_tf.evaluation.run_table import panels, table
from ssl_tf.settings import CompareSettings, PretrainSettings, flagfiles

SCENES, CIFAR = "scenes:test, 1000 images", "cifar10:test, 10000 images"


def write_run(directory, *flags, curve=(0.2, 0.3)):
    """A run of 10 steps an epoch, kNN while training as given."""
    directory.mkdir()
    given = ["--dataset=scenes", "--depth=18", "--batch_size=64", *flags]
    flagfiles.write_flagfile(flagfiles.parse(given, PretrainSettings), directory / "flags.txt")
    lines = [
        json.dumps({"step": 10 * epoch, "epoch": float(epoch), "knn_top1": value}) + "\n"
        for epoch, value in enumerate(curve)
    ]
    (directory / "metrics.jsonl").write_text("".join(lines))
    return directory


def write_report(path, test, trained, random, k=20, step=10):
    report = {
        "step": step, "knn_k": k, "knn_temperature": 0.1, "train": test.replace("test", "train"),
        "test": test, "trained": {"top1": trained},
        "random": {"top1": random, "encoder_sha256": "r"},
    }  # fmt: skip
    path.write_text(json.dumps(report))


def cells_of(found):
    heading, _, *rows = [line[2:-2].split(" | ") for line in found.as_markdown().splitlines()]
    return [dict(zip(heading, [cell.strip() for cell in row])) for row in rows]


def test_figures_of_two_data_sets_share_neither_column_nor_panel(tmp_path):
    one, two = write_run(tmp_path / "one"), write_run(tmp_path / "two", "--dataset=cifar10")
    write_report(one / "linear.json", SCENES, 0.5, 0.1)
    write_report(two / "linear.json", CIFAR, 0.7, 0.3)
    write_report(one / "linear_cifar10.json", CIFAR, 0.6, 0.3)
    runs = read_runs([one, two])
    found = table(runs)
    first, second, random = cells_of(found)
    assert first["data"] == "scenes:train, 4000 of 48 pixels" and second["data"] == "cifar10:train"
    on_scenes, on_cifar = f"linear, {SCENES}: top-1", f"linear, {CIFAR}: top-1"
    assert (first[on_scenes], first[on_cifar]) == ("50.00", "60.00")
    assert (second[on_scenes], second[on_cifar]) == ("", "70.00")
    assert (random[on_scenes], random[on_cifar]) == ("10.00", "30.00")
    assert "linear top-1" not in first
    (row, *_) = csv.DictReader(found.as_csv().splitlines())
    assert row["linear_cifar10_test_10000_images_top1"] == "0.6"
    assert row["linear_cifar10_test_10000_images_train"] == "cifar10:train, 10000 images"
    drawn = {panel.title: panel for panel in panels(runs)}
    assert drawn[f"linear classifier, {CIFAR}"].series == {
        "one": [(1.0, 60.0)], "two": [(1.0, 70.0)]
    }  # fmt: skip
    assert drawn[f"linear classifier, {SCENES}"].series == {"one": [(1.0, 50.0)], "two": []}
    assert drawn["kNN while training, cifar10:train"].series["one"] == []


def test_one_data_set_is_a_column_of_its_own(tmp_path):
    runs = [write_run(tmp_path / name) for name in ("one", "two")]
    for run in runs:
        write_report(run / "linear.json", SCENES, 0.5, 0.1)
        write_report(run / "knn.json", SCENES, 0.4, 0.2)
    first, _, random = cells_of(table(read_runs(runs)))
    for row in (first, random):
        assert row["linear data"] == row["kNN data"] == SCENES
    assert (first["linear top-1"], random["kNN top-1"]) == ("50.00", "20.00")


def test_a_random_encoder_has_a_row_for_each_k_of_knn(tmp_path):
    runs = [write_run(tmp_path / name) for name in ("one", "two", "three")]
    for run, (k, random) in zip(runs, ((20, 0.2), (200, 0.15), (20, 0.2))):
        write_report(run / "knn.json", SCENES, 0.4, random, k)
        write_report(run / "linear.json", SCENES, 0.5, 0.1)
    *_, first, second = rows = cells_of(table(read_runs(runs)))
    assert [row["run"] for row in rows] == ["one", "two", "three", "random", "random"]
    assert (first["kNN k, T"], first["kNN top-1"], first["linear top-1"]) == (
        "20, 0.1", "20.00", "10.00"
    )  # fmt: skip
    assert (second["kNN k, T"], second["kNN top-1"], second["linear top-1"]) == (
        "200, 0.1", "15.00", ""
    )  # fmt: skip


def test_two_reports_of_one_step_have_columns_by_their_files(tmp_path):
    runs = [write_run(tmp_path / name) for name in ("one", "two")]
    for run, plain, augmented in zip(runs, (0.5, 0.6), (0.7, 0.4)):
        write_report(run / "linear.json", SCENES, plain, 0.1)
        write_report(run / "linear_augment.json", SCENES, augmented, 0.2)
        write_report(run / "knn.json", SCENES, 0.3, 0.1)
    found = table(read_runs(runs))
    rows = found.rows[:2]
    assert [row["linear_top1"] for row in rows] == [0.5, 0.6]
    assert [row["linear_augment_top1"] for row in rows] == [0.7, 0.4]
    assert [row["knn_top1"] for row in rows] == [0.3, 0.3]
    assert cells_of(found)[0]["linear (linear_augment) top-1"] == "70.00"
    assert {panel.title for panel in panels(read_runs(runs))} >= {
        "linear classifier", "linear classifier (linear_augment)",
    }  # fmt: skip
    # A run that has one of them alone has it in the column of its file.
    (runs[1] / "linear.json").unlink()
    second = table(read_runs(runs)).rows[1]
    assert second["linear_augment_top1"] == 0.4 and "linear_top1" not in second


def test_a_report_of_neighbours_may_have_the_name_of_a_figure(tmp_path):
    run = write_run(tmp_path / "one")
    write_report(run / "knn.json", SCENES, 0.3, 0.1, k=20)
    write_report(run / "knn_map.json", SCENES, 0.4, 0.1, k=200)
    row = cells_of(table(read_runs([run])))[0]
    assert [row[f"kNN{name} k, T"] for name in ("", " (knn_map)")] == ["20, 0.1", "200, 0.1"]
    assert [row[f"kNN{name} top-1"] for name in ("", " (knn_map)")] == ["30.00", "40.00"]


def test_a_run_without_figures_is_not_in_the_legend_and_told(tmp_path, capsys):
    runs = [write_run(tmp_path / "one"), write_run(tmp_path / "new", curve=())]
    (panel,) = panels(read_runs(runs))
    assert list(panel.series) == ["one"]
    arguments = [*map(str, runs), f"--output={tmp_path / 'out'}"]
    compare.main(flagfiles.parse(compare.flags_of(arguments), CompareSettings))
    assert "not in curves.png, without figures: new\n" in capsys.readouterr().err


def test_an_encoder_in_a_file_has_a_row_beside_runs(tmp_path):
    run, file = write_run(tmp_path / "one"), tmp_path / "supervised"
    file.mkdir()
    for directory, figure, step in ((run, 0.5, 10), (file, 0.7, 0)):
        write_report(directory / "linear.json", SCENES, figure, 0.1, step=step)
    report = json.loads((file / "linear.json").read_text())
    network = {"depth": 50, "width": 2.0, "stem": "imagenet", "stride_in_1x1": False}
    of_file = {"init_encoder": "resnet50.safetensors", **network}
    (file / "linear.json").write_text(json.dumps({**report, **of_file}))
    runs = read_runs([run, file])
    first, second, random, other = cells_of(table(runs))
    assert (first["run"], first["encoder"]) == ("one", "ResNet-18")
    assert (second["run"], second["encoder"], second["method"]) == (
        "supervised",
        "ResNet-50 x2",
        "",
    )
    assert (first["linear top-1"], second["linear top-1"]) == ("50.00", "70.00")
    for row, network in ((random, "ResNet-18"), (other, "ResNet-50 x2")):
        assert (row["run"], row["encoder"], row["linear top-1"]) == ("random", network, "10.00")
    drawn = {panel.title: panel for panel in panels(runs)}
    assert drawn["linear classifier"].series == {
        "one": [(1.0, 50.0)], "supervised": [(0.0, 70.0)]
    }  # fmt: skip


def test_reports_of_several_files_in_a_directory_are_no_row(tmp_path):
    for stage, digest in (("linear", "a"), ("knn", "a"), ("knn", "b")):
        write_report(tmp_path / f"{stage}.json", SCENES, 0.7, 0.1, step=0)
        report = json.loads((tmp_path / f"{stage}.json").read_text())
        report |= {"init_encoder": f"{digest}.safetensors", "knn_k": 5, "knn_temperature": 0.1}
        report["trained"]["encoder_sha256"] = digest
        (tmp_path / f"{stage}.json").write_text(json.dumps(report))
        if digest == "a":
            assert read_runs([tmp_path])[0].settings is None
    told = r"2 encoders \(a.safetensors, b.safetensors\), .*; give those of each a directory"
    with pytest.raises(UserError, match=told):
        read_runs([tmp_path])


def test_the_network_of_an_encoder_in_a_file_is_told(tmp_path):
    networks = []
    for number, told in enumerate(
        (
            {"stem": "small", "stride_in_1x1": True},
            {"stem": "imagenet", "stride_in_1x1": False},
            {"stem": "imagenet", "depth": 18},
        )
    ):
        file = tmp_path / str(number)
        file.mkdir()
        write_report(file / "linear.json", SCENES, 0.5, 0.1, step=0)
        report = json.loads((file / "linear.json").read_text())
        report |= {"init_encoder": "a.safetensors", "depth": 50, "width": 1.0, **told}
        (file / "linear.json").write_text(json.dumps(report))
        networks.append(read_runs([file])[0].encoder)
    assert networks == ["ResNet-50, small stem, stride in 1x1", "ResNet-50", "ResNet-18"]


def test_a_segmentation_has_its_mean_iou_in_the_table_and_a_panel(tmp_path):
    run = write_run(tmp_path / "one")
    for share, miou, place in (("", 0.5, "segmentation"), ("10pct", 0.25, "segment")):
        directory = run / place  # a study has it under the name of its stage
        directory.mkdir()
        figures = {"miou": miou, "pixel_accuracy": 0.8, "mean_accuracy": 0.6, "train_loss": 1.0}
        report = {
            "step": 10, "share": share, "train": "maps, 9 images", "test": "maps, 4 images",
            "trained": figures, "random": {**figures, "miou": 0.1, "encoder_sha256": "r"},
        }  # fmt: skip
        (directory / "segmentation.json").write_text(json.dumps(report))
    runs = read_runs([run])
    first, random = cells_of(table(runs))
    whole, tenth = "segmentation mIoU", "segmentation, 10 % of the labels mIoU"
    assert (first[whole], first[tenth]) == ("50.00", "25.00")
    assert (random[whole], random[tenth]) == ("10.00", "10.00")
    (row, *_) = csv.DictReader(table(runs).as_csv().splitlines())
    assert row["segmentation_10pct_pixel_accuracy"] == "0.8"
    assert "segmentation_top1" not in row and "linear_miou" not in row
    drawn = {panel.title: panel for panel in panels(runs)}
    assert drawn["semantic segmentation"].series == {"one": [(1.0, 50.0)]}
