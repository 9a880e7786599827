"""The table and the curves of runs, from directories written by hand."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

from ssl_tf import compare
from ssl_tf.errors import SettingsError, UserError
from ssl_tf.evaluation.curves import Panel, draw_curves, ticks
from ssl_tf.evaluation.run_table import as_csv, as_markdown, panels, read_runs, table
from ssl_tf.settings import CompareSettings, PretrainSettings, flagfiles


def write_run(directory, *flags, knn="knn_top1", values=(0.2, 0.3, 0.35), probes=(), random="r"):
    """A run of 10 steps an epoch whose figures are those given."""
    directory.mkdir(parents=True)
    given = ["--dataset=scenes", "--depth=18", "--width=0.5", "--batch_size=64", *flags]
    flagfiles.write_flagfile(flagfiles.parse(given, PretrainSettings), directory / "flags.txt")
    lines = [
        {"step": 10 * epoch, "epoch": float(epoch), "images_per_second": 100.0, knn: value}
        for epoch, value in enumerate(values)
    ]
    lines.insert(1, {"step": 5, "epoch": 0.5, "loss": 1.0})
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (directory / "metrics.jsonl").write_text(text)
    environment = [{"device": "A", "replicas": 1}, {"device": "CPU", "replicas": 2}]
    (directory / "environment.json").write_text(json.dumps(environment))
    for step, figures in probes:
        report = {
            "step": step,
            "trained": {**figures, "base_learning_rate": 0.1},
            "random": {"top1": 0.125, "encoder_sha256": random},
        }
        (directory / f"linear_{step}.json").write_text(json.dumps(report))
    return directory


@pytest.fixture
def runs(tmp_path):
    one = write_run(
        tmp_path / "one", probes=[(20, {"top1": 0.5, "top5": 0.9}), (10, {"top1": 0.4})]
    )
    knn = {
        "step": 20, "knn_k": 20, "knn_temperature": 0.07,
        "trained": {"top1": 0.45}, "random": {"top1": 0.2, "encoder_sha256": "r"},
    }  # fmt: skip
    (one / "knn.json").write_text(json.dumps(knn))
    other = write_run(
        tmp_path / "two",
        *("--method=byol", "--recipe=byol", "--seed=3", "--width=1"),
        values=(0.1, 0.25),
        probes=[(10, {"top1": 0.55})],
    )
    several = write_run(tmp_path / "three", knn="knn_map", values=(0.3, 0.31))
    return [one, other, several]


def test_the_table_has_each_run_and_each_random_encoder_once(runs):
    rows = table(read_runs(runs))
    assert [row["run"] for row in rows] == ["one", "two", "three", "random"]
    one, two, three, random = rows
    assert one["monitor_knn_top1"] == 0.35 and one["linear_top1"] == 0.5 and one["epochs"] == 2.0
    assert one["machine"] == "2 x CPU" and one["knn"] == "20, 0.07" and one["knn_top1"] == 0.45
    assert (two["method"], two["encoder"], two["seed"]) == ("byol", "ResNet-18", 3)
    assert three["monitor_knn_map"] == 0.31 and "linear_top1" not in three
    assert (random["knn_top1"], random["linear_top1"]) == (0.2, 0.125)
    assert random["encoder"] == "ResNet-18 x0.5"


def write_fine_tuned(path, step, share, **figures):
    random = {"top1": 0.11, "encoder_sha256": "r"}
    trained = {**figures, "base_learning_rate": 0.1, "weight_decay": 1e-4}
    report = {"step": step, "epochs": 30.0, "share": share, "trained": trained, "random": random}
    path.write_text(json.dumps(report))


def test_shares_of_the_labels_stand_side_by_side(runs):
    one, two, several = runs
    write_fine_tuned(one / "finetune_1pct.json", 20, "1pct", top1=0.31, top5=0.8)
    write_fine_tuned(one / "finetune_10pct.json", 10, "10pct", top1=0.41)
    # Of one share that of the last step counts, whatever it is called.
    write_fine_tuned(one / "finetune_10pct_late.json", 20, "10pct", top1=0.42)
    write_fine_tuned(one / "finetune_5pct.json", 20, "5pct", top1=0.99)
    write_fine_tuned(two / "finetune.json", 20, "", top1=0.51)
    write_fine_tuned(several / "finetune_1pct.json", 20, "1pct", map=0.61)
    rows = table(read_runs(runs))
    assert (rows[0]["finetune_1pct_top1"], rows[0]["finetune_10pct_top1"]) == (0.31, 0.42)
    assert (rows[0]["finetune_1pct_step"], rows[0]["finetune_10pct_step"]) == (20, 20)
    assert rows[0]["finetune_10pct_weight_decay"] == 1e-4 and "finetune_top1" not in rows[0]
    assert rows[1]["finetune_top1"] == 0.51 and rows[2]["finetune_1pct_map"] == 0.61
    assert rows[3]["run"] == "random" and rows[3]["linear_top1"] == 0.125
    for stage in ("finetune_1pct", "finetune_10pct", "finetune"):
        assert rows[3][f"{stage}_top1"] == 0.11
    heading, _, first, *_ = as_markdown(rows).splitlines()
    cells = dict(zip(heading.split(" | "), first.split(" | ")))
    assert cells["1 % labels top-1"] == "31.00" and cells["10 % labels top-1"] == "42.00"
    assert cells["1 % labels top-5"] == "80.00" and "fine-tune top-1" in heading
    assert "1 % labels mAP" in heading and "10 % labels mAP" not in heading


@pytest.mark.parametrize(
    "name, text, told",
    [
        ("finetune_1pct", '{"step": 3, "trained": {"top1": 0.5}}', "lacks share, epochs"),
        ("finetune_1pct", '{"step": 3, "share": "1pct", "epochs": 1, "trained": {}}', "figures of"),
        ("finetune", '{"step": 3, "sh', "is damaged"),
        ("knn", '{"step": 3, "trained": {"top1": 0.5}}', "lacks knn_k, knn_temperature"),
        ("linear", '{"step": 3, "trained": {"loss": 1}}', "figures of the trained encoder"),
    ],
)
def test_a_report_of_another_kind_is_one_line_that_names_it(runs, name, text, told):
    (runs[0] / f"{name}.json").write_text(text)
    with pytest.raises(UserError, match=told) as raised:
        read_runs(runs)
    assert f"{name}.json" in str(raised.value)


def test_markdown_shows_percent_and_leaves_empty_columns_out(runs):
    lines = as_markdown(table(read_runs(runs))).splitlines()
    heading, rule, *rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    assert set(rule) == {"---"} and all(len(row) == len(heading) for row in rows)
    one = dict(zip(heading, rows[0]))
    assert one["linear top-1"] == "50.00" and one["linear top-5"] == "90.00"
    assert one["kNN k, T"] == "20, 0.07" and one["epochs"] == "2"
    assert "linear mAP" not in heading and "kNN mean per class" not in heading
    assert dict(zip(heading, rows[1]))["linear top-5"] == ""


def test_csv_holds_everything_as_it_is(runs):
    rows = list(csv.DictReader(as_csv(table(read_runs(runs))).splitlines()))
    assert float(rows[0]["linear_top5"]) == 0.9 and rows[0]["linear_step"] == "20"
    assert rows[2]["linear_top1"] == "" and rows[0]["images_per_second"] == "100.0"


def test_curves_run_over_epochs(runs):
    knn, knn_map, linear = panels(read_runs(runs))
    assert knn.title == "kNN top-1 while training"
    assert knn.series["one"] == [(0.0, 20.0), (1.0, 30.0), (2.0, 35.0)]
    assert knn_map.series["three"] == [(0.0, 30.0), (1.0, 31.0)] and not knn_map.series["one"]
    assert linear.series["one"] == [(1.0, 40.0), (2.0, 50.0)]
    assert linear.series["two"] == [(1.0, pytest.approx(55.0))]


def test_runs_whose_directories_end_alike_are_named_in_full(tmp_path):
    paths = [write_run(tmp_path / parent / "run") for parent in ("a", "b")]
    assert [run.name for run in read_runs(paths)] == [str(path) for path in paths]


def test_the_command_writes_table_and_picture(runs, tmp_path, capsys):
    arguments = [*map(str, runs), f"--output={tmp_path / 'out'}"]
    compare.main(flagfiles.parse(compare.flags_of(arguments), CompareSettings))
    told = capsys.readouterr()
    assert (tmp_path / "out" / "table.md").read_text() == told.out
    assert "| one | ma_ssrl |" in told.out
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"table.md", "table.csv", "curves.png"}
    (runs[0] / "knn.json").write_text(
        json.dumps({"step": 7, "knn_k": 1, "knn_temperature": 1.0, "trained": {"top1": 0.1}})
    )
    compare.main(flagfiles.parse(compare.flags_of(arguments), CompareSettings))
    assert "one: its knn figures are of step 7, its last step is 20" in capsys.readouterr().err


def test_what_cannot_be_compared_is_one_clear_line(runs, tmp_path):
    with pytest.raises(SettingsError, match="give the run directories"):
        flagfiles.parse(compare.flags_of(["--output=x"]), CompareSettings)
    with pytest.raises(UserError, match="no run directory"):
        read_runs([tmp_path])
    (runs[0] / "linear_20.json").write_text('{"step": 3')
    with pytest.raises(UserError, match="linear_20.json is damaged"):
        read_runs(runs)
    (runs[0] / "linear_20.json").write_text("[]")
    with pytest.raises(UserError, match="linear_20.json is no report"):
        read_runs(runs)


@pytest.mark.parametrize(
    "low, high, expected",
    [
        (0, 100, [0, 20, 40, 60, 80, 100]),
        (0, 10, [0, 2, 4, 6, 8, 10]),
        (21.3, 48.8, [20, 25, 30, 35, 40, 45, 50]),
        (0, 0.3, [0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3]),
        (5, 5, [4, 4.5, 5, 5.5, 6]),
    ],
)
def test_ticks_are_round_and_enclose(low, high, expected):
    assert ticks(low, high) == pytest.approx(expected)


def test_curves_pass_through_their_points(tmp_path):
    path = tmp_path / "curves.png"
    # Axes from 0 to 10 and from 0 to 100: the middle of the panel is epoch 5, 50 %.
    draw_curves([Panel("a", {"up": [(0, 0), (10, 100)], "none": [], "flat": [(5, 50)]})], path)
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    left, right, top, bottom = 2 * 52, 2 * (460 - 16), 2 * 30, 2 * (300 - 42)
    centre = pixels[(top + bottom) // 2, (left + right) // 2]
    assert np.abs(centre - [0, 0x9E, 0x73]).max() < 30  # the mark of the third, on top
    for share in (0.2, 0.8):
        x, y = left + share * (right - left), bottom - share * (bottom - top)
        found = pixels[round(y), round(x)]
        assert np.abs(found - [0, 0x72, 0xB2]).max() < 30
    assert (
        pixels[round(bottom - 0.8 * (bottom - top)), round(left + 0.25 * (right - left))] > 200
    ).all()
