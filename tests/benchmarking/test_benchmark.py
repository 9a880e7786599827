"""The input benchmark: its clock, its tables, and the command on tiny images."""

import itertools
import json
import os
import signal
import sys
import time

import numpy as np
import pytest
import tensorflow as tf

from ssl_tf import benchmark, command
from ssl_tf.benchmarking import FIRST, FLOOR, HOST, OWN, RECIPE, rivals, tables
from ssl_tf.benchmarking import input as input_images
from ssl_tf.benchmarking.floor import BATCH, contender, floor_batches, floor_views
from ssl_tf.benchmarking.timing import (
    Contender,
    Cost,
    alternate,
    burst,
    median_cost,
    median_ratio,
    settle,
)
from ssl_tf.errors import SettingsError, UserError
from ssl_tf.pretraining.inputs import build_recipe
from ssl_tf.settings import InputBenchmarkSettings, ViewSettings, flagfiles
from ssl_tf.views.ops import OPS

TINY = [
    "--dataset=scenes", "--scenes=40", "--scene_size=16", "--image_size=16", "--sample=8",
    "--view_strategies=plain,plain", "--seconds=0.05", "--repetitions=2",
]  # fmt: skip


def png(side=20, seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, [side, side + 4, 3], np.uint8)
    return tf.io.encode_png(pixels).numpy()


class Pipeline:
    """Makes batches of 5 images, each in `seconds` of one core, while there is room for them."""

    def __init__(self, monkeypatch, ahead, seconds):
        self.wall = self.cpu = 0.0
        self._ahead, self._seconds = ahead, seconds
        self._ready, self._begun = ahead, 0.0
        monkeypatch.setattr(time, "perf_counter", lambda: self.wall)
        monkeypatch.setattr(time, "process_time", lambda: self.cpu)
        monkeypatch.setattr(time, "sleep", self._pass)

    def _pass(self, seconds):
        self.wall += seconds
        worked = min(seconds, (self._ahead - self._ready) * self._seconds - self._begun)
        self.cpu += worked
        made, self._begun = divmod(self._begun + worked + 1e-12, self._seconds)
        self._ready += int(made)

    def batches(self):
        while True:
            while not self._ready:
                self._pass(0.001)
            self._ready -= 1
            yield 5


@pytest.mark.parametrize("seconds", [0.0, 0.5])
@pytest.mark.parametrize("ahead", [1, 4, 7])
def test_a_burst_costs_what_its_images_cost_however_many_are_ready(ahead, seconds, monkeypatch):
    pipeline = Pipeline(monkeypatch, ahead, 0.15)
    cost = burst(pipeline.batches(), seconds)
    assert cost.cpu == pytest.approx(0.15 / 5, rel=1e-6)
    # One core, that never waits for the reader; a check is 10 ms late at most.
    assert cost.wall == pytest.approx(0.15 / 5, rel=0.1)


def test_an_input_that_never_rests_is_told(monkeypatch, capsys):
    pipeline = Pipeline(monkeypatch, 10**6, 0.15)
    next(pipeline.batches())
    pipeline._ready = 0
    settle()
    assert 29 < pipeline.wall < 32
    assert "the input still works 30 seconds after it was read" in capsys.readouterr().err


def test_contenders_take_turns_and_are_started_once():
    turns = []

    def named(name):
        def start():
            turns.append(name.upper())
            while True:
                turns.append(name)
                yield 1

        return Contender(name, start)

    costs = alternate([named("a"), named("b")], seconds=0.0, repetitions=2)
    # Once to warm up, twice to measure.
    assert [name for name, _ in itertools.groupby(turns)] == list("AaBbabab")
    assert [len(costs[name]) for name in "ab"] == [2, 2]


def test_medians():
    base = [Cost(1.0, 1.0), Cost(2.0, 2.0), Cost(4.0, 4.0)]
    costs = [Cost(2.0, 9.0), Cost(6.0, 1.0), Cost(4.0, 5.0)]
    assert median_cost(costs) == (4.0, 5.0)
    assert median_ratio(costs, base) == 2.0  # of 2, 3 and 1


def test_the_floor_decodes_cuts_and_resizes():
    settings = ViewSettings(image_size=16)
    views = floor_views(tf.constant(png()), tf.constant(3, tf.int64), settings)
    assert [(view.shape.as_list(), view.dtype) for view in views] == [([16, 16, 3], tf.uint8)] * 2
    small = ViewSettings(image_size=16, crop="byol", small_views=1, small_image_size=8)
    views = floor_views(tf.constant(png()), tf.constant(3, tf.int64), small)
    assert [view.shape[0] for view in views] == [16, 16, 8]
    views = floor_views(tf.constant(png()), tf.constant(3, tf.int64), small, with_original=True)
    assert [view.shape[0] for view in views] == [16, 16, 8, 16]
    resized = tf.image.resize(tf.io.decode_png(png()), (16, 16))
    np.testing.assert_array_equal(views[-1], tf.cast(resized, tf.uint8))
    whole = ViewSettings(image_size=20, crop_ratio=(1.0, 1.0))
    square = np.random.default_rng(1).integers(0, 256, [20, 20, 3], np.uint8)
    encoded = tf.constant(tf.io.encode_png(square).numpy())
    for view in floor_views(encoded, tf.constant(3, tf.int64), whole):
        np.testing.assert_array_equal(view, square)
    inverted = floor_batches([encoded.numpy()], whole, tf.bitwise.invert)
    batch = next(iter(inverted))[0]
    np.testing.assert_array_equal(batch, np.stack([255 - square] * BATCH))
    assert next(contender("floor", inverted).start()) == BATCH


def test_tables_answer_how_many_cores_feed_the_gpus():
    flags = [*TINY, "--gpus=4", "--gpu_images_per_second=500"]
    settings = flagfiles.parse(flags, InputBenchmarkSettings)
    row = {"name": RECIPE, "cpu_ms": 4.0, "ratio": 2.0, "ratio_low": 1.9, "ratio_high": 2.1}
    one_core = {
        "sample": {"name": "scenes", "images": 8, "height": 16, "width": 16, "bytes": 700},
        "rows": [
            row | {"name": FLOOR, "cpu_ms": 2.0, "ratio": 1.0},
            row,
            row | {"name": FIRST},
            row | {"name": HOST},
        ],
        "ops": {op.name: 0.1 for op in OPS},
        "missing": {"tf_models": "No module named official"},
    }
    rates = {FLOOR: 950.0, RECIPE: 400.0, FIRST: 390.0, HOST: 480.0}
    several = {name: {"images_per_second": rate, "used": 0.9} for name, rate in rates.items()}
    result = tables.summarize(settings, one_core, several, cores=2)
    assert result["images_per_second_wanted"] == 2000
    # 250 images/s on one core, but 200 a core where both work: 2,000 need ten.
    assert result["machine"][RECIPE] == {
        "cores": 2, "images_per_second": 400.0, "used": 0.9, "speedup": pytest.approx(1.6),
        "cores_needed": 10, "gpus_busy": 0.8,
    }  # fmt: skip
    alone = tables.summarize(settings, one_core, None, cores=1)
    assert alone["machine"][RECIPE]["cores_needed"] == 8
    assert alone["machine"].keys() == set(OWN)
    text = tables.tables(result)
    for part in ("4.00     2.00  (1.90-2.10)       250      500", "not installed (No module",
                 "400      800        1.60         90%      0.80            10",
                 "wanted: 2000 images/s, for 4 GPUs of 500"):  # fmt: skip
        assert part in text
    flags += ["--method=swav", "--crop=byol", "--small_views=2", "--small_image_size=8"]
    settings = flagfiles.parse(flags, InputBenchmarkSettings)
    text = tables.tables(tables.summarize(settings, one_core, several, cores=2))
    assert "2 views of 16 px: plain, plain; 2 of 8 px" in text
    assert "4.00     2.00  (1.90-2.10)       250     1000" in text  # four views an image


LOCALIZATION = ["--crops=object_dilated", "--proposals=ground_truth", "--pretext=localization"]


def test_the_whole_image_that_a_task_looks_at_is_measured_too():
    settings = flagfiles.parse([*TINY, *LOCALIZATION, "--method=byol"], InputBenchmarkSettings)
    recipe = build_recipe(settings.pretrain, input_images._sample(settings))
    made = recipe(tf.zeros([20, 24, 3], tf.uint8), tf.constant([0, 1]), tf.zeros([0, 4]))
    assert len(made["views"]) == 2 and made["original"].shape == [16, 16, 3]
    row = {"name": RECIPE, "cpu_ms": 4.0, "ratio": 2.0, "ratio_low": 1.9, "ratio_high": 2.1}
    one_core = {
        "sample": {"name": "scenes", "images": 8, "height": 16, "width": 16, "bytes": 700},
        "rows": [row | {"name": name} for name in OWN],
        "ops": {op.name: 0.1 for op in OPS},
        "missing": {},
    }
    text = tables.tables(tables.summarize(settings, one_core, None, cores=1))
    assert "2 views of 16 px: plain, plain; the whole image" in text
    assert "4.00     2.00  (1.90-2.10)       250      750" in text  # three views an image


@pytest.mark.parametrize(
    "flags, views",
    [
        (["--view_strategies=plain", "--method=supervised"], 1),
        (["--view_strategies=plain,plain,plain,plain"], 4),
        (["--method=swav", "--crop=byol", "--small_views=2", "--small_image_size=8"], 4),
        ([*LOCALIZATION, "--method=byol"], 3),
    ],
)
def test_other_libraries_make_two_views_of_one_size(flags, views):
    told = f"--against=torchvision: they make two views of one size, these flags {views} an image"
    with pytest.raises(SettingsError, match=told):
        flagfiles.parse([*TINY, *flags, "--against=torchvision"], InputBenchmarkSettings)
    assert flagfiles.parse([*TINY, "--against=torchvision"], InputBenchmarkSettings).against


def test_rivals_that_are_not_installed_are_named(monkeypatch):
    for package in ("torchvision", "torch", "official", "official.vision.ops"):
        monkeypatch.setitem(sys.modules, package, None)
    found, missing = rivals.contenders(("torchvision", "tf_models"), [png()], 16)
    assert found == [] and list(missing) == ["torchvision", "tf_models"]
    assert "official" in missing["tf_models"]


@pytest.mark.slow
def test_keras_cv_runs_beside_the_floor():
    found, missing = rivals.contenders(("keras_cv",), [png(), png(seed=1)], 16)
    assert missing == {} and [rival.name for rival in found] == ["keras_cv, RandAugment(2, 9)"]
    assert next(found[0].start()) == BATCH


@pytest.mark.slow
def test_addons_runs_beside_the_floor_on_the_stack_that_has_it():
    found, missing = rivals.contenders(("tensorflow_addons",), [png(), png(seed=1)], 40)
    if sys.version_info >= (3, 12):  # setup.py: it does not go with that TensorFlow
        assert found == [] and "tensorflow_addons" in missing
        return
    assert missing == {} and found[0].name == "tensorflow_addons, RandAugment(2, 9)"
    assert next(found[0].start()) == BATCH


@pytest.mark.slow
def test_the_command_writes_what_it_prints(tmp_path, capfd):
    output = tmp_path / "input.json"
    flags = [*TINY, "--repetitions=1", f"--output={output}"]
    command.run_action(benchmark.ACTIONS, ["input", *flags])
    printed = capfd.readouterr().out
    result = json.loads(output.read_text())
    names = [row["name"] for row in result["one_core"]]
    assert names == list(OWN)
    assert result["one_core"][0]["ratio"] == 1.0 and result["one_core"][1]["cpu_ms"] > 0
    assert result["ops_ms"].keys() == {op.name for op in OPS}
    assert result["ops_ms"]["Identity"] == 0.0
    assert result["machine"][RECIPE]["cores"] == len(benchmark.available_cores())
    assert result["sample"]["images"] == 8 and result["sample"]["width"] == 16
    assert f"{result['one_core'][1]['cpu_ms']:.2f}" in printed
    assert "wanted: 6000 images/s, for 8 GPUs of 750 images/s" in printed


@pytest.mark.parametrize("arguments", ([], ["output"], ["--dataset=scenes"]))
def test_the_first_word_says_what_is_measured(arguments, capsys):
    with pytest.raises(SystemExit) as stopped:
        command.run_action(benchmark.ACTIONS, arguments)
    assert stopped.value.code == 2
    assert "input, train" in capsys.readouterr().err


def test_an_unknown_rival_is_refused(capsys):
    with pytest.raises(SystemExit) as stopped:
        command.run_action(benchmark.ACTIONS, ["input", *TINY, "--against=dali"])
    assert stopped.value.code == 2
    assert "torchvision" in capsys.readouterr().err


def killed(settings, cores):
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_process_is_told_in_one_line():
    settings = flagfiles.parse(TINY, InputBenchmarkSettings)
    with pytest.raises(UserError, match="--sample"):
        benchmark.alone(killed, settings, [0])


def test_no_readable_image_is_told_in_one_line(tmp_path, capsys):
    (tmp_path / "broken.jpg").write_bytes(b"no image")
    with pytest.raises(SystemExit) as stopped:
        arguments = ["input", f"--image_folder={tmp_path}", "--seconds=0.1"]
        command.run_action(benchmark.ACTIONS, arguments)
    assert stopped.value.code == 1
    message = capsys.readouterr().err
    assert "none of its first 1 images can be decoded" in message
    assert "Traceback" not in message
