"""A fine-tuned network answers as a SavedModel what its test has counted."""

import json

import numpy as np
import pytest
import tensorflow as tf

from ssl_tf import command, finetune
from ssl_tf.errors import UserError
from ssl_tf.evaluation import exported_classifier
from ssl_tf.evaluation.encoder_classifier import EncoderClassifier
from ssl_tf.evaluation.exported_classifier import export_classifier
from ssl_tf.networks.resnet import build_resnet
from ssl_tf.settings import FineTuneSettings
from ssl_tf.views.evaluation_crop import evaluation_crop
from tests.data.tiny_images import write_folder
from tests.evaluation.multi_label_source import Shades
from tests.evaluation.small_run import pretrained_run


def shades(first, count):
    """Files of three classes, each brighter than the one before."""
    made = {}
    for label, name in enumerate("abc"):
        for number in range(first, first + count):
            noise = np.random.default_rng([label, number]).integers(0, 60, (20, 24, 3))
            image = tf.io.encode_png((noise + 90 * label).astype(np.uint8))
            made[f"{name}/{number}.png"] = image.numpy()
    return made


def tune(run, output, train, test, *flags):
    flags = (
        f"--checkpoint={run}", f"--image_folder={train}", f"--test_image_folder={test}",
        f"--output={output}", "--epochs=6", "--batch_size=8", "--norandom_baseline", *flags,
    )  # fmt: skip
    command.run(finetune.main, FineTuneSettings, flags)


def test_the_scores_of_files_are_those_that_the_test_counts(tmp_path, capsys, monkeypatch):
    run, output = pretrained_run(tmp_path / "run"), tmp_path / "tuned.json"
    shown = shades(20, 9)
    train = write_folder(tmp_path / "train", shades(0, 8))
    test = write_folder(tmp_path / "test", shown)
    given = (run, output, train, test, "--validation=3", "--refit")
    exported = tmp_path / "tuned" / "classifier"
    tune(*given)
    assert not exported.exists()
    report = json.loads(output.read_text())

    # Asked for afterwards, it is of the checkpoint that was tested.
    monkeypatch.setattr(
        "ssl_tf.evaluation.finetuning.cropped_batches", lambda *_: pytest.fail("it trains again")
    )
    tune(*given, "--export")
    assert json.loads(output.read_text()) == report
    assert f"trained  exported to {exported}" in capsys.readouterr().err
    facts = json.loads((exported / "classifier.json").read_text())
    assert facts["classes"] == ["a", "b", "c"] and facts["image_size"] == 16
    assert facts["origin"] == str(run) and facts["multi_label"] is False
    loaded = tf.saved_model.load(str(exported)).signatures
    contents = [*shown.values(), b"no image"]
    found = loaded["encoded"](encoded=tf.constant(contents))
    assert found["readable"].numpy().tolist() == 27 * [True] + [False]
    scores = found["scores"].numpy()
    assert not scores[-1].any()
    np.testing.assert_allclose(scores[:-1].sum(1), 1, atol=1e-6)
    labels = np.repeat(np.arange(3), 9)
    assert np.mean(scores[:-1].argmax(1) == labels) == report["trained"]["top1"] > 0.5
    crops = tf.stack([evaluation_crop(tf.io.decode_png(x), 16) for x in shown.values()])
    same = loaded["images"](images=crops)["scores"]
    np.testing.assert_allclose(same, scores[:-1], atol=1e-6)

    before = (exported / "saved_model.pb").stat().st_mtime_ns
    tune(*given, "--export")
    assert (exported / "saved_model.pb").stat().st_mtime_ns == before


def test_of_several_labels_each_has_a_probability_and_a_defect_is_told(tmp_path, monkeypatch):
    model = EncoderClassifier(build_resnet(18, 0.0625, "small"), 3)
    model.classifier.set_weights([np.random.default_rng(0).normal(size=(32, 3)), np.ones(3)])
    source = Shades(6, 0)
    export_classifier(model, source, 16, True, tmp_path / "saved", "here")
    images = tf.stack([tf.io.decode_png(x) for x in source._images.numpy()])
    loaded = tf.saved_model.load(str(tmp_path / "saved")).signatures["images"]
    logits = model(images).numpy()
    np.testing.assert_allclose(
        loaded(images=images)["scores"], 1 / (1 + np.exp(-logits)), atol=1e-6
    )
    facts = json.loads((tmp_path / "saved" / "classifier.json").read_text())
    assert facts["multi_label"] and "upright as EXIF says" in facts["signatures"]["encoded"]

    monkeypatch.setattr(exported_classifier, "TOLERANCE", -1.0)
    with pytest.raises(UserError, match="signature images differ by .*nothing is exported"):
        export_classifier(model, source, 16, True, tmp_path / "other", "here")
    assert not (tmp_path / "other").exists()
