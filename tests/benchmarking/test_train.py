"""The training benchmark: its grid, its file, its table, and the command on tiny images."""

import json
import stat
import sys
import time
import types

import pytest
import tensorflow as tf

from ssl_tf import benchmark, command
from ssl_tf.benchmarking import train, train_results
from ssl_tf.benchmarking.torch_rival import TorchRival
from ssl_tf.benchmarking.train_results import TrainResults
from ssl_tf.errors import SettingsError, UserError
from ssl_tf.settings import TrainBenchmarkSettings, fields, flagfiles
from ssl_tf.settings.benchmarking import Entry
from ssl_tf.training.execution import INPUT_SECONDS
from ssl_tf.training.strategy import mirrored_strategy

TINY = [
    "--dataset=scenes", "--scenes=48", "--scene_size=16", "--image_size=16", "--depth=18",
    "--width=0.0625", "--method=byol", "--recipe=byol", "--projector_hidden=16", "--projection=8",
    "--batch_size=8", "--epochs=0.2", "--warmup_epochs=0", "--seconds=0.02", "--repetitions=2",
]  # fmt: skip

CPU = {"device": "CPU", "replicas": 1, "cores": 2}


def settings(*flags):
    return flagfiles.parse([*TINY, *flags], TrainBenchmarkSettings)


def figures(step=100.0, **others):
    spread = {"median": step, "low": step - 1, "high": step + 1}
    return {
        "first_step_seconds": 3.0, "step": spread,
        "training": spread, "input_wait": 0.25, "peak_gib": 1.5, "estimated_gib": 1.25,
        "share_of_peak": 0.4, "torch": {}, **others,
    }  # fmt: skip


def test_the_grid_is_the_product_of_its_flags_the_smallest_batch_first():
    grid = settings(
        "--grid_batch_size=16,8", "--grid_precision=float32,mixed_bfloat16", "--grid_xla=off,on"
    ).entries
    assert [entry.batch_size for entry in grid] == [8] * 4 + [16] * 4
    assert len(set(grid)) == 8
    assert {entry.augment_on for entry in grid} == {"host"}


def test_without_a_grid_the_flagfile_is_measured():
    chosen = settings("--precision=mixed_bfloat16", "--xla=off", "--augment_on=device")
    assert chosen.entries == [Entry("mixed_bfloat16", "off", "device", 8)]
    # A float32 run rounds products to TF32 where the card can.
    assert settings().entries[0].precision == "tf32"


def test_an_entry_changes_its_four_flags_and_never_ends():
    pretrain = settings().of_entry(Entry("mixed_float16", "on", "device", 24))
    changed = fields.as_dict(pretrain).items() - fields.as_dict(settings().pretrain).items()
    assert dict(changed) == {
        "precision": "mixed_float16", "xla": "on", "augment_on": "device", "batch_size": "24",
        "epochs": "1000000.0",
    }  # fmt: skip


def test_pytorch_has_the_step_of_byol_alone():
    assert settings("--against=torch").against == ("torch",)
    with pytest.raises(SettingsError, match="--method=simclr"):
        flagfiles.parse(
            [
                *(flag for flag in TINY if not flag.startswith("--projector_hidden")),
                "--method=simclr",
                "--against=torch",
            ],
            TrainBenchmarkSettings,
        )


@pytest.mark.parametrize(
    "flags",
    [
        ["--accumulate=2"],
        ["--augment_on=device"],
        ["--grid_augment_on=host,device"],
        ["--logical_cpus=2"],
        ["--depth=50", "--stride_in_1x1"],
        ["--projection_heads=per_view", "--proposals=ground_truth", "--crops=object_dilated"],
        ["--pretext=rotation", "--proposals=ground_truth", "--crops=object_dilated"],
    ],
)
def test_unlike_steps_are_not_compared(flags):
    settings(*flags)
    named = {"--depth=50": flags[-1], "--grid_augment_on=host,device": "--augment_on=device"}
    told = f"{named.get(flags[0], flags[0])}: PyTorch's step has no"
    with pytest.raises(SettingsError, match=told):
        settings(*flags, "--against=torch")


def test_several_devices_are_not_compared_with_one(monkeypatch):
    two = mirrored_strategy(["CPU:0"])
    monkeypatch.setattr(type(two), "num_replicas_in_sync", property(lambda self: 2))
    monkeypatch.setattr(train, "make_strategy", lambda *_: two)
    asked = settings("--against=torch")
    with pytest.raises(SettingsError, match="runs on one device, ours on 2; .*CUDA_VISIBLE"):
        train.measure_entry(asked, asked.entries[0])


def test_entries_are_kept_and_not_measured_again(tmp_path, capsys):
    output = tmp_path / "train.json"
    results = TrainResults(settings(f"--output={output}"), CPU)
    entry, failed = Entry("tf32", "off", "host", 8), Entry("tf32", "off", "host", 4096)
    results.add(entry, figures())
    results.add(failed, {"failed": "out of memory"})
    assert "out of memory" in capsys.readouterr().err
    again = TrainResults(settings(f"--output={output}", "--grid_batch_size=8,16"), CPU)
    assert entry in again
    assert Entry("tf32", "off", "host", 16) not in again
    row = again.table().splitlines()[3].split()
    assert row[-8:] == ["100.0", "(99-101)", "100.0", "25%", "1.50", "1.25", "40%", "3.0"]
    # What failed is told, and tried again.
    assert failed not in again and "out of memory" in again.table()
    again.add(failed, figures(step=50.0))
    assert failed in TrainResults(settings(f"--output={output}"), CPU)


H100, H200 = ({"device": f"NVIDIA {name}", "replicas": 1, "cores": 16} for name in ("H100", "H200"))


def test_figures_are_of_the_card_that_they_were_measured_on(tmp_path):
    output, entry = tmp_path / "train.json", Entry("tf32", "off", "host", 8)
    TrainResults(settings(f"--output={output}"), H100).add(entry, figures(step=100.0))
    other = TrainResults(settings(f"--output={output}"), H200)
    assert entry not in other
    other.add(entry, figures(step=140.0))
    assert entry in TrainResults(settings(f"--output={output}"), H100)
    for others in ({"replicas": 8}, {"cores": 4}):
        assert entry not in TrainResults(settings(f"--output={output}"), {**H100, **others})
    rows = json.loads(output.read_text())["entries"].values()
    assert [(row["device"], row["step"]["median"]) for row in rows] == [
        ("NVIDIA H100", 100.0), ("NVIDIA H200", 140.0),
    ]  # fmt: skip
    lines = other.table().splitlines()
    assert lines[0].startswith("NVIDIA H100, ") and " 100.0 " in lines[3]
    assert lines[4].startswith("NVIDIA H200, ") and " 140.0 " in lines[7]


def test_figures_of_other_code_are_told_and_measured_again(tmp_path, monkeypatch):
    output, entry = tmp_path / "train.json", Entry("tf32", "off", "host", 8)
    with monkeypatch.context() as patch:
        patch.setattr(train_results, "code_digest", lambda package: "older")
        TrainResults(settings(f"--output={output}"), CPU).add(entry, figures())
    now = TrainResults(settings(f"--output={output}"), CPU)
    assert entry not in now and ", of other code" in now.table()
    now.add(entry, figures())
    again = TrainResults(settings(f"--output={output}"), CPU)
    assert entry in again and "of other code" not in again.table()


def test_a_file_of_other_flags_is_left_alone(tmp_path):
    output = tmp_path / "train.json"
    results = TrainResults(settings(f"--output={output}"), CPU)
    results.add(Entry("tf32", "off", "host", 8), figures())
    before = output.read_bytes()
    with pytest.raises(UserError, match="other flags"):
        TrainResults(settings(f"--output={output}", "--depth=34"), CPU)
    assert output.read_bytes() == before
    told = json.loads(before)
    for other in ({}, told | {"entries": [1]}, told | {"entries": {"a": {"device": "CPU"}}}):
        output.write_text(json.dumps(other))
        with pytest.raises(UserError, match="no result of this benchmark"):
            TrainResults(settings(f"--output={output}"), CPU)
        assert json.loads(output.read_text()) == other


def fake_python(path, lines):
    """An executable that stands in for a Python with PyTorch: it answers with these lines."""
    path.write_text(f"#!{sys.executable}\nimport sys\nnetwork = sys.argv[2]\n{lines}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def test_pytorch_is_asked_for_a_burst_at_a_time(tmp_path):
    python = fake_python(
        tmp_path / "python",
        "import json\n"
        "network = json.loads(network)\n"
        "print('{}', flush=True)\n"
        "for line in sys.stdin:\n"
        "    print(json.dumps({'contiguous': float(line), **network}), flush=True)",
    )
    rival = TorchRival(settings().pretrain, python, tf32=False)
    answer = rival.burst(0.5)
    assert answer["contiguous"] == 0.5 and rival.burst(2.0)["contiguous"] == 2.0
    assert answer["depth"] == 18 and answer["widths"] == [4, 8, 16, 32] and answer["hidden"] == 16
    assert answer["projection"] == 8 and answer["side"] == 16 and answer["batch"] == 8
    rival.end()


def test_a_python_without_pytorch_is_told_in_one_line(tmp_path):
    python = fake_python(tmp_path / "python", "raise ImportError('No module named torch')")
    with pytest.raises(UserError, match="No module named torch.*see --torch_python"):
        TorchRival(settings().pretrain, python, tf32=False)
    with pytest.raises(UserError, match="No such file"):
        TorchRival(settings().pretrain, str(tmp_path / "none"), tf32=False)


class Counted:
    """A method of which an execution of `steps_at_once` = 4 steps takes `taken`, in 0.02 s."""

    steps_at_once = 4

    def __init__(self, taken):
        self.optimizer = types.SimpleNamespace(iterations=tf.Variable(7, dtype=tf.int64))
        self._taken = taken

    def make_train_function(self):
        def execution(batches):
            time.sleep(0.02)
            self.optimizer.iterations.assign_add(self._taken)
            return {INPUT_SECONDS: 0.005}

        return execution


@pytest.mark.parametrize("taken", [4, 3, 1])
def test_a_rate_counts_the_steps_that_were_taken(taken):
    rate, waited = train._burst(Counted(taken), iter(()), batch_size=8, seconds=0.1)
    # On a busy machine an execution may take longer than it sleeps, never less.
    assert waited == pytest.approx(rate / (8 * taken) * 0.005)
    assert 0 < rate <= 8 * taken / 0.02


@pytest.mark.slow
def test_the_command_measures_the_grid_and_goes_on_after_an_entry_that_cannot_run(tmp_path, capfd):
    output = tmp_path / "train.json"
    flags = [
        "train", *TINY, "--view_strategies=plain,byol_t_prime", f"--output={output}",
        "--augment_on=device", "--accumulate=3", "--grid_batch_size=8,6",
    ]  # fmt: skip
    command.run_action(benchmark.ACTIONS, flags)
    plain, odd = json.loads(output.read_text())["entries"].values()
    assert "multiple of 3" in odd["failed"]
    assert plain["device"] == "CPU" and plain["torch"] == {}
    assert 0 < plain["training"]["low"] <= plain["training"]["median"] <= plain["training"]["high"]
    assert 0 <= plain["input_wait"] < 1 and plain["first_step_seconds"] > 0
    assert 0 < plain["share_of_peak"] < 1 and plain["peak_gib"] > 0
    printed = capfd.readouterr().out
    assert f"{plain['step']['median']:.1f}" in printed and "multiple of 3" in printed
