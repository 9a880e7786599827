"""The table and the figure of runs, from directories written by hand."""

import csv
import dataclasses
import json
import subprocess
import sys

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from PIL import Image

from ssl_tf import compare
from ssl_tf.errors import SettingsError, UserError
from ssl_tf.evaluation.curves import Panel, draw_panels, write_png
from ssl_tf.evaluation.run_reports import read_runs
from ssl_tf.evaluation.run_table import panels, table
from ssl_tf.settings import CompareSettings, PretrainSettings, flagfiles


def write_run(directory, *flags, knn="knn_top1", values=(0.2, 0.3, 0.35), probes=(), random="r"):
    """A run of 10 steps an epoch whose figures are those given; its flags ask for two epochs."""
    directory.mkdir(parents=True)
    given = ["--dataset=scenes", "--depth=18", "--width=0.5", "--batch_size=64"]
    given += ["--epochs=2", "--warmup_epochs=0", *flags]
    flagfiles.write_flagfile(flagfiles.parse(given, PretrainSettings), directory / "flags.txt")
    lines = [
        {
            **{"step": 10 * epoch, "epoch": float(epoch)},
            **({"loss": 1.0, "images_per_second": 100.0} if epoch else {}),
            **{"embedding_std": 0.1, knn: value},
        }
        for epoch, value in enumerate(values)
    ]
    lines.insert(1, {"step": 5, "epoch": 0.5, "loss": 1.0})
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (directory / "metrics.jsonl").write_text(text)
    environment = [{"device": "CPU", "replicas": 2}]
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
        *("--method=byol", "--recipe=byol", "--seed=3", "--epochs=1"),
        values=(0.1, 0.25),
        probes=[(10, {"top1": 0.55})],
    )
    several = write_run(tmp_path / "three", "--epochs=1", knn="knn_map", values=(0.3, 0.31))
    return [one, other, several]


def test_the_table_has_each_run_and_each_random_encoder_once(runs):
    rows = table(read_runs(runs)).rows
    assert [row["run"] for row in rows] == ["one", "two", "three", "random"]
    one, two, three, random = rows
    assert one["monitor_knn_top1"] == 0.35 and one["linear_top1"] == 0.5 and one["epochs"] == 2.0
    assert one["machine"] == "2 x CPU" and one["knn_k_t"] == "20, 0.07" and one["knn_top1"] == 0.45
    assert (two["method"], two["encoder"], two["seed"]) == ("byol", "ResNet-18 x0.5", 3)
    assert three["monitor_knn_map"] == 0.31 and "linear_top1" not in three
    assert (random["knn_top1"], random["linear_top1"]) == (0.2, 0.125)
    assert random["encoder"] == "ResNet-18 x0.5"


@pytest.mark.parametrize(
    "flags, network",
    [
        ("--depth=18 --width=1", "ResNet-18"),
        ("--depth=18 --width=0.5 --stem=small", "ResNet-18 x0.5, small stem"),
        ("--depth=50 --width=2", "ResNet-50 x2"),
        ("--depth=50 --width=1 --stride_in_1x1", "ResNet-50, stride in 1x1"),
        (
            "--depth=50 --width=2 --stem=small --stride_in_1x1",
            "ResNet-50 x2, small stem, stride in 1x1",
        ),
    ],
)
def test_networks_are_told_apart(flags, network, tmp_path):
    probes = [(20, {"top1": 0.5})]
    run = write_run(tmp_path / "run", *flags.split(), probes=probes)
    assert [row["encoder"] for row in table(read_runs([run])).rows] == [network, network]


def test_random_encoders_of_one_digest_and_other_strides_have_rows_and_lines(tmp_path):
    """The strides of a bottleneck are in no weight."""
    one = write_run(tmp_path / "one", "--depth=50", probes=[(20, {"top1": 0.5})])
    other = write_run(tmp_path / "other", "--depth=50", "--stride_in_1x1")
    write_fine_tuned(other / "finetune.json", 20, "", top1=0.4)
    runs = read_runs([one, other])
    *_, first, second = table(runs).rows
    assert (first["encoder"], first["linear_top1"]) == ("ResNet-50 x0.5", 0.125)
    assert (second["encoder"], second["finetune_top1"]) == ("ResNet-50 x0.5, stride in 1x1", 0.11)
    assert "finetune_top1" not in first and "linear_top1" not in second
    report = json.loads((one / "linear_20.json").read_text())
    report["random"]["top1"] = 0.25
    (other / "linear.json").write_text(json.dumps(report))
    assert panels(read_runs([one, other]))[1].random == (12.5, 25.0)


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
    write_fine_tuned(two / "finetune.json", 20, "", top1=0.51)
    write_fine_tuned(several / "finetune_1pct.json", 20, "1pct", map=0.61)
    found = table(read_runs(runs))
    rows = found.rows
    assert (rows[0]["finetune_1pct_top1"], rows[0]["finetune_10pct_top1"]) == (0.31, 0.42)
    assert (rows[0]["finetune_1pct_step"], rows[0]["finetune_10pct_step"]) == (20, 20)
    assert rows[0]["finetune_10pct_weight_decay"] == 1e-4 and "finetune_top1" not in rows[0]
    assert rows[1]["finetune_top1"] == 0.51 and rows[2]["finetune_1pct_map"] == 0.61
    assert rows[3]["run"] == "random" and rows[3]["linear_top1"] == 0.125
    for stage in ("finetune_1pct", "finetune_10pct", "finetune"):
        assert rows[3][f"{stage}_top1"] == 0.11
    heading, cells, *_ = cells_of(found)
    first = dict(zip(heading, cells))
    assert first["1 % labels top-1"] == "31.00" and first["10 % labels top-1"] == "42.00"
    assert first["1 % labels top-5"] == "80.00" and "fine-tune top-1" in heading
    assert "1 % labels mAP" in heading and "10 % labels mAP" not in heading


def test_any_share_is_a_column_in_ascending_order(runs):
    shares = ("list|of_mine", "", "10pct", "5000", "0.5pct", "400", "25pct", "1e-05pct")
    for number, share in enumerate(shares):
        path = runs[number % 2] / f"finetune_{number}.json"
        write_fine_tuned(path, 20, share, top1=(number + 1) / 100)
    found = table(read_runs(runs))
    heading, one, two, *_ = cells_of(found)
    start = heading.index("linear top-5") + 1
    assert list(zip(heading, one, two))[start:] == [
        ("1e-05 % labels top-1", "", "8.00"),
        ("0.5 % labels top-1", "5.00", ""),
        ("10 % labels top-1", "3.00", ""),
        ("25 % labels top-1", "7.00", ""),
        ("400 labels top-1", "", "6.00"),
        ("5000 labels top-1", "", "4.00"),
        ("labels list\\|of_mine top-1", "1.00", ""),
        ("fine-tune top-1", "", "2.00"),
    ]


def write_transferred(run, name, dataset, metric="top1", protocol="linear", step=20, **figures):
    trained = {**figures, "penalty": 0.5, "base_learning_rate": 0.2, "weight_decay": 1e-3}
    random = {name: value / 2 for name, value in figures.items()} | {"encoder_sha256": "r"}
    report = {
        "dataset": dataset, "protocol": protocol, "metric": metric, "step": step,
        "image_size": 32, "settings": {}, "trained": trained, "random": random,
    }  # fmt: skip
    (run / "transfer").mkdir(exist_ok=True)
    (run / "transfer" / f"{name}_{protocol}.json").write_text(json.dumps(report))


def test_transfer_figures_are_columns_by_the_metric_of_the_protocol(runs):
    one, two, _ = runs
    figures = {"top1": 0.7, "top5": 0.9, "mean_per_class": 0.6}
    write_transferred(one, "oxford_iiit_pet", "oxford_iiit_pet", "mean_per_class", **figures)
    write_transferred(one, "cifar10", "cifar10", protocol="finetune", top1=0.8)
    write_transferred(two, "sun397", "sun397/standard-part1-120k", top1=0.4)
    write_transferred(two, "food101_a", "food101", top1=0.3)
    # Of one data set and protocol the newest step counts; the name of the file says nothing.
    write_transferred(two, "food101", "food101", step=10, top1=0.2)
    write_transferred(two, "food101_b", "food101", step=5, top1=0.1)
    # A data set without a protocol of ours, of a newer version.
    write_transferred(two, "flowers", "flowers/all", top1=0.25)
    found = table(read_runs(runs))
    heading, *lines = cells_of(found)
    start = heading.index("linear top-5") + 1
    assert list(zip(heading, lines[0], lines[1], lines[3]))[start:] == [
        ("transfer to Food-101, linear top-1", "", "30.00", "15.00"),
        ("transfer to SUN397, linear top-1", "", "40.00", "20.00"),
        ("transfer to Pets, linear mean per class", "60.00", "", "30.00"),
        ("transfer to flowers/all, linear top-1", "", "25.00", "12.50"),
        ("transfer to CIFAR-10, fine-tuned top-1", "80.00", "", "40.00"),
    ]
    one, two, _, random = csv.DictReader(found.as_csv().splitlines())
    assert one["transfer_oxford_iiit_pet_linear_top1"] == "0.7"
    assert one["transfer_oxford_iiit_pet_linear_top5"] == "0.9"
    assert one["transfer_oxford_iiit_pet_linear_penalty"] == "0.5"
    assert one["transfer_cifar10_finetune_base_learning_rate"] == "0.2"
    assert one["transfer_cifar10_finetune_weight_decay"] == "0.001"
    assert two["transfer_food101_linear_step"] == "20" and two["transfer_sun397_linear_top5"] == ""
    assert random["transfer_oxford_iiit_pet_linear_top1"] == "0.35"


def cells_of(found):
    """Cells of the Markdown, without the rule."""
    heading, _, *rows = [line[2:-2].split(" | ") for line in found.as_markdown().splitlines()]
    return [[cell.strip() for cell in line] for line in (heading, *rows)]


@pytest.mark.parametrize(
    "name, text, told",
    [
        ("finetune_1pct", '{"step": 3, "trained": {"top1": 0.5}}', "lacks share, epochs"),
        ("finetune_1pct", '{"step": 3, "share": "1pct", "epochs": 1, "trained": {}}', "figures of"),
        ("finetune", '{"step": 3, "sh', "is damaged"),
        ("knn", '{"step": 3, "trained": {"top1": 0.5}}', "lacks knn_k, knn_temperature"),
        ("linear", '{"step": 3, "trained": {"loss": 1}}', "figures of the trained encoder"),
        ("linear", '{"step": 3, "trained": [1]}', "figures of the trained encoder"),
        ("linear", '{"step": "3", "trained": {"top1": 1}}', "lacks a step that is a number"),
        (
            "linear",
            '{"step": 3, "trained": {"top1": 1}, "random": {"top1": 0}}',
            "lacks encoder_sha256 of the random encoder",
        ),
        ("transfer/dtd_linear", '{"step": 3, "tr', "is damaged"),
        ("transfer/dtd_linear", '{"step": 3, "trained": {"top1": 1}}', "lacks dataset, protocol"),
        (
            "transfer/dtd_linear",
            '{"step": 3, "dataset": "dtd", "protocol": "linear", "metric": "mean_per_class", '
            '"trained": {"top1": 1}}',
            "lacks mean_per_class of the trained encoder",
        ),
        ("environment", '{"replicas": 1}', "is no list of environments"),
        ("environment", '[{"replicas": 1}]', "is no list of environments"),
        ("environment", "[]", "is no list of environments"),
    ],
)
def test_a_report_of_another_kind_is_one_line_that_names_it(runs, name, text, told):
    path = runs[0] / f"{name}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    with pytest.raises(UserError, match=told) as raised:
        read_runs(runs)
    assert str(path) in str(raised.value) and "\n" not in str(raised.value)


def test_markdown_shows_percent_and_leaves_empty_columns_out(runs):
    lines = table(read_runs(runs)).as_markdown().splitlines()
    heading, rule, *rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    assert set(rule) == {"---"} and all(len(row) == len(heading) for row in rows)
    one = dict(zip(heading, rows[0]))
    assert one["linear top-1"] == "50.00" and one["linear top-5"] == "90.00"
    assert one["kNN k, T"] == "20, 0.07" and one["epochs"] == "2"
    assert "linear mAP" not in heading and "kNN mean per class" not in heading
    assert dict(zip(heading, rows[1]))["linear top-5"] == ""


def test_csv_holds_everything_as_it_is(runs):
    rows = list(csv.DictReader(table(read_runs(runs)).as_csv().splitlines()))
    assert float(rows[0]["linear_top5"]) == 0.9 and rows[0]["linear_step"] == "20"
    assert rows[2]["linear_top1"] == "" and rows[0]["images_per_second"] == "100.0"
    # Columns of kNN and probe are there with and without reports.
    assert rows[0]["knn_map"] == "" and rows[0]["linear_base_learning_rate"] == "0.1"


def test_panels_hold_percent_over_epochs(runs):
    write_fine_tuned(runs[1] / "finetune_5pct.json", 5, "5pct", top1=0.3)
    write_transferred(runs[0], "dtd", "dtd", top1=0.6)
    knn, knn_map, neighbours, linear, share, dtd = panels(read_runs(runs))
    assert (knn.title, knn.figure) == ("kNN while training", "top-1")
    assert knn.series["one"] == [(0.0, 20.0), (1.0, 30.0), (2.0, 35.0)] and knn.random == ()
    assert knn_map.series["three"] == [(0.0, 30.0), (1.0, 31.0)] and not knn_map.series["one"]
    assert knn_map.figure == "mAP"
    assert neighbours.series == {"one": [(2.0, 45.0)], "two": [], "three": []}
    assert neighbours.random == (20.0,)
    assert linear.series["one"] == [(1.0, 40.0), (2.0, 50.0)]
    assert linear.series["two"] == [(1.0, pytest.approx(55.0))] and linear.random == (12.5,)
    assert share.title == "fine-tuned on 5 % of the labels"
    assert share.series["two"] == [(0.5, 30.0)] and share.random == (11.0,)
    assert dtd.title == "transfer to DTD, linear" and dtd.series["one"] == [(2.0, 60.0)]


def test_each_random_encoder_has_a_line(tmp_path):
    probes = [(20, {"top1": 0.5})]
    runs = [write_run(tmp_path / name, probes=probes, random=name) for name in ("a", "b")]
    assert panels(read_runs(runs))[-1].random == (12.5, 12.5)


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


def test_runs_without_figures_have_a_table_alone(tmp_path, capsys):
    run = write_run(tmp_path / "one", "--epochs=0.5", values=())
    arguments = [str(run), f"--output={tmp_path / 'out'}"]
    compare.main(flagfiles.parse(compare.flags_of(arguments), CompareSettings))
    assert capsys.readouterr().err == "no figures yet, so no curves.png\n"
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"table.md", "table.csv"}


def test_what_cannot_be_compared_is_one_clear_line(runs, tmp_path):
    with pytest.raises(SettingsError, match="give the run directories"):
        flagfiles.parse(compare.flags_of(["--output=x"]), CompareSettings)
    with pytest.raises(SettingsError, match="--runs: a is given beside it"):
        compare.flags_of(["a", "--runs=b", "--output=x"])
    with pytest.raises(SettingsError, match="a,b: a comma ends the name"):
        compare.flags_of(["a,b", "--output=x"])
    with pytest.raises(UserError, match="no run directory"):
        read_runs([tmp_path])
    (runs[0] / "linear_20.json").write_text('{"step": 3')
    with pytest.raises(UserError, match="linear_20.json is damaged"):
        read_runs(runs)
    (runs[0] / "linear_20.json").write_text("[]")
    with pytest.raises(UserError, match="linear_20.json is no report"):
        read_runs(runs)


def lines_of(axes):
    """Lines with a marker, in order: those of series."""
    return [line for line in axes.get_lines() if line.get_marker() != "None"]


def dashed_of(axes):
    return [line.get_ydata()[0] for line in axes.get_lines() if line.get_linestyle() == "--"]


def test_several_points_are_curves():
    series = {"up": [(0, 0), (10, 100)], "none": [], "flat": [(5, 50)]}
    (axes,) = draw_panels([Panel("probe", "mAP", series, (25.0, 30.0))]).axes
    up, flat = lines_of(axes)
    assert up.get_xydata().tolist() == [[0, 0], [10, 100]]
    assert flat.get_xydata().tolist() == [[5, 50]]
    assert (up.get_color(), flat.get_color()) == ("#0072b2", "#009e73")
    assert (up.get_marker(), flat.get_marker()) == ("o", "^") and not up.get_clip_on()
    assert dashed_of(axes) == [25.0, 30.0]
    assert [text.get_text() for text in axes.texts] == ["25.0\nto 30.0"]
    assert axes.get_xlim()[0] == 0 and axes.get_xlim()[1] >= 10
    assert axes.get_ylim()[0] == 0 and axes.get_ylim()[1] >= 100
    labels = axes.get_title(), axes.get_xlabel(), axes.get_ylabel()
    assert labels == ("probe", "epoch", "mAP (%)") and not axes.patches


def test_epochs_of_bars_are_short():
    """The last step of a run ends a little before its last epoch."""
    series = {"one": [(9.9994, 40.0)], "two": [(1000, 50.0)], "three": [(0.0221, 45.0)]}
    (axes,) = draw_panels([Panel("a", "top-1", series)]).axes
    assert [label.get_text() for label in axes.get_xticklabels()] == ["10", "1000", "0.0221"]


def test_a_random_encoder_outside_of_the_curves_is_seen():
    series = {"one": [(0, 50), (1, 51)]}
    (axes,) = draw_panels([Panel("a", "top-1", series, (10.0,))]).axes
    low, high = axes.get_ylim()
    assert low < 10 and high > 51


def test_single_points_are_bars_with_their_values():
    series = {"one": [(10, 42.26)], "none": [], "other": [(20, 55.0)]}
    (axes,) = draw_panels([Panel("1 % labels", "top-1", series, (60.0,))]).axes
    bars = [(bar.get_x() + bar.get_width() / 2, bar.get_height()) for bar in axes.patches]
    np.testing.assert_allclose(bars, [(0, 42.26), (2, 55.0)])
    assert [to_hex(bar.get_facecolor()) for bar in axes.patches] == ["#0072b2", "#009e73"]
    assert [text.get_text() for text in axes.texts] == ["42.3", "55.0", "60.0"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["10", "20"]
    assert axes.get_ylim()[0] == 0 and axes.get_ylim()[1] > 60 and dashed_of(axes) == [60.0]
    assert [line.get_marker() for line in lines_of(axes)] == ["o", "^"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("epochs of training", "top-1 (%)")


def test_panels_stand_in_rows_over_one_legend():
    names = ["_hidden", "costs $5 or $6", *map(str, range(12))]
    series = {name: [(1, 10.0 * number)] for number, name in enumerate(names, 1)}
    shown = [Panel(f"panel {i}", "top-1", series, (5.0,) if i == 3 else ()) for i in range(7)]
    figure = draw_panels(shown)
    assert [axes.get_title() for axes in figure.axes] == [panel.title for panel in shown]
    places = [axes.get_subplotspec() for axes in figure.axes]
    rows = [(place.rowspan.start, place.colspan.start) for place in places]
    assert rows == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (2, 0)]
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [*names, "random encoder"]
    assert not any(text.get_parse_math() for text in legend.get_texts())
    # More runs than colours: each still differs from all others, as a line and as a bar.
    handles = legend.get_lines()[:-1]
    assert len({(line.get_color(), line.get_linestyle()) for line in handles}) == len(names)
    bars = figure.axes[0].patches
    assert len({(bar.get_facecolor(), bar.get_hatch()) for bar in bars}) == len(names)
    # All of the figure lies on the canvas, and no panel in the legend.
    figure.draw_without_rendering()
    canvas, box = figure.bbox, legend.get_window_extent()
    assert canvas.x0 <= box.x0 and box.x1 <= canvas.x1 and canvas.y0 <= box.y0
    for axes in figure.axes:
        extent = axes.get_tightbbox()
        assert extent.y0 >= box.y1 and extent.x1 <= canvas.x1 and extent.y1 <= canvas.y1


def test_a_long_name_lies_on_the_canvas():
    figure = draw_panels([Panel("a", "top-1", {"/experiments/run" * 8: [(1, 50.0)]})])
    figure.draw_without_rendering()
    box = figure.legends[0].get_window_extent()
    assert 0 <= box.x0 and box.x1 <= figure.bbox.x1


def test_the_same_panels_give_the_same_bytes_whatever_the_users_style(tmp_path):
    shown = [Panel("a", "top-1", {"one": [(0, 20.0), (1, 30.0)]}, (12.5,))]
    write_png(draw_panels(shown), tmp_path / "one.png")
    style = {"figure.facecolor": "black", "font.size": 30, "savefig.bbox": "tight"}
    with matplotlib.rc_context(style):
        write_png(draw_panels(shown), tmp_path / "two.png")
        assert matplotlib.rcParams["font.size"] == 30
    first = (tmp_path / "one.png").read_bytes()
    assert first == (tmp_path / "two.png").read_bytes()
    with Image.open(tmp_path / "one.png") as image:
        assert image.format == "PNG" and not {"Software", "Creation Time"} & image.info.keys()
        pixels = np.asarray(image.convert("RGB")).astype(int)
    assert (pixels[0, 0] == 255).all()
    assert (np.abs(pixels - [0, 0x72, 0xB2]).max(-1) < 8).sum() > 300  # the curve of the first


def test_a_picture_is_complete_or_absent(tmp_path, monkeypatch):
    path = tmp_path / "curves.png"
    figure = draw_panels([Panel("a", "top-1", {"one": [(0, 20.0)]})])
    save = Figure.savefig

    def half(figure, name, **how):
        save(figure, name, **how)
        name.write_bytes(name.read_bytes()[:100])
        raise OSError("disk full")

    monkeypatch.setattr(Figure, "savefig", half)
    with pytest.raises(OSError, match="disk full"):
        write_png(figure, path)
    assert not path.exists()
    monkeypatch.undo()
    write_png(figure, path)
    with Image.open(path) as image:
        image.load()
    assert [path.name for path in tmp_path.iterdir()] == ["curves.png"]


def test_a_slip_in_a_flag_does_not_wait_for_matplotlib():
    how = [sys.executable, "-X", "importtime", "-m", "ssl_tf.compare", "run"]
    done = subprocess.run(how, capture_output=True, text=True)
    assert done.returncode == 2 and "error: --output: give the directory" in done.stderr
    assert "ssl_tf.settings" in done.stderr and "matplotlib" not in done.stderr


def test_a_report_of_unlike_protocols_in_one_run_is_told(tmp_path):
    run = write_run(tmp_path / "one", probes=[(10, {"top1": 0.5}), (20, {"top1": 0.4})])
    for step, epochs in ((10, "50.0"), (20, "1.0")):
        path = run / f"linear_{step}.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"protocol": {"epochs": epochs}}))
    told = "one: linear figures differ in epochs 50.0 (step 10) and 1.0 (step 20)"
    assert table(read_runs([run])).remarks == (told,)


def test_reports_named_by_their_place_keep_what_their_data_is(tmp_path):
    """Two runs, each judged on images of its own by two stages at one step."""
    runs = []
    for name in ("A", "B"):
        run = write_run(tmp_path / name, probes=[(20, {"top1": 0.5})])
        report = json.loads((run / "linear_20.json").read_text()) | {"test": f"{name}, 9 images"}
        for place in ("linear_20", "linear_augment"):
            (run / f"{place}.json").write_text(json.dumps(report))
        runs.append(run)
    rows = table(read_runs(runs)).rows
    for row, other in (("A", "B"), ("B", "A")):
        own = next(found for found in rows if found["run"] == row)
        assert own[f"linear_augment_{row}_9_images_top1"] == 0.5
        assert not any(f"_{other}_" in column for column in own)


def test_columns_of_stages_at_one_place_stand_in_the_order_of_their_reports(tmp_path):
    """Not in that of a set of texts, which is another one in each process."""
    run = read_runs([write_run(tmp_path / "run", probes=[(20, {"top1": 0.5})])])[0]
    (stage,) = run.reports
    names = [f"linear_{letter}" for letter in "hgfedcba"]
    reports = {dataclasses.replace(stage, name=name): run.reports[stage] for name in names}
    columns = table([dataclasses.replace(run, reports=reports)]).columns
    found = [name.removesuffix("_top1") for name in columns if name.endswith("_top1")]
    assert [name for name in found if name in names] == names
