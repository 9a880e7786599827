"""Fine-tuning: what learns, at which rate, what is chosen by what; kills leave no trace."""

import copy
import dataclasses
import json
import math
import os
import shutil
import signal

import numpy as np
import pytest
import tensorflow as tf

from ssl_tf import command, finetune
from ssl_tf.data.unreadable import UnreadableImages
from ssl_tf.errors import SettingsError, Stopped, UserError
from ssl_tf.evaluation import finetuning
from ssl_tf.evaluation.classification import rate_schedule, real_batch_size
from ssl_tf.evaluation.encoder_classifier import build_encoder_classifier
from ssl_tf.evaluation.finetuning import FineTuning, LabelledImages
from ssl_tf.evaluation.labelled import choose_labelled
from ssl_tf.networks.batch_normalization import batch_normalization
from ssl_tf.networks.precision import policy_scope
from ssl_tf.networks.resnet import build_resnet
from ssl_tf.settings import (
    FineTuneSettings,
    LabelSettings,
    TuningSettings,
    flagfiles,
)
from ssl_tf.training.callbacks import SaveCheckpoint
from ssl_tf.training.encoders import CHECKPOINTS
from ssl_tf.training.strategy import mirrored_strategy
from tests.evaluation.multi_label_source import Shades
from tests.evaluation.small_run import pretrained_run
from tests.training.killed_training import Killed, killed_after


def settings(*flags):
    common = ["--batch_size=12", "--epochs=2", "--checkpoint_every=9", "--log_every=1"]
    return flagfiles.parse([*common, *flags], TuningSettings)


def small_start(synchronized):
    """One convolution with its normalization."""
    images = tf.keras.Input((None, None, 3))
    kernel = tf.keras.initializers.GlorotUniform(seed=1)
    conv = tf.keras.layers.Conv2D(6, 3, 2, use_bias=False, kernel_initializer=kernel, name="conv")
    x = conv(images)
    x = tf.keras.layers.ReLU()(batch_normalization("bn", synchronized)(x))
    pooled = tf.keras.layers.GlobalAveragePooling2D(dtype="float32")(x)
    return tf.keras.Model(images, pooled)


def resnet_start(synchronized):
    return build_resnet(18, 0.0625, "small", False, synchronized, seed=5)


def build(start, *flags, rate=0.1, decay=0.0, examples=1200, steps=100, classes=3):
    given = settings(*flags)
    schedule = rate_schedule(
        rate, schedule="step", drop_epochs=(), batch_size=256, examples=examples, steps=steps
    )
    return build_encoder_classifier(start, classes, given, schedule, decay, examples, steps)


def batch(seed=0, size=12):
    random = np.random.default_rng(seed)
    images = random.integers(0, 256, (size, 16, 16, 3), dtype=np.uint8)
    return tf.constant(images), tf.constant(random.integers(0, 3, size))


def stage(variable):
    """0 is the stem."""
    return int(variable.name[5]) if variable.name.startswith("layer") else 0


@pytest.mark.parametrize("blocks", [0, 1, 3, 4])
def test_frozen_blocks_stay_as_they_are_with_their_statistics_and_all_others_learn(blocks):
    model = build(resnet_start, f"--frozen_blocks={blocks}")
    encoder = model.encoder
    before = [variable.numpy() for variable in encoder.variables]
    expected = encoder(tf.zeros([1, 16, 16, 3]), training=False)
    losses = [float(model.train_step(batch(seed))["loss"]) for seed in range(2)]
    assert losses[0] == pytest.approx(math.log(3), rel=1e-6)  # the classifier starts at zero
    for variable, old in zip(encoder.variables, before):
        changed = np.any(variable.numpy() != old)
        assert changed == (not blocks or stage(variable) > blocks), variable.name
    learned = {variable.name for variable in model.trunk_variables}
    assert learned == {
        v.name for v in encoder.trainable_variables if not blocks or stage(v) > blocks
    }
    if blocks == 4:
        np.testing.assert_array_equal(encoder(tf.zeros([1, 16, 16, 3]), training=False), expected)


def test_both_halves_of_an_encoder_are_the_encoder():
    images, _ = batch()
    whole, split = (build(resnet_start, f"--frozen_blocks={blocks}") for blocks in (0, 2))
    for model in (whole, split):
        model.classifier.kernel.assign(np.random.default_rng(0).normal(size=(32, 3)))
    np.testing.assert_allclose(whole(images), split(images), rtol=1e-5)


def test_the_trunk_moves_by_a_multiple_of_the_rate_and_decays_by_it():
    def moved(*flags, decay):
        model = build(small_start, *flags, "--nonesterov", decay=decay)
        model.classifier.kernel.assign(np.random.default_rng(0).normal(size=(6, 3)))
        before = [variable.numpy() for variable in model.learned_variables]
        model.train_step(batch())
        return [v.numpy() - old for v, old in zip(model.learned_variables, before)], before

    plain, before = moved(decay=0.0)
    slow, _ = moved("--trunk_rate_multiplier=0.25", decay=0.0)
    decayed, _ = moved("--trunk_rate_multiplier=0.25", decay=0.02)
    kinds = ["kernel", "gamma", "beta", "classifier kernel", "classifier bias"]
    for kind, one, other, with_decay, weights in zip(kinds, plain, slow, decayed, before):
        factor = 1.0 if kind.startswith("classifier") else 0.25
        np.testing.assert_allclose(other, factor * one, rtol=1e-4, atol=1e-7, err_msg=kind)
        taken = factor * 0.1 * 0.02 * weights if kind.endswith("kernel") else 0
        np.testing.assert_allclose(with_decay, other - taken, rtol=1e-4, atol=1e-7, err_msg=kind)


@pytest.mark.parametrize("synchronized", [False, True])
@pytest.mark.parametrize(
    "rule, examples, momentum",
    [("fixed", 4800, 0.9), ("kornblith", 4800, 0.975), ("kornblith", 600, 0.9)],
)
def test_the_statistics_move_by_the_rule(rule, examples, momentum, synchronized):
    model = build(
        lambda _: small_start(synchronized), f"--bn_momentum_rule={rule}", examples=examples
    )
    images, _ = batch()
    conv, bn = model.encoder.get_layer("conv"), model.encoder.get_layer("bn")
    x = conv((tf.cast(images, tf.float32) / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225])
    mean = tf.reduce_mean(x, [0, 1, 2])
    model.train_step(batch())
    np.testing.assert_allclose(bn.moving_mean, (1 - momentum) * mean, rtol=1e-4, atol=1e-6)


def test_half_precision_learns_what_full_precision_learns():
    def losses(precision):
        with policy_scope(precision):
            model = build(small_start, f"--precision={precision}", rate=0.5)
        assert model.encoder.get_layer("conv").compute_dtype == precision.removeprefix("mixed_")
        return [float(model.train_step(batch())["loss"]) for _ in range(6)]

    full = losses("float32")
    assert full[-1] < full[0] - 0.05
    assert losses("mixed_float16") == pytest.approx(full, rel=0.01)
    assert losses("mixed_bfloat16") == pytest.approx(full, rel=0.03)


def tuned(coloured, directory, *flags, validation=False, refit=False, strategy=None, start=None):
    whole, test = coloured
    images = LabelledImages(whole, test)
    if validation:
        train, held = whole.hold_out(9)
        images = LabelledImages(train, test, held, whole if refit else None)
    return FineTuning(
        new_encoder=start or small_start,
        images=images,
        image_size=16,
        settings=settings(*flags),
        directory=directory,
        strategy=strategy or tf.distribute.get_strategy(),
    ).result()


def test_two_replicas_give_what_one_gives(coloured, tmp_path):
    one, two = (
        tuned(
            coloured,
            tmp_path / str(replicas),
            *("--trunk_rate_multiplier=0.5", "--weight_decay=0.01", "--base_learning_rate=1"),
            strategy=mirrored_strategy([f"CPU:{i}" for i in range(replicas)]),
        )
        for replicas in (1, 2)
    )
    assert two.train_loss == pytest.approx(one.train_loss, rel=1e-5)
    assert two.figures == one.figures
    weights = []
    for replicas in (1, 2):
        path = max((tmp_path / str(replicas)).glob("*/checkpoints/step_*"))
        reader = tf.train.load_checkpoint(str(path / "state"))
        weights.append({n: reader.get_tensor(n) for n in reader.get_variable_to_shape_map()
                        if "encoder/" in n or "classifier/" in n})  # fmt: skip
    assert weights[0].keys() == weights[1].keys() and len(weights[0]) >= 7
    for name, value in weights[0].items():
        if value.dtype == np.float32:
            np.testing.assert_allclose(weights[1][name], value, rtol=1e-4, atol=1e-5, err_msg=name)


# 1e-60 is no rate at all in float32.
SWEEP = ("--base_learning_rates=1e-60,3", "--checkpoint_every=0.5")


@pytest.fixture(scope="module")
def reference(coloured, tmp_path_factory):
    """A sweep that nobody disturbed: its directory and result."""
    directory = tmp_path_factory.mktemp("tuned") / "reference"
    return directory, tuned(coloured, directory, *SWEEP, validation=True, refit=True)


def test_each_rate_is_tried_with_each_decay():
    given = settings("--base_learning_rates=0.1,0.2", "--weight_decays=0,1e-3")
    assert given.trials == ((0.1, 0), (0.1, 1e-3), (0.2, 0), (0.2, 1e-3))
    assert settings("--base_learning_rate=0.3", "--weight_decay=0.5").trials == ((0.3, 0.5),)


def test_the_best_trial_on_validation_images_is_trained_again_on_all(reference):
    directory, result = reference
    poor, good = result.trials
    assert (poor["base_learning_rate"], good["base_learning_rate"]) == (1e-60, 3)
    assert good["validation"]["top1"] > 0.6 > poor["validation"]["top1"]
    assert (result.base_learning_rate, result.weight_decay) == (3, 0)
    assert result.figures["top1"] > 0.6 and result.figures.keys() == {"top1", "mean_per_class"}
    assert {path.name for path in directory.iterdir()} == {
        "data.json", "identity.json", "result.json", "refit", "rate_1e-60_decay_0",
        "rate_3_decay_0",
    }  # fmt: skip
    # 36 images train in 6 steps, all 45 in 7; nothing asks for the checkpoints of the trials again.
    kept = sorted(path.parent.parent.name for path in directory.glob("*/checkpoints/step_*"))
    assert kept == ["refit"] * 2
    lines = [json.loads(x) for x in (directory / "refit/metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, 8))
    rates = [line["learning_rate"] for line in lines]
    peak = 3 * 12 / 256
    expected = [peak * (1 + math.cos(math.pi * step / 7)) / 2 for step in range(7)]
    assert rates == pytest.approx(expected, rel=1e-5)


def sums(directory):
    """Digests of the last checkpoint's files."""
    return max(directory.glob("refit/checkpoints/step_*")).joinpath("SHA256SUMS").read_text()


def test_kills_and_a_stop_leave_no_trace(coloured, reference, tmp_path, monkeypatch):
    untouched, expected = reference
    directory = tmp_path / "killed"
    trained = []
    crop = finetuning.cropped_batches

    def spy(source, image_size, steps):
        trained.append((source.size, steps.start))
        return crop(source, image_size, steps)

    monkeypatch.setattr(finetuning, "cropped_batches", spy)

    def go():
        return tuned(coloured, directory, *SWEEP, validation=True, refit=True)

    def die_in(trial, step):
        """Dies when a trial's step is through and not yet saved."""
        on_step = killed_after(step)
        saved = SaveCheckpoint.on_step

        def in_trial(self, at, logs):
            is_there = trial in str(self._checkpoints.path(at))
            return (on_step if is_there else saved)(self, at, logs)

        with monkeypatch.context() as patch, pytest.raises(Killed):
            patch.setattr(SaveCheckpoint, "on_step", in_trial)
            go()

    die_in("rate_3_decay_0", 5)
    assert trained == [(36, 0), (36, 0)]
    del trained[:]
    die_in("refit", 4)
    assert trained == [(36, 4), (45, 0)]
    del trained[:]

    def terminate(self, at, logs):
        if at == 5:
            os.kill(os.getpid(), signal.SIGTERM)
        original(self, at, logs)

    original = SaveCheckpoint.on_step
    with monkeypatch.context() as patch, pytest.raises(Stopped, match="SIGTERM at step 5"):
        patch.setattr(SaveCheckpoint, "on_step", terminate)
        go()
    assert go() == expected
    assert trained == [(45, 2), (45, 5)]
    assert sums(directory) == sums(untouched)
    # Complete, it is read and not repeated.
    assert go() == expected and len(trained) == 2


def test_a_batch_above_the_images_is_a_batch_of_all_of_them(coloured, tmp_path, capsys):
    given = ("--epochs=3", "--bn_momentum_rule=kornblith")
    large = tuned(coloured, tmp_path / "large", *given, "--batch_size=256")
    exact = tuned(coloured, tmp_path / "exact", *given, "--batch_size=45")
    assert large == exact
    lines = (tmp_path / "large" / "rate_0.05_decay_0" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == [1, 2, 3]
    assert "--batch_size=256: " in capsys.readouterr().err


def test_replicas_divide_the_largest_batch_that_shows_no_image_twice():
    assert [real_batch_size(256, 45, n) for n in (1, 2, 4)] == [45, 44, 44]
    assert real_batch_size(256, 3, 4) == 4 and real_batch_size(12, 45, 4) == 12


def test_batches_of_all_images_of_the_trials_may_be_others_in_the_refit(coloured, tmp_path):
    trials, validation = coloured[0].size - 9, dict(validation=True, refit=True)
    tuned(coloured, tmp_path, f"--batch_size={trials}", **validation)
    told = f"batch of the refit=None there, {trials + 1} here"
    with pytest.raises(SettingsError, match=told):
        tuned(coloured, tmp_path, f"--batch_size={trials + 1}", **validation)


def test_a_directory_of_other_settings_is_left_alone(coloured, reference, tmp_path):
    directory, _ = reference
    before = sums(directory)
    with pytest.raises(SettingsError, match="--epochs=2.0 there, 3.0 here"):
        tuned(coloured, directory, *SWEEP, "--epochs=3", validation=True, refit=True)
    with pytest.raises(SettingsError, match="of other settings .validation="):
        tuned(coloured, directory, *SWEEP)
    whole, test = coloured
    with pytest.raises(UserError, match="the train images are not those of the first start"):
        tuned((whole.hold_out(2)[0], test), directory, *SWEEP, validation=True, refit=True)

    def other_weights(synchronized):
        encoder = small_start(synchronized)
        encoder.weights[0].assign_add(tf.ones_like(encoder.weights[0]))
        return encoder

    with pytest.raises(SettingsError, match="of other settings .encoder="):
        tuned(coloured, directory, *SWEEP, validation=True, refit=True, start=other_weights)
    assert sums(directory) == before
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("")
    with pytest.raises(SettingsError, match="is no training of this stage"):
        tuned(coloured, tmp_path / "mine")


def test_checkpoints_do_not_lie_among_those_of_a_run(tmp_path, capsys):
    run = pretrained_run(tmp_path / "run")
    flags = (
        f"--checkpoint={run}", "--dataset=scenes", "--scenes=16", "--scene_size=16", "--steps=1",
        "--batch_size=8", f"--output={tmp_path}/run.json", "--label_fraction=0.5",
    )  # fmt: skip
    with pytest.raises(SystemExit):
        command.run(finetune.main, FineTuneSettings, flags)
    assert "which is the directory of a run; give another name" in capsys.readouterr().err
    assert {path.name for path in run.iterdir()} == {"flags.txt", CHECKPOINTS}


def test_flags_that_change_the_pixels_give_another_result(tmp_path, capsys, monkeypatch):
    """Ids, classes and numbers of scenes are the same at all sizes."""
    run = pretrained_run(tmp_path / "run")

    def tune(size):
        flags = (
            f"--checkpoint={run}", "--dataset=scenes", "--scenes=16", f"--scene_size={size}",
            "--norandom_baseline", "--steps=1", "--batch_size=8", f"--output={tmp_path}/tuned.json",
        )  # fmt: skip
        command.run(finetune.main, FineTuneSettings, flags)
        return json.loads((tmp_path / "tuned.json").read_text())["trained"]["train_loss"]

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(finetuning, "build_encoder_classifier", killed_at_once)
        tune(16)
    directory = tmp_path / "tuned" / "trained"
    result = finetuning.FineTuneResult({"top1": 0.5}, 77.0, 0.05, 0.0, [], "of small scenes")
    (directory / "result.json").write_text(json.dumps(dataclasses.asdict(result)))
    assert tune(16) == 77
    # The identity of an earlier version has no such flags: its result is found all the same.
    identity = json.loads((directory / "identity.json").read_text())
    earlier = {name: text for name, text in identity.items() if name != "--scene_size"}
    (directory / "identity.json").write_text(json.dumps(earlier))
    assert tune(16) == 77
    with pytest.raises(SystemExit):
        tune(40)
    told = capsys.readouterr().err.splitlines()[-1]
    assert "of other settings (--scene_size=16 there, 40 here); give those, or remove" in told
    shutil.rmtree(directory)
    assert tune(40) == pytest.approx(math.log(10), rel=1e-5)  # of ten classes, at the first step


def killed_at_once(*arguments):
    raise Killed


def test_other_test_images_repeat_the_test_alone(coloured, tmp_path, monkeypatch, capsys):
    whole, test = coloured
    flags = ("--base_learning_rates=0.1,0.2",)
    first = tuned(coloured, tmp_path / "x", *flags, validation=True)
    monkeypatch.setattr(finetuning, "cropped_batches", killed_at_once)
    rest, fewer = test.hold_out(3)
    again = tuned((whole, fewer), tmp_path / "x", *flags, validation=True)
    assert "the test is another, and is repeated" in capsys.readouterr().err
    assert dataclasses.replace(again, figures=first.figures) == first
    assert again.figures["top1"] in (0, 1 / 3, 2 / 3, 1)
    # Other images to learn from are another training.
    with pytest.raises(UserError, match="the train images are not those of the first start"):
        tuned((whole.hold_out(2)[0], test), tmp_path / "x", *flags, validation=True)


def test_a_second_call_keeps_the_count_of_unreadable_images(coloured, tmp_path):
    whole, test = coloured[0], copy.copy(coloured[1])
    for counted in (UnreadableImages(), UnreadableImages()):
        test.unreadable = counted
        if not (tmp_path / "x").exists():
            counted.add(b"x.png")
        assert tuned((whole, test), tmp_path / "x").unreadable_images == 1


def test_trials_that_all_diverged_are_one_line(coloured, tmp_path, capsys):
    flags = ("--base_learning_rates=1e30,1e31", "--weight_decay=1")
    with pytest.raises(UserError, match="finite scores: lower --base_learning_rates"):
        tuned(coloured, tmp_path / "one", *flags, validation=True)
    assert "rate_1e+30_decay_1: the loss is nan at step" in capsys.readouterr().err
    assert (tmp_path / "one/rate_1e+31_decay_1/validation.json").read_text() == "null\n"


def test_rates_that_look_alike_have_directories_of_their_own():
    assert finetuning._name((0.1, 1e-4)) == "rate_0.1_decay_0.0001"
    names = {finetuning._name((rate, 0.0)) for rate in (0.1, 0.1000001, 0.10000011)}
    assert names == {f"rate_{rate}_decay_0" for rate in ("0.1", "0.1000001", "0.10000011")}


def test_the_decay_may_be_divided_by_the_rate(coloured, tmp_path, monkeypatch):
    def built(*arguments):
        raise Killed(arguments[4])

    monkeypatch.setattr(finetuning, "build_encoder_classifier", built)
    flags = ("--base_learning_rate=0.5", "--weight_decay=1e-3")
    for over, expected in ((), 1e-3), (("--decay_over_rate",), 1e-3 / (0.5 * 12 / 256)):
        with pytest.raises(Killed) as told:
            tuned(coloured, tmp_path / str(expected), *flags, *over)
        assert told.value.args[0] == pytest.approx(expected)


def test_of_several_labels_the_best_trial_is_tested_once_after_the_choice(tmp_path, monkeypatch):
    (train, validation), test = Shades(72, 0).hold_out(12), Shades(48, 1)
    looked = []
    reader = finetuning.FeatureReader

    def spy(encode, source, *arguments, **keywords):
        looked.append("test" if source is test else source.size)
        return reader(encode, source, *arguments, **keywords)

    monkeypatch.setattr(finetuning, "FeatureReader", spy)
    given = settings("--epochs=5", "--base_learning_rates=20,1e-60")
    images = LabelledImages(train, test, validation)
    result = FineTuning(
        new_encoder=small_start,
        images=images,
        image_size=16,
        settings=given,
        directory=tmp_path / "x",
    ).result()
    assert result.figures.keys() == {"map"} and result.figures["map"] > 0.75
    assert looked == [12, 12, "test"] and result.base_learning_rate == 20
    # Without a refit the chosen trial itself is tested; only its checkpoints are left.
    left = {path.parent.parent.name for path in (tmp_path / "x").glob("*/checkpoints/step_*")}
    assert left == {"rate_20_decay_0"}


def chosen(coloured, tmp_path, *flags):
    given = flagfiles.parse(list(flags), LabelSettings)
    return choose_labelled(*coloured, given, tmp_path / "labels.txt")


def ids(source):
    return set(source.ids().as_numpy_iterator())


def test_validation_images_come_from_the_labelled_ones_or_from_the_rest(coloured, tmp_path):
    whole, test = coloured
    all_labels = chosen(coloured, tmp_path, "--validation=9")
    assert all_labels.whole is None and not (tmp_path / "labels.txt").exists()
    assert ids(all_labels.train) | ids(all_labels.validation) == ids(whole)
    share = chosen(coloured, tmp_path, "--label_fraction=0.4", "--validation=5", "--refit")
    # 15 images a class, five of each for the test: 4 or more of what is left.
    assert share.whole.size == share.train.size + 5 and share.test is test
    assert ids(share.train) | ids(share.validation) == ids(share.whole)
    assert not ids(share.train) & ids(share.validation)
    listed = (tmp_path / "labels.txt").read_bytes().splitlines()
    assert set(listed[1:]) == ids(share.whole) and listed[0].startswith(b"# 18 of the 45 images of")
    rest = chosen(
        coloured, tmp_path, "--label_fraction=0.4", "--validation=5", "--validation_of=rest"
    )
    assert ids(rest.train) == ids(share.whole) and rest.whole is None
    assert rest.validation.size == 5 and not ids(rest.validation) & ids(rest.train)
    again = chosen(coloured, tmp_path / "again", f"--labels_from={tmp_path / 'labels.txt'}")
    assert ids(again.train) == ids(share.whole)
    # Lists of one name and length are told apart.
    some = sorted(ids(whole))
    for first in (0, 9):
        (tmp_path / f"{first}").mkdir()
        (tmp_path / f"{first}" / "x.txt").write_bytes(b"\n".join(some[first : first + 18]))
    names = {
        chosen(coloured, tmp_path / name, f"--labels_from={tmp_path / name / 'x.txt'}").train.name
        for name in ("0", "9")
    }
    assert len(names) == 2 and all(", those of x.txt (" in name for name in names)


@pytest.mark.parametrize(
    "flags, told",
    [
        (("--base_learning_rates=1,2",), "never on the test; give --validation=N"),
        (
            ("--weight_decays=0,0", "--validation=9"),
            "--weight_decays=0.0,0.0: give each value once",
        ),
        (("--refit",), "nothing to add; give --validation=N"),
        (("--validation_of=rest",), "nothing is left"),
        (("--label_fraction=0.5", "--labels_from=x"), "give one of them"),
        (
            ("--label_fraction=0.5", "--validation_of=rest", "--validation=3", "--refit"),
            "more labels than the share has",
        ),
        (("--schedule=step",), "give the epochs with --schedule=step"),
    ],
)
def test_flags_that_do_not_go_together_are_one_line(flags, told):
    with pytest.raises(SettingsError, match=told):
        flagfiles.parse(["--dataset=none", "--checkpoint=none", *flags], FineTuneSettings)


def test_more_validation_images_than_there_are_is_one_line(coloured, tmp_path):
    with pytest.raises(SettingsError, match="--validation=18: .* has 18 images; hold out fewer"):
        chosen(coloured, tmp_path, "--label_fraction=0.4", "--validation=18")


@pytest.mark.parametrize(
    "content", [b"", b"\x00\xfe", b"{", b"[]", b"{}", b'{"figures": {}}', b"3"]
)
def test_a_damaged_result_or_figure_is_one_line_with_its_remedy(tmp_path, content):
    path = tmp_path / "result.json"
    path.write_bytes(content)
    for read in (finetuning._read_result, finetuning._read_figures):
        with pytest.raises(UserError, match="result.json .*; remove it, and it is computed again"):
            read(path)
