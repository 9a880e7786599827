"""The supervised baseline: its losses, its labels, and what cannot be learned from."""

import json
import math

import numpy as np
import pytest
import tensorflow as tf

from ssl_tf import command, knn, pretrain
from ssl_tf.data.order import Steps
from ssl_tf.data.unreadable import UnreadableImages
from ssl_tf.errors import SettingsError, UserError
from ssl_tf.methods import losses
from ssl_tf.methods.registry import build_method
from ssl_tf.networks import resnet
from ssl_tf.networks.normalization import normalize_images
from ssl_tf.pretraining.compiling import compile_method
from ssl_tf.pretraining.dry_run import describe
from ssl_tf.pretraining.inputs import OnDevice, method_batches
from ssl_tf.settings import KnnSettings, PretrainSettings, ViewSettings, flagfiles
from ssl_tf.training.plan import make_plan
from ssl_tf.training.trainer import fit
from ssl_tf.views.recipe import Recipe
from tests.methods.small_methods import BATCH, SIZE, small_settings, views

CLASSES = 5


@pytest.fixture(autouse=True)
def two_blocks(monkeypatch):
    monkeypatch.setitem(resnet.DEPTHS, 18, ((1, 0, 0, 1), False))


def supervised(*flags, classes=CLASSES, multi_label=False):
    settings = small_settings("--method=supervised", *flags)
    plan = make_plan(settings.optimization, 64)
    method = build_method(settings, plan, False, classes, multi_label)
    compile_method(method, settings.optimization, plan)
    return method


def rows(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_one_label_is_a_softmax_in_a_slow_loop(smoothing):
    scores, labels = rows(0, 4, 3), np.array([2, 0, 1, 2])
    expected = []
    for row, label in zip(np.float64(scores), labels):
        log_p = [s - math.log(sum(math.exp(t) for t in row)) for s in row]
        target = [(1 - smoothing) * (c == label) + smoothing / 3 for c in range(3)]
        expected.append(-sum(t * p for t, p in zip(target, log_p)))
    found = losses.classification_loss(scores, tf.constant(labels), smoothing)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_several_labels_are_logistic_in_a_slow_loop(smoothing):
    scores, labels = rows(0, 4, 3), np.float32(rows(1, 4, 3) > 0)
    expected = []
    for row, present in zip(np.float64(scores), labels):
        terms = []
        for s, y in zip(row, present):
            p, t = 1 / (1 + math.exp(-s)), (1 - smoothing) * y + smoothing / 2
            terms.append(-t * math.log(p) - (1 - t) * math.log(1 - p))
        expected.append(sum(terms) / 3)
    found = losses.classification_loss(scores, tf.constant(labels), smoothing)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("multi_label, chance", [(False, math.log(CLASSES)), (True, math.log(2))])
def test_the_loss_is_the_mean_over_the_views(multi_label, chance):
    method = supervised("--label_smoothing=0.1", multi_label=multi_label)
    batch, random = views(), np.random.default_rng(0)
    label = random.integers(0, CLASSES, BATCH)
    if multi_label:
        label = np.float32(random.random([BATCH, CLASSES]) < 0.5)
    expected = [
        losses.classification_loss(
            method.networks["classifier"](method.encoder(normalize_images(view), training=True)),
            tf.constant(label),
            0.1,
        )
        for view in batch
    ]
    found, _ = method.forward({"views": batch, "label": tf.constant(label)}, training=True)
    np.testing.assert_allclose(
        found["classification_loss"], np.mean(expected, axis=0), rtol=1e-4, atol=1e-5
    )
    assert method.chance_loss == pytest.approx(chance) and method.needs == ("label",)
    # Scores start near 0, so the loss starts at chance.
    assert np.mean(expected) == pytest.approx(chance, abs=0.05)


def test_images_without_labels_are_refused():
    with pytest.raises(SettingsError, match="have no labels; give labelled ones"):
        supervised(classes=None)
    with pytest.raises(SettingsError, match="all images are of one class, of which nothing"):
        supervised(classes=1)


def test_only_supervised_takes_a_single_view():
    assert supervised("--view_strategies=plain").encoder_passes == 1
    with pytest.raises(SettingsError, match="give two or more"):
        small_settings("--method=simclr", "--view_strategies=plain")


class Labelled:
    """Twelve grey pictures whose labels are what a test wants."""

    def __init__(self, labels):
        self.unreadable = UnreadableImages(0)
        self.name, self.size, self.num_classes = "made", len(labels), CLASSES
        self.multi_label = np.ndim(labels) == 2
        self._labels = tf.constant(labels)

    def stream(self, seed, start, stop, share, make):
        image = tf.io.encode_png(tf.fill([20, 20, 3], tf.constant(99, tf.uint8)))
        return tf.data.Dataset.range(start, stop).map(
            lambda c: make({
                "id": tf.strings.as_string(c), "image": image, "counter": c, "epoch": 0 * c,
                "index": c % self.size, "label": tf.gather(self._labels, c % self.size),
            })
        )  # fmt: skip

    def verify(self):
        pass


def batches(method, source, place):
    recipe = Recipe(ViewSettings(image_size=SIZE, crop="full", view_strategies=("simclr",)))
    device = OnDevice(side=20) if place == "device" else None
    return method_batches(method, source, recipe, Steps(0, BATCH, 0, 3), device)


@pytest.mark.parametrize("place", ["host", "device"])
def test_labels_come_with_the_images(place):
    method = supervised("--view_strategies=plain")
    source = Labelled(np.arange(12, dtype=np.int64) % CLASSES)
    found = [batch["label"] for batch in batches(method, source, place)]
    expected = np.arange(24).reshape(3, BATCH) % 12 % CLASSES
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    "labels, told",
    [
        (np.int64([0, 1, 2, 3, 4, 5] * 2), "made: an image has the label 5, but there are 5"),
        (np.int64([0, -1] * 6), "the label -1"),
        (np.float32([[0, 1, 0.5, 0, 0]] * 12), "the label .0.  1.  0.5"),
    ],
)
def test_a_label_outside_the_classes_ends_the_run_in_one_line(labels, told):
    method = supervised("--view_strategies=plain", multi_label=labels.ndim == 2)
    source = Labelled(labels)
    data = batches(method, source, "host")
    with pytest.raises(UserError, match=told):
        fit(method, data, source=source, steps=3, callbacks=[])


def test_a_dry_run_needs_the_number_of_classes_not_the_data(tmp_path):
    flags = [
        "--dataset=imagenet2012", f"--data_dir={tmp_path}", "--num_images=64", "--depth=18",
        "--method=supervised", "--width=0.0625", "--batch_size=8", "--logical_cpus=1",
        "--warmup_epochs=0",
    ]  # fmt: skip
    told = describe(flagfiles.parse([*flags, "--num_classes=7"], PretrainSettings))
    learned, encoder = (
        int(word.replace(",", ""))
        for line in told.splitlines() if line.startswith("parameters")
        for word in line.split() if word[0].isdigit()
    )  # fmt: skip
    assert learned - encoder == 7 * 32 + 7
    with pytest.raises(SettingsError, match="no labels"):
        describe(flagfiles.parse(flags, PretrainSettings))


def test_a_run_from_the_command_line_to_the_knn(tmp_path, capsys):
    """One view, device and parts; then another number of classes, which a resume must notice."""
    folder = tmp_path / "images"
    for number in range(24):
        path = folder / f"class_{number % 3}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 256, [SIZE, SIZE, 3], np.uint8)
        path.write_bytes(tf.io.encode_png(pixels).numpy())
    data = [f"--image_folder={folder}", "--holdout=8"]
    flags = [
        *data, "--method=supervised", "--view_strategies=plain", "--recipe=moco", "--depth=18",
        "--width=0.0625", "--image_size=16", "--batch_size=8", "--accumulate=2", "--epochs=2",
        "--warmup_epochs=0", "--optimizer=sgd", "--augment_on=device", "--logical_cpus=1",
        f"--run_dir={tmp_path / 'run'}",
    ]  # fmt: skip
    command.run(pretrain.main, PretrainSettings, flags)
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    last = json.loads(lines[-1])
    assert last["step"] == 4 and last["chance_loss"] == pytest.approx(math.log(3))
    assert last["loss"] == pytest.approx(math.log(3), abs=0.5)
    assert last["collapsed"] == 0 and "knn_top1" in last and "alignment" not in last
    command.run(knn.main, KnnSettings, [*data, f"--checkpoint={tmp_path / 'run'}", "--knn_k=5"])
    assert "kNN" in capsys.readouterr().out
    (folder / "class_3").mkdir()
    (folder / "class_2" / "2.png").rename(folder / "class_3" / "2.png")
    for more, told in (
        ([], "does not fit this model"),
        ([f"--run_dir={tmp_path / 'new'}", "--num_classes=3"], "has 4 classes, not the --num_cl"),
    ):
        with pytest.raises(SystemExit):
            command.run(pretrain.main, PretrainSettings, [*flags, *more])
        error = capsys.readouterr().err.strip().splitlines()
        assert len(error) == 1 and told in error[0]
