import copy
import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from ssl_tf.errors import SettingsError, UserError
from ssl_tf.evaluation import probe
from ssl_tf.evaluation.classification import training_steps
from ssl_tf.networks.normalization import MEAN, STD
from ssl_tf.networks.resnet import build_resnet
from ssl_tf.settings import LinearSettings, flagfiles
from ssl_tf.training.callbacks import SaveCheckpoint
from tests.evaluation.multi_label_source import Shades
from tests.training.killed_training import Killed, killed_after


def settings(*flags):
    return flagfiles.parse(
        ["--dataset=none", "--checkpoint=none", "--batch_size=15", "--epochs=20", *flags],
        LinearSettings,
    )


def colour_encoder():
    """Mean colour in [0, 1]: linearly separable for these classes."""
    images = tf.keras.Input((None, None, 3))
    pooled = tf.keras.layers.GlobalAveragePooling2D()(images)
    return tf.keras.Model(images, tf.keras.layers.Rescaling(np.mean(STD), np.mean(MEAN))(pooled))


@pytest.mark.parametrize(
    "flags", [(), ("--augment",), ("--nostandardize", "--base_learning_rate=50")]
)
def test_separable_classes_are_separated(coloured, flags):
    train, test = coloured
    result = probe.probe_encoder(colour_encoder(), train, test, 16, settings(*flags))
    assert result.figures == {"top1": 1.0, "mean_per_class": 1.0}
    assert result.train_loss < np.log(3) / 2


@pytest.mark.parametrize("steps", [1, 5])
def test_few_steps_standardize_test_images_by_the_features_that_were_seen(steps):
    features = np.random.default_rng(3).normal(2.0, 0.01, [8, 4]).astype(np.float32)
    model = probe.Probe(3, standardize=True)
    model.compile(optimizer=tf.keras.optimizers.SGD(0.1))
    batches = tf.data.Dataset.from_tensors((features, np.arange(8) % 3)).repeat(steps)
    model.fit(batches, verbose=0)
    model.correct_averages(steps)
    np.testing.assert_allclose(
        model(features, training=False)[0], model(features, training=True)[0], atol=2e-4
    )


@pytest.mark.parametrize("flags", [(), ("--augment",)])
def test_the_encoder_is_unchanged_batch_statistics_included(coloured, flags):
    train, test = coloured
    encoder = build_resnet(18, 0.0625, "small", seed=3)
    encoder(tf.random.stateless_normal([8, 16, 16, 3], [1, 2]), training=True)
    before = [variable.numpy() for variable in encoder.variables]
    probe.probe_encoder(encoder, train, test, 16, settings("--epochs=2", *flags))
    for old, variable in zip(before, encoder.variables):
        np.testing.assert_array_equal(old, variable.numpy())


def test_a_changed_encoder_is_found_out(coloured, monkeypatch):
    train, test = coloured
    encoder = build_resnet(18, 0.0625, "small")
    original = probe.fit

    def meddle(*arguments, **keywords):
        original(*arguments, **keywords)
        encoder.variables[-1].assign_add(1e-6 * tf.ones_like(encoder.variables[-1]))

    monkeypatch.setattr(probe, "fit", meddle)
    with pytest.raises(UserError, match="encoder changed"):
        probe.probe_encoder(encoder, train, test, 16, settings("--epochs=1"))


def test_the_same_seed_gives_the_same_result(coloured):
    one, same, other = (
        probe_colours(*coloured, "--epochs=3", f"--seed={seed}").train_loss for seed in (1, 1, 2)
    )
    assert one == same != other


@pytest.mark.parametrize("flags", [(), ("--augment",)])
def test_several_labels_are_told_one_by_one(flags):
    train, test = Shades(60, 0), Shades(48, 1)
    steps = ("--schedule=step", "--drop_epochs=10,15", "--nonesterov", "--base_learning_rate=20")
    result = probe.probe_encoder(colour_encoder(), train, test, 16, settings(*flags, *steps))
    assert set(result.figures) == {"map", "map_batchwise"}
    # Two classes of average precision 1 and one of about its share of the images.
    share = test._labels[:, 1].mean()
    assert result.figures["map"] == pytest.approx((2 + share) / 3, abs=0.08)
    assert result.figures["map_batchwise"] > 0.75
    # Mean over classes: two near 0 and one near log 2.
    assert 0.6 * np.log(2) / 3 < result.train_loss < 1.5 * np.log(2) / 3


def test_the_loss_of_several_labels_is_the_binary_cross_entropy_mean_over_classes():
    model = probe.Probe(4, standardize=False)
    model.build((None, 6))
    random = np.random.default_rng(0)
    kernel, bias = model.classifiers[0].variables
    kernel.assign(random.normal(size=(6, 4)))
    bias.assign(random.normal(size=4))
    features = random.normal(size=(5, 6)).astype(np.float32)
    labels = random.integers(0, 2, (5, 4)).astype(np.float32)
    chance = 1 / (1 + np.exp(-(features @ kernel.numpy() + bias.numpy()).astype(np.float64)))
    total = 0.0
    for row in range(5):
        for c in range(4):
            total -= np.log(chance[row, c] if labels[row, c] else 1 - chance[row, c])
    model.compile(optimizer=tf.keras.optimizers.SGD(0.0))
    loss = model.train_on_batch(features, labels, return_dict=True)["loss"]
    assert loss == pytest.approx(total / 20, rel=1e-5)


@pytest.mark.parametrize("flags", [(), ("--augment",)])
def test_a_batch_above_the_images_is_a_batch_of_all_of_them(flags, coloured, monkeypatch, capsys):
    train, test = coloured
    seen = []
    fit, rate_schedule = probe.fit, probe.rate_schedule

    def steps_of(*arguments, steps, **keywords):
        seen.append(steps)
        return fit(*arguments, steps=steps, **keywords)

    def rates_of(*arguments, **keywords):
        schedule = rate_schedule(*arguments, **keywords)
        seen.append([float(schedule(step)) for step in (0, 5)])
        return schedule

    monkeypatch.setattr(probe, "fit", steps_of)
    monkeypatch.setattr(probe, "rate_schedule", rates_of)
    results = [
        probe.probe_encoder(
            colour_encoder(), train, test, 16, settings("--epochs=5", f"--batch_size={n}", *flags)
        )
        for n in (256, 45)
    ]
    # 5 passes over 45 images, each pass a step, at the rate for 45 images of the 256.
    assert seen == [pytest.approx([0.1 * 45 / 256, 0.0]), 5] * 2
    assert results[0] == results[1] and results[0].batch_size == 45
    assert "--batch_size=256: " in capsys.readouterr().err


def test_the_last_batch_of_figures_is_that_of_the_flag():
    train, test = Shades(30, 0), Shades(48, 1)
    result = probe.probe_encoder(
        colour_encoder(), train, test, 16, settings("--epochs=2", "--batch_size=64")
    )
    # 48 test images are one batch of 64, whatever the 30 train images were.
    assert result.figures["map_batchwise"] == pytest.approx(result.figures["map"])


def test_a_step_schedule_needs_its_epochs():
    with pytest.raises(SettingsError, match="give the epochs with --schedule=step"):
        settings("--schedule=step")
    with pytest.raises(SettingsError, match="only with it"):
        settings("--drop_epochs=3")
    with pytest.raises(SettingsError, match="--drop_epochs=40.0,20.0,20.0: give each value once"):
        settings("--schedule=step", "--drop_epochs=40,20,20")


def test_epochs_below_one_batch_are_one_line():
    with pytest.raises(SettingsError, match="--epochs=0.5: of 30 images do not fill one batch of"):
        probe_colours(Shades(30, 0), Shades(9, 1), "--epochs=0.5", "--batch_size=64")
    assert training_steps(0.5, 64, 32) == 1


def probe_colours(train, test, *flags):
    return probe.probe_encoder(colour_encoder(), train, test, 16, settings(*flags))


@pytest.mark.parametrize(
    "flags", [(), ("--weight_decay=0.01", "--schedule=step", "--drop_epochs=9")]
)
def test_a_classifier_of_a_sweep_is_the_one_that_its_rate_gives_alone(coloured, flags):
    train, test = coloured
    rates = (0.3, 0.004, 0.03)
    common = ("--validation=9", "--epochs=8", "--nostandardize", *flags)
    swept = probe_colours(train, test, "--base_learning_rates=0.3,0.004,0.03", *common)
    for rate in rates:
        alone = probe_colours(train, test, f"--base_learning_rate={rate}", *common)
        assert alone.base_learning_rate == rate
        assert swept.validation[rate] == pytest.approx(alone.validation[rate], abs=1e-6)
        if rate == swept.base_learning_rate:
            assert swept.train_loss == pytest.approx(alone.train_loss, rel=1e-5)
            assert swept.figures == pytest.approx(alone.figures)


def test_the_rate_is_chosen_on_validation_whatever_the_test_images_prefer(coloured, monkeypatch):
    train, _ = coloured
    red = copy.copy(train)
    red._labels = tf.zeros_like(train._labels)
    seen = []
    reader = probe.FeatureReader

    def spy(encode, source, *arguments, **keywords):
        seen.append(set(source.ids().as_numpy_iterator()) if source is not red else "test")
        return reader(encode, source, *arguments, **keywords)

    monkeypatch.setattr(probe, "FeatureReader", spy)
    # A classifier that learns nothing says class 0 to everything, which is all of the test: a
    # choice that looks at the test takes it and reports 1.
    result = probe_colours(train, red, "--base_learning_rates=1e-60,0.1", "--validation=12")
    assert result.base_learning_rate == 0.1
    assert result.validation[0.1]["top1"] == 1.0 > result.validation[1e-60]["top1"]
    assert result.figures["top1"] == pytest.approx(1 / 3)
    trained, validated, tested = seen
    assert (len(trained), len(validated), tested) == (33, 12, "test")
    assert not trained & validated


def test_several_rates_need_validation_images(coloured):
    with pytest.raises(SettingsError, match="never on the test; give --validation=N"):
        settings("--base_learning_rates=0.1,0.2")
    with pytest.raises(SettingsError, match="each value once"):
        settings("--base_learning_rates=0.1,0.1", "--validation=3")
    with pytest.raises(SettingsError, match="--validation=45: .* has 45 images"):
        probe_colours(*coloured, "--validation=45")


def test_a_classifier_that_diverged_is_not_chosen_and_the_first_of_equal_ones_is():
    poor, good = {"top1": 0.2}, {"top1": 0.8}
    assert probe.best_index([None, poor, good, good]) == 2
    assert probe.best_index([None, {"map": 0.5}]) == 1
    unlike = [{"top1": 0.6, "mean_per_class": 0.4}, {"top1": 0.5, "mean_per_class": 0.5}]
    assert probe.best_index(unlike) == 0 and probe.best_index(unlike, "mean_per_class") == 1
    with pytest.raises(UserError, match="lower --base_learning_rates"):
        probe.best_index([None, None])


def test_a_classifier_that_diverged_has_no_figures(coloured):
    with pytest.raises(UserError, match="not finite.*lower --base_learning_rate"):
        probe_colours(*coloured, "--base_learning_rate=1e38", "--weight_decay=1")
    swept = ("--base_learning_rates=1e38,0.1", "--weight_decay=1", "--validation=9")
    result = probe_colours(*coloured, *swept)
    assert result.validation[1e38] is None and result.base_learning_rate == 0.1


@pytest.mark.parametrize("flags", [(), ("--augment", "--checkpoint_every=0.8")])
def test_a_probe_that_was_killed_ends_with_the_same_numbers(flags, coloured, tmp_path, monkeypatch):
    train, test = coloured
    given = settings("--epochs=3", "--base_learning_rates=0.3,0.05", "--validation=9", *flags)

    def probed(directory):
        return probe.probe_encoder(colour_encoder(), train, test, 16, given, tmp_path / directory)

    whole = probed("whole")
    if not flags:
        assert not (tmp_path / "whole").exists() and probed("again") == whole
        return
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(SaveCheckpoint, "on_step", killed_after(5))
        probed("killed")
    names = {path.name for path in (tmp_path / "killed" / "checkpoints").iterdir()}
    assert names == {"step_00000002", "step_00000004"}
    seen = []
    crop = probe.cropped_batches

    def spy(source, image_size, steps):
        seen.append(steps.start)
        return crop(source, image_size, steps)

    monkeypatch.setattr(probe, "cropped_batches", spy)
    assert probed("killed") == whole
    # Killed before its report, it has nothing left to train.
    assert probed("killed") == whole
    assert seen == [4]
    with pytest.raises(SettingsError, match="other settings .--seed=0 there, 1 here"):
        given = dataclasses.replace(given, seed=1)
        probed("killed")
    data = dataclasses.replace(given.evaluation.data, orient=True)
    evaluation = dataclasses.replace(given.evaluation, data=data)
    with pytest.raises(SettingsError, match="other settings .--orient=false there, true here"):
        given = dataclasses.replace(given, seed=0, evaluation=evaluation)
        probed("killed")


def test_a_label_outside_of_the_classes_is_told_before_the_crops_are_made(coloured):
    train, test = coloured
    wrong = copy.copy(train)
    wrong._labels = train._labels + 1
    with pytest.raises(UserError, match="image .* has the label 3, but there are 3 classes"):
        probe_colours(wrong, test, "--augment")


def test_a_sweep_of_several_labels_is_chosen_by_mean_average_precision():
    rates = ("--base_learning_rates=1e-60,1", "--validation=20")
    result = probe_colours(Shades(60, 0), Shades(48, 1), *rates)
    assert result.base_learning_rate == 1
    assert result.validation[1.0]["map"] > result.validation[1e-60]["map"]
