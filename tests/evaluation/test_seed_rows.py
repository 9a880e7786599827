"""Runs of several seeds as one row, and runs at equal epochs or compute."""

import csv
import json

import pytest

from ssl_tf import compare
from ssl_tf.errors import SettingsError, UserError
from ssl_tf.evaluation.curves import draw_panels
from ssl_tf.evaluation.equal_budget import at_equal
from ssl_tf.evaluation.run_reports import earlier_figures, read_runs
from ssl_tf.evaluation.run_table import REACHED, UNFINISHED, Table, panels, table
from ssl_tf.evaluation.seed_rows import Group, groups_of, joined, joined_panels
from ssl_tf.settings import CompareSettings, flagfiles
from tests.evaluation.test_run_table import write_run

BASE, WIDE = (0.40, 0.44, 0.42), (0.46, 0.49, 0.475)
# Of an image: two views of each network, forward and backward, and none of a target.
WORK = {
    "views": {"32": 2}, "learned_passes": {"32": 2}, "target_passes": {"32": 0},
    "forward_flops": {"32": 1000},
}  # fmt: skip


def write_seeds(directory, name, values, *flags, work=WORK, epochs=2):
    """Runs NAME-0, NAME-1, ... with these linear figures; each has seen `epochs` epochs."""
    runs = []
    for seed, value in enumerate(values):
        run = write_run(
            directory / f"{name}-{seed}",
            *(f"--seed={seed}", f"--proposals={directory}/boxes-{seed}", "--crops=object_object"),
            *(f"--epochs={epochs}", *flags),
            values=[0.1 + 0.1 * epoch + seed / 100 for epoch in range(epochs + 1)],
            probes=[(10 * epochs, {"top1": value}), (10, {"top1": value - 0.1})],
            random=f"random-{seed}",
        )
        (run / "compute.json").write_text(json.dumps(work))
        runs.append(run)
    return runs


@pytest.fixture
def runs(tmp_path):
    return [
        *write_seeds(tmp_path, "base", BASE),
        *write_seeds(tmp_path, "wide", WIDE, "--tau=0.98"),
    ]


def test_runs_that_differ_in_their_seed_alone_are_one_row(runs, tmp_path):
    other = write_run(tmp_path / "other", "--batch_size=32")
    again = write_seeds(tmp_path / "more", "base", BASE[:1])
    found = groups_of(read_runs([*runs, other, *again]))
    # The boxes of `more` lie elsewhere, so it is another row, and so is a run of its own.
    assert [list(group.runs.values()) for group in found] == [[0, 1, 2], [0, 1, 2], [0], [0]]
    assert [group.name for group in found][1:3] == ["wide", "other"]


def test_a_number_of_the_path_of_all_boxes_is_no_seed(tmp_path):
    runs = read_runs(write_seeds(tmp_path / "round_0" / "1", "base", BASE))
    assert [list(group.runs.values()) for group in groups_of(runs)] == [[0, 1, 2]]


def test_a_seed_that_comes_twice_is_another_row(runs, tmp_path):
    copy = write_run(tmp_path / "copy", "--seed=1")
    twice = write_run(tmp_path / "again", "--seed=1")
    first = write_run(tmp_path / "first", "--seed=0")
    groups = groups_of(read_runs([copy, twice, first]))
    assert [group.runs for group in groups] == [{"copy": 1, "first": 0}, {"again": 1}]
    assert [group.name for group in groups] == ["copy", "again"]


def write_values(directory, values, *flags, random=""):
    """Runs by name -> (seed, linear figure)."""
    return [
        write_run(
            directory / name,
            *(f"--seed={seed}", *flags),
            probes=[(20, {"top1": value})],
            random=random or f"random-{seed}",
        )
        for name, (seed, value) in values.items()
    ]


def test_groups_that_would_have_one_name_stay_apart(tmp_path):
    runs = read_runs(
        [
            *write_values(tmp_path, {"byol": (0, 0.60)}, "--method=byol", "--recipe=byol"),
            *write_values(tmp_path, {"byol-1": (1, 0.50), "byol-2": (2, 0.54)}),
            *write_values(tmp_path, {"far-1": (1, 0.10), "far-2": (2, 0.14)}, "--tau=0.98"),
            *write_values(tmp_path, {"far_1": (1, 0.20), "far_2": (2, 0.24)}, "--tau=0.97"),
            *write_values(
                tmp_path,
                {"random encoder-1": (1, 0.30), "random encoder-2": (2, 0.34)},
                "--tau=0.96",
            ),
            # Not every number that is the seed is the seed.
            *write_values(
                tmp_path, {"B2-1": (1, 0.8), "B2-2": (2, 0.9), "B2-0": (0, 0.85)}, "--tau=0.94"
            ),
            # The run of its name is its own.
            *write_values(tmp_path, {"near": (0, 0.70), "near-1": (1, 0.74)}, "--tau=0.95"),
        ]
    )
    groups = groups_of(runs)
    rows = joined(table(runs), groups, "byol").rows
    assert [(row["run"], row["seeds"], row["linear_top1"]) for row in rows] == [
        ("byol", "0", 0.60),
        ("byol-1", "1 2", pytest.approx(0.52)),
        ("far-1", "1 2", pytest.approx(0.12)),
        ("far_1", "1 2", pytest.approx(0.22)),
        ("random encoder-1", "1 2", pytest.approx(0.32)),
        ("B2", "1 2 0", pytest.approx(0.85)),
        ("near", "0 1", pytest.approx(0.72)),
        ("random encoder", "0 1 2", 0.125),
    ]
    # Of seed 0 alone: 0.70 less 0.60.
    assert rows[6]["linear_top1_difference"] == pytest.approx(0.1)
    (linear,) = [p for p in joined_panels(panels(runs), groups) if p.title == "linear classifier"]
    assert list(linear.series) == [group.name for group in groups]
    assert linear.series["byol"] == [(2.0, 60.0)]
    assert linear.series["byol-1"] == [(2.0, pytest.approx(52.0))]


def test_rows_have_means_errors_and_paired_differences(runs):
    found = read_runs(runs)
    shown = joined(table(found), groups_of(found), "base")
    base, wide, random = shown.rows
    assert (base["run"], base["seeds"], base["epochs"]) == ("base", "0 1 2", 2.0)
    assert base["linear_top1"] == pytest.approx(0.42)
    assert base["linear_top1_error"] == pytest.approx(0.02 / 3**0.5)
    # 0.06, 0.05, 0.055: a standard deviation of 0.005
    assert wide["linear_top1_difference"] == pytest.approx(0.055)
    assert wide["linear_top1_difference_error"] == pytest.approx(0.005 / 3**0.5)
    assert wide["linear_top1_difference_seeds"] == 3 and 0 < wide["linear_top1_difference_p"] < 0.01
    assert "linear_top1_difference" not in base and random["run"] == "random encoder"
    assert random["linear_top1"] == 0.125 and random["linear_top1_error"] == 0.0
    text = shown.as_markdown()
    assert "42.00 ± 1.15" in text and "+5.50 ± 0.29" in text
    assert "linear top-1 less base" in text
    row = next(csv.DictReader(shown.as_csv().splitlines()))
    assert float(row["linear_top1_error"]) == pytest.approx(0.02 / 3**0.5)


def test_the_random_encoder_may_be_the_reference(tmp_path):
    """Seed by seed, and that of the same network."""
    for seed, (random, value) in enumerate([(0.10, 0.40), (0.14, 0.42)]):
        run = write_run(tmp_path / f"one-{seed}", f"--seed={seed}")
        report = {
            "step": 20,
            "trained": {"top1": value, "base_learning_rate": 0.1},
            "random": {"top1": random, "encoder_sha256": f"r{seed}"},
        }
        (run / "linear.json").write_text(json.dumps(report))
    wide = write_run(tmp_path / "wide", "--width=1", probes=[(20, {"top1": 0.5})])
    found = read_runs([*(tmp_path / f"one-{seed}" for seed in (0, 1)), wide])
    one, other, random, _ = joined(table(found), groups_of(found), "random encoder").rows
    assert random["linear_top1"] == pytest.approx(0.12) and random["seeds"] == "0 1"
    # 0.30 and 0.28
    assert one["linear_top1_difference"] == pytest.approx(0.29)
    assert one["linear_top1_difference_error"] == pytest.approx(0.01)
    assert other["linear_top1_difference"] == pytest.approx(0.375)
    assert "linear_top1_difference" not in random


def test_random_encoders_of_other_stems_and_strides_are_no_seeds_of_one_row(tmp_path):
    def write(name, seed, random, value, *flags):
        run = write_run(tmp_path / name, f"--seed={seed}", *flags)
        report = {
            "step": 20,
            "trained": {"top1": value},
            "random": {"top1": random, "encoder_sha256": f"r{seed}"},
        }
        (run / "linear.json").write_text(json.dumps(report))
        return run

    runs = read_runs(
        [
            write("plain-0", 0, 0.10, 0.50, "--depth=50"),
            write("plain-1", 1, 0.14, 0.52, "--depth=50"),
            write("small-0", 0, 0.30, 0.60, "--depth=50", "--stem=small"),
            write("small-1", 1, 0.34, 0.66, "--depth=50", "--stem=small"),
            write("caffe-0", 0, 0.20, 0.45, "--depth=50", "--stride_in_1x1"),
        ]
    )
    shown = joined(table(runs), groups_of(runs), "random encoder").rows
    # 0.40 and 0.38, 0.30 and 0.32, 0.25
    assert [row["linear_top1_difference"] for row in shown[:3]] == pytest.approx([0.39, 0.31, 0.25])
    assert [row["linear_top1_difference_seeds"] for row in shown[:3]] == [2, 2, 1]
    assert [
        (r["encoder"], r["seeds"], r["linear_top1"], r["linear_top1_error"]) for r in shown[3:]
    ] == [
        ("ResNet-50 x0.5", "0 1", pytest.approx(0.12), pytest.approx(0.02)),
        ("ResNet-50 x0.5, small stem", "0 1", pytest.approx(0.32), pytest.approx(0.02)),
        ("ResNet-50 x0.5, stride in 1x1", "0", 0.20, None),
    ]


def test_a_random_encoder_that_several_arms_have_judged_is_one_seed(tmp_path):
    runs = []
    for arm, more in (("a", 0.0), ("b", 0.003), ("c", 0.006)):
        for seed, random in enumerate((0.30, 0.34)):
            run = write_run(tmp_path / f"{arm}-{seed}", f"--seed={seed}", f"--tau=0.{9 + ord(arm)}")
            report = {"step": 20, "trained": {"top1": 0.6 + seed / 50}}
            if (arm, seed) != ("c", 1):
                report["random"] = {"top1": random + more, "encoder_sha256": f"r{seed}"}
            (run / "linear.json").write_text(json.dumps(report))
            runs.append(run)
    found = read_runs(runs)
    one, two, three, random = joined(table(found), groups_of(found), "random encoder").rows
    # Seed 0: 0.300, 0.303, 0.306; seed 1: 0.340, 0.343. Means 0.303 and 0.3415, half of what is
    # between them is the error.
    assert (random["seeds"], random["linear_top1"]) == ("0 1", pytest.approx(0.32225))
    assert random["linear_top1_error"] == pytest.approx(0.01925)
    assert "linear_top1_seeds" not in random
    # Each arm by its own reports: 0.300 and 0.280, 0.297 and 0.277.
    assert one["linear_top1_difference"] == pytest.approx(0.290)
    assert two["linear_top1_difference"] == pytest.approx(0.287)
    # 0.294, and 0.2785 by the reports of the others.
    assert three["linear_top1_difference"] == pytest.approx(0.28625)
    assert three["linear_top1_difference_error"] == pytest.approx(0.00775)
    assert [row["linear_top1_difference_seeds"] for row in (one, two, three)] == [2, 2, 2]


def test_the_random_encoder_of_an_arm_whose_first_seed_is_not_trained():
    """A study has its discovery in the row already."""
    columns = {name: name for name in ("run", "encoder", "seed", "linear_top1", "discover_corloc")}
    rows = [
        {"run": "far-0", "seed": 0, "discover_corloc": 0.5},
        {"run": "far-1", "seed": 1, "discover_corloc": 0.3, "encoder": "A", "linear_top1": 0.53},
        {"run": "random", "seed": 1, "encoder": "B", "linear_top1": 0.25},
        {"run": "random", "seed": 1, "encoder": "A", "linear_top1": 0.125},
    ]
    groups = [Group("far", {"far-0": 0, "far-1": 1})]
    far, *_ = joined(Table(columns, rows), groups, "random encoder").rows
    assert far["linear_top1_difference"] == pytest.approx(0.405)
    assert (far["linear_top1_difference_seeds"], far["linear_top1_seeds"]) == (1, 1)


def write_unfinished(directory, steps=(20, 10, 20), epochs=(2, 1, 2)):
    """Runs base-SEED that have come so far, each with a linear figure of its last step."""
    runs = []
    for seed, (value, step, epoch) in enumerate(zip(BASE, steps, epochs)):
        run = write_run(
            directory / f"base-{seed}",
            f"--seed={seed}",
            values=(),
            probes=[(step, {"top1": value})],
        )
        line = {"step": step, "epoch": float(epoch), "knn_top1": value / 2}
        (run / "metrics.jsonl").write_text(json.dumps(line) + "\n")
        (run / "compute.json").write_text(json.dumps(WORK))
        runs.append(run)
    return runs


def test_a_seed_that_is_not_at_its_end_is_not_averaged_with_others(runs, tmp_path):
    early = write_unfinished(tmp_path / "early")
    for run, value in zip(early, BASE):
        tuned = {"step": 10, "share": "", "epochs": 5.0, "trained": {"top1": value + 0.1}}
        (run / "finetune.json").write_text(json.dumps(tuned))
    found = read_runs([*early, *runs[3:]])
    shown = joined(table(found), groups_of(found), "base")
    base, wide, random = shown.rows
    costs = ("epochs", "images", "views_seen", "encoder_passes", "flops")
    for name in ("linear_top1", "monitor_knn_top1", *costs):
        assert base[name] is None and wide.get(name) is not None
    assert "linear_top1_difference" not in wide
    # These are all of step 10, and the random encoder is of no step.
    assert base["finetune_top1"] == pytest.approx(0.52)
    assert base["finetune_top1_error"] == pytest.approx(0.02 / 3**0.5)
    assert random["linear_top1"] == 0.125
    assert shown.remarks == (
        "base: no mean, its training, monitor_knn, linear figures differ in step "
        "20 (base-0, base-2) and 10 (base-1)",
    )
    # All have a fine-tuning of epoch 1, but no other figures of one epoch.
    drawn = {p.title: p.series for p in joined_panels(panels(found), groups_of(found))}
    assert drawn["fine-tuned on all labels"] == {
        "base": [(1.0, pytest.approx(52.0))], "wide": []
    }  # fmt: skip
    assert drawn["linear classifier"]["base"] == drawn["kNN while training"]["base"] == []
    assert drawn["linear classifier"]["wide"][-1] == (2.0, pytest.approx(47.5))


def test_a_curve_ends_with_its_shortest_seed(tmp_path):
    """Means of 0.2 and 0.4, of 0.3 and 0.5; the longer run alone would go down to 0.25."""
    long = write_run(tmp_path / "a-0", "--seed=0", values=(0.2, 0.3, 0.25))
    short = write_run(tmp_path / "a-1", "--seed=1", values=(0.4, 0.5))
    found = read_runs([long, short])
    (knn,) = joined_panels(panels(found), groups_of(found))
    assert knn.series == {"a": [(0.0, pytest.approx(30.0)), (1.0, pytest.approx(40.0))]}
    assert knn.errors == {"a": [pytest.approx(10.0), pytest.approx(10.0)]}


@pytest.mark.parametrize("steps, epochs", [((20, 20, 20), (2, 2, 2)), ((20, 21, 19), (2, 2.01, 2))])
def test_seeds_of_one_length_are_averaged(steps, epochs, tmp_path):
    """What --equal leaves may differ in a step or two."""
    found = read_runs(write_unfinished(tmp_path, steps, epochs))
    shown = joined(table(found), groups_of(found))
    assert shown.rows[0]["linear_top1"] == pytest.approx(0.42) and shown.remarks == ()
    assert shown.rows[0]["monitor_knn_top1"] == pytest.approx(0.21)
    assert shown.rows[0]["epochs"] == pytest.approx(sum(epochs) / 3)
    assert shown.rows[0]["flops"] == sum(steps) / 3 * 64 * 6 * 1000


def test_steps_count_where_the_epochs_are_not_known(tmp_path):
    runs = write_unfinished(tmp_path)
    for run in runs:
        (run / "metrics.jsonl").unlink()
    found = read_runs(runs)
    shown = joined(table(found), groups_of(found))
    told = "base: no mean, its linear figures differ in step 20 (base-0, base-2) and 10 (base-1)"
    assert shown.rows[0]["linear_top1"] is None and shown.remarks == (told,)


def test_the_compute_of_a_run_is_counted(runs):
    row = table(read_runs(runs)).rows[0]
    # 20 steps of 64 images, two passes forward and backward: three units each
    assert row["images"] == 1280 and row["views_seen"] == 2560
    assert row["encoder_passes"] == 1280 * 6 and row["flops"] == 1280 * 6 * 1000
    assert row["device_seconds"] is None  # nothing was timed


def test_device_seconds_are_those_of_all_steps_on_all_replicas(runs):
    lines = [json.loads(line) for line in (runs[0] / "metrics.jsonl").read_text().splitlines()]
    lines[-1] |= {"train_seconds": 9.0, "timed_steps": 18}
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (runs[0] / "metrics.jsonl").write_text(text)

    def row(*machines):
        environment = [{"device": device, "replicas": count} for count, device in machines]
        (runs[0] / "environment.json").write_text(json.dumps(environment))
        return table(read_runs(runs[:1])).rows[0]

    # Half a second a step, 20 steps, twice as many devices.
    for machines in ([(2, "CPU")], [(2, "CPU"), (2, "CPU")]):
        found = row(*machines)
        assert (found["machine"], found["device_seconds"]) == ("2 x CPU", 20.0)
        assert found["images_per_second"] == 100.0
    # Of several machines the seconds cannot be told apart.
    found = row((1, "CPU"), (2, "CPU"))
    assert (found["machine"], found["device_seconds"]) == ("1 x CPU, then 2 x CPU", None)
    found = row((1, "CPU"), (1, "NVIDIA H100"), (1, "CPU"))
    assert (found["machine"], found["device_seconds"]) == ("1 x CPU, then 1 x NVIDIA H100", None)
    assert "images_per_second" not in found


def test_the_compute_of_older_runs_follows_from_their_flags(runs):
    (runs[0] / "compute.json").unlink()
    work = read_runs(runs[:1])[0].work
    # MA-SSRL: both views pass the online and the target network.
    assert work.views_an_image == 2 and work.forward_units == 2 * (3 + 1)
    assert work.learned_passes == work.target_passes == {"224": 2}
    (runs[0] / "compute.json").write_text('{"views": 3}')
    with pytest.raises(UserError, match="compute.json tells no work"):
        read_runs(runs[:1])


def test_runs_at_equal_epochs_and_equal_compute(tmp_path):
    double = {**WORK, "learned_passes": {"32": 4}}
    long = write_seeds(tmp_path, "long", BASE[:1], epochs=4)
    dear = write_seeds(tmp_path, "dear", WIDE[:1], "--tau=0.98", work=double)
    runs = read_runs([*long, *dear])
    (one, other), told = at_equal(runs, "epochs")
    assert told == [
        "the budget, 2 epochs, is all that dear-0 spent",
        "long-0: its linear figures are of step 10, at 50% of the equal epochs",
    ]
    assert (one.last_step, other.last_step) == (20, 20)
    assert [report["step"] for found in one.reports.values() for report in found] == [10]
    # Four epochs at half the price.
    (one, other), told = at_equal(runs, "compute")
    assert told == []
    assert (one.last_step, other.last_step) == (40, 20)
    assert table([one, other]).rows[0]["linear_top1"] == pytest.approx(BASE[0])
    over = panels(runs, over="compute")[0]
    assert over.x == "PFLOP"
    last = over.series["long-0"][-1][0], over.series["dear-0"][-1][0]
    assert last[0] == last[1] == pytest.approx(40 * 64 * 6000 / 1e15)
    (long[0] / "metrics.jsonl").unlink()
    with pytest.raises(UserError, match="--equal=compute: long-0 has no step"):
        at_equal(read_runs([*long, *dear]), "compute")


def test_a_figure_of_the_start_is_none_of_an_equal_budget(tmp_path):
    """A look every two epochs beside a budget of 1.5, and of 2.5; lines of losses every half."""
    short = write_run(tmp_path / "short", "--epochs=1.5")
    rare = write_run(tmp_path / "rare", "--epochs=4")
    looks = {0: 0.1, 20: 0.4, 40: 0.6}

    def write(directory, last):
        lines = [
            {"step": step, "epoch": step / 10, **({"loss": 1.0} if step else {})}
            | ({"embedding_std": 0.1, "knn_top1": looks[step]} if step in looks else {})
            for step in range(0, last + 1, 5)
        ]
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (directory / "metrics.jsonl").write_text(text)

    write(rare, 40)
    write(short, 15)
    (_, cut), told = at_equal(read_runs([short, rare]), "epochs")
    assert cut.last_step == 15 and "monitor_knn_top1" not in table([cut]).rows[0]
    assert told == [
        "the budget, 1.5 epochs, is all that short spent",
        "rare: its monitor figures begin at step 20, beyond the equal epochs, and are left out",
    ]
    write(short, 25)
    (_, cut), told = at_equal(read_runs([short, rare]), "epochs")
    assert cut.last_step == 25 and table([cut]).rows[0]["monitor_knn_top1"] == 0.4
    assert told[0] == "the budget, 2.5 epochs, is all that short spent"
    assert told[1:] == [
        f"{name}: its monitor figures are of step 20, at 80% of the equal epochs"
        for name in ("short", "rare")
    ]


def test_whose_budget_it_is_and_what_it_leaves_out_is_told(tmp_path):
    """One seed has ended at its first epoch, before its looks."""
    full = [
        write_run(tmp_path / f"a-{seed}", f"--seed={seed}", probes=[(20, {"top1": value})])
        for seed, value in enumerate(BASE[:2])
    ]
    dead = write_run(tmp_path / "a-2", "--seed=2")
    write_lines(dead, [8])
    cut, told = at_equal(read_runs([*full, dead]), "epochs")
    assert told == [
        "a-2: stands at 0.8 of its 2 epochs",
        "the budget, 0.8 epochs, is all that a-2 spent",
        *(
            f"{name}: its {what} figures begin at step {step}, beyond the equal epochs, and are "
            "left out"
            for name in ("a-0", "a-1")
            for what, step in (("monitor", 10), ("linear", 20))
        ),
    ]
    assert not any("linear_top1" in row or "monitor_knn_top1" in row for row in table(cut).rows)
    # Without it nothing is cut.
    whole, told = at_equal(read_runs(full), "epochs")
    assert told == [] and [row["linear_top1"] for row in table(whole).rows[:2]] == [*BASE[:2]]


def test_runs_at_an_equal_budget_have_differences_wherever_their_ends_are(tmp_path):
    base = write_seeds(tmp_path, "base", BASE, epochs=4)
    stopped = write_seeds(tmp_path, "stopped", WIDE, "--tau=0.98", "--epochs=4")
    cut, told = at_equal(read_runs([*base, *stopped]), "epochs")
    assert "stopped-0: stands at 2 of its 4 epochs" in told
    assert "the budget, 2 epochs, is all that stopped-0, stopped-1, stopped-2 spent" in told
    _, row, _ = joined(table(cut), groups_of(cut), "base").rows
    assert row["monitor_knn_top1_difference"] == pytest.approx(0.0)
    # 20 steps of 64 images, each 6000 operations.
    _, told = at_equal(read_runs([base[0], stopped[0]]), "compute")
    assert "the budget, 7.68e-09 PFLOP, is all that stopped-0 spent" in told


def test_what_the_start_of_a_run_has_cost_is_told(tmp_path):
    runs = write_seeds(tmp_path, "first", BASE[:1])
    runs += write_seeds(tmp_path, "next", WIDE[:1], f"--init_from={runs[0]}")
    _, told = at_equal(read_runs(runs), "compute")
    assert told[-1] == f"next-0 began from {runs[0]}, whose compute is not counted"


def test_panels_have_error_bars(runs):
    found = read_runs(runs)
    knn, linear = joined_panels(panels(found), groups_of(found))
    assert list(knn.series) == ["base", "wide"] and knn.errors["base"][0] > 0
    assert linear.series["base"][-1] == (2.0, pytest.approx(42.0))
    assert linear.errors["base"][-1] == pytest.approx(100 * 0.02 / 3**0.5)
    axes = draw_panels([linear]).axes[0]
    low, high = axes.containers[0].lines[2][0].get_segments()[-1][:, 1]
    assert (low + high) / 2 == pytest.approx(42.0)
    assert high - low == pytest.approx(200 * 0.02 / 3**0.5)


def test_the_command_joins_seeds(runs, tmp_path, capsys):
    arguments = [*map(str, runs), f"--output={tmp_path / 'out'}", "--join_seeds"]

    def start(*more):
        given = compare.flags_of([*arguments, *more])
        compare.main(flagfiles.parse(given, CompareSettings))
        return capsys.readouterr().out

    assert "+5.50 ± 0.29" in start("--reference=base")
    assert "46.00" not in start("--equal=epochs") and (tmp_path / "out" / "curves.png").exists()
    with pytest.raises(SettingsError, match="--reference=x: no row has this name; .* base, wide"):
        start("--reference=x")
    with pytest.raises(SettingsError, match="--reference=base: has no effect"):
        flagfiles.parse(["--runs=a", "--output=o", "--reference=base"], CompareSettings)


def test_there_are_no_mean_hours_of_unlike_machines(runs):
    for run, device, seconds in zip(runs, ("CPU", "CPU", "NVIDIA H100"), (100.0, 200.0, 3.0)):
        lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        lines[-1] |= {"train_seconds": seconds, "timed_steps": 20}
        (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        (run / "environment.json").write_text(json.dumps([{"device": device, "replicas": 1}]))

    def row(some):
        found = read_runs(some)
        return joined(table(found), groups_of(found)).rows[0]

    alike = row(runs[:2])
    assert (alike["machine"], alike["device_seconds"]) == ("1 x CPU", 150.0)
    unlike = row(runs[:3])
    assert unlike["device_seconds"] is None and unlike["images_per_second"] is None
    assert "machine" not in unlike and unlike["flops"] == alike["flops"]


def test_processors_of_unlike_cores_are_unlike_machines(runs):
    for run, cores in zip(runs, (2, 2, 64)):
        entry = {"device": "CPU", "replicas": 1, "cores": cores}
        (run / "environment.json").write_text(json.dumps([entry]))
    machines = [run.machines for run in read_runs(runs[:3])]
    assert machines == [((1, "CPU of 2 cores"),)] * 2 + [((1, "CPU of 64 cores"),)]


def test_monitors_of_unlike_images_have_no_difference(tmp_path):
    base = write_seeds(tmp_path, "base", BASE)
    other = write_seeds(tmp_path, "other", WIDE, "--scenes=999")
    large = write_seeds(tmp_path, "large", WIDE, "--image_size=64")
    found = read_runs([*base, *other, *large])
    shown = joined(table(found), groups_of(found), "base")
    rows = {row["run"]: row for row in shown.rows}
    assert "monitor_knn_top1_difference" not in rows["other"]
    assert rows["other"]["linear_top1_difference"] == pytest.approx(0.055)
    assert rows["large"]["monitor_knn_top1_difference"] == pytest.approx(0)
    assert any("monitor_knn figures differ in image_size" in told for told in shown.remarks)


def write_lines(run, steps, batch=64, images=640):
    """Lines of losses at these steps."""
    lines = [{"step": n, "epoch": round(n * batch / images, 4), "loss": 1.0} for n in steps]
    (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.mark.parametrize("record", [{}, {"training": {"count": 50000}}])
def test_equal_steps_of_seeds_that_end_elsewhere_are_one_point(record, tmp_path):
    """The last epoch of the first, 9.99936, is 9.9994 in its line."""
    runs = []
    for seed, last in enumerate((3906, 2000)):
        probes = [(1000, {"top1": 0.40 + seed / 50}), (2000, {"top1": 0.50})]
        run = write_run(tmp_path / f"a-{seed}", f"--seed={seed}", "--batch_size=128", probes=probes)
        write_lines(run, (1, 1000, last), batch=128, images=50000)
        (run / "data.json").write_text(json.dumps(record))
        runs.append(run)
    found = read_runs(runs)
    (linear,) = joined_panels(panels(found), groups_of(found))
    assert linear.series == {"a": [(2.56, pytest.approx(41.0)), (5.12, pytest.approx(50.0))]}
    assert [run.epoch(run.last_step) for run in found] == [9.9994, 5.12]


def test_a_run_that_keeps_no_line_within_the_budget_keeps_its_epochs(tmp_path):
    short = write_run(tmp_path / "short", probes=[(20, {"top1": 0.3})])
    long = write_run(tmp_path / "long", "--tau=0.9", probes=[(10, {"top1": 0.4})])
    write_lines(long, range(50, 1001, 50))
    cut, _ = at_equal(read_runs([short, long]), "epochs")
    assert cut[1].lines == []
    (linear,) = [panel for panel in panels(cut) if panel.title == "linear classifier"]
    assert linear.series == {"short": [(2.0, 30.0)], "long": [(1.0, 40.0)]}


def test_a_run_before_its_end_is_told_and_has_no_difference_to_a_finished_one(tmp_path):
    base = write_seeds(tmp_path, "base", BASE)
    stopped = write_seeds(tmp_path, "stopped", WIDE, "--tau=0.98", "--epochs=4")
    halted = write_seeds(tmp_path, "halted", BASE, "--tau=0.96", "--epochs=4")
    short = write_seeds(tmp_path, "short", WIDE, "--tau=0.97", epochs=1)
    found = read_runs([*base, *stopped, *halted, *short])
    assert earlier_figures(found) == [
        f"{arm}-{seed}: stands at 2 of its 4 epochs"
        for arm in ("stopped", "halted")
        for seed in range(3)
    ]
    rows = {r["run"]: r for r in joined(table(found), groups_of(found), "base").rows}
    for arm in ("stopped", "halted"):
        assert not [name for name in rows[arm] if "_difference" in name]
        assert rows[arm]["linear_top1"] is not None
    # It has come to the one epoch that its flags ask for, with figures 0.1 lower.
    assert rows["short"]["linear_top1_difference"] == pytest.approx(-0.045)
    assert rows["short"]["monitor_knn_top1_difference"] == pytest.approx(-0.1)
    # Both are before their ends, and a random encoder has none.
    rows = {r["run"]: r for r in joined(table(found), groups_of(found), "halted").rows}
    assert rows["stopped"]["linear_top1_difference"] == pytest.approx(0.055)
    assert "linear_top1_difference" not in rows["base"]
    rows = {r["run"]: r for r in joined(table(found), groups_of(found), "random encoder").rows}
    assert rows["stopped"]["linear_top1_difference"] == pytest.approx(0.475 - 0.125)


def test_a_seed_before_its_end_without_the_figure_leaves_those_of_others(tmp_path):
    """And figures of boxes, which are of no training, whatever has become of the run."""
    columns = {name: name for name in ("run", "encoder", "seed", "linear_top1", "discover_corloc")}
    begun, done = (
        {REACHED: {}, UNFINISHED: True},
        {REACHED: {"linear": (20, 2.0)}, UNFINISHED: False},
    )
    rows = [
        {"run": "a-0", "seed": 0, "discover_corloc": 0.5, "linear_top1": 0.4, **done},
        {"run": "a-1", "seed": 1, "discover_corloc": 0.4, "linear_top1": 0.5, **done},
        {"run": "b-0", "seed": 0, "discover_corloc": 0.6, "linear_top1": 0.7, **done},
        {"run": "b-1", "seed": 1, "discover_corloc": 0.6, **begun},
    ]
    groups = [Group("a", {"a-0": 0, "a-1": 1}), Group("b", {"b-0": 0, "b-1": 1})]
    _, row = joined(Table(columns, rows), groups, "a").rows
    assert row["linear_top1_difference"] == pytest.approx(0.3)
    assert row["discover_corloc_difference"] == pytest.approx(0.15)


def test_monitors_before_the_last_step_are_told(tmp_path):
    run = write_run(tmp_path / "a", values=(0.1, 0.2))
    assert earlier_figures(read_runs([run])) == ["a: stands at 1 of its 2 epochs"]
    with (run / "metrics.jsonl").open("a") as file:
        file.write(json.dumps({"step": 20, "epoch": 2.0, "loss": 1.0}) + "\n")
    told = ["a: its monitor figures are of step 10, its last step is 20"]
    assert earlier_figures(read_runs([run])) == told


@pytest.mark.parametrize("step, told", [(4, []), (3, ["a: stands at 1.92 of its 3 epochs"])])
def test_the_last_step_of_a_run_may_be_before_its_last_epoch(step, told, tmp_path):
    """Three epochs of 50 images are four batches of 32, 2.56 epochs."""
    run = write_run(tmp_path / "a", "--epochs=3", "--batch_size=32")
    write_lines(run, range(1, step + 1), batch=32, images=50)
    assert earlier_figures(read_runs([run])) == told
