"""A segmentation learns, is resumed to the byte, and its export shows what it learned."""

import json
import shutil

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from ssl_tf.data.annotations.label_map_folders import LabelMapFolders
from ssl_tf.data.order import Steps
from ssl_tf.downstream.downstream_plan import describe
from ssl_tf.downstream.downstream_training import train_downstream
from ssl_tf.errors import SettingsError, UserError
from ssl_tf.networks import resnet
from ssl_tf.segmentation.exported_segmenter import export_segmenter
from ssl_tf.segmentation.segmentation_task import Segmentation
from ssl_tf.training.callbacks import SaveCheckpoint
from ssl_tf.training.strategy import mirrored_strategy
from tests.data.annotations.annotated_files import label_png, write_maps
from tests.downstream.trained_weights import weights
from tests.segmentation.small_segmentation import one_device, random_start, scenes, task
from tests.training.killed_training import Killed, killed_after


def run(directory, *flags, **parts):
    return train_downstream(task(*flags, **parts), random_start(*flags), directory, one_device())


def test_four_scenes_are_learned_by_heart(tmp_path, monkeypatch):
    # Seen: 0.64 mIoU after 80 steps, 0.91 after 120, 1.0 after 160.
    monkeypatch.setitem(resnet.DEPTHS, 18, ((1, 0, 0, 1), False))
    four = scenes(4)
    result = run(
        tmp_path / "run",
        "--width=0.25",
        "--head=fcn",
        "--head_channels=32",
        "--output_stride=4",
        "--scale_range=1,1",
        "--batch_size=4",
        "--steps=160",
        "--optimizer=adamw",
        "--learning_rate=0.01",
        "--schedule=step",
        "--drop_steps=130",
        "--weight_decay=0",
        "--save_every=160",
        "--log_every=80",
        "--evaluate_every=80",
        train=four,
    )
    assert result.figures["miou"] >= 0.9
    assert result.figures["pixel_accuracy"] >= result.figures["miou"]
    lines = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    looks = {line["step"]: line["miou"] for line in lines if "miou" in line}
    assert set(looks) == {80} and looks[80] < result.figures["miou"]
    assert lines[-1]["loss"] < 0.1 * lines[0]["loss"]
    with Image.open(tmp_path / "run/predictions.png") as picture:
        assert picture.size[1] > 4 * 160  # four rows
    # What is exported labels the pixels of a file as the network does.
    export_segmenter(result.model, four.class_names, four.stored_ids, tmp_path / "saved", "a test")
    loaded = tf.saved_model.load(str(tmp_path / "saved")).signatures
    hits = total = 0
    for example in four.sequence().as_numpy_iterator():
        found = loaded["encoded"](encoded=tf.constant(example["image"]))
        assert found["readable"] and found["scores"].shape == (32, 32, 11)
        hits += (found["label_map"].numpy() == example["label_map"]).sum()
        total += example["label_map"].size
    assert hits / total == pytest.approx(result.figures["pixel_accuracy"], abs=1e-9)
    assert not loaded["encoded"](encoded=tf.constant(b"no image"))["readable"]
    facts = json.loads((tmp_path / "saved/segmenter.json").read_text())
    assert facts["classes"][0] == "background" and facts["origin"] == "a test"
    assert facts["category_ids"] == [*range(11)]


def test_a_killed_training_ends_with_the_bytes_of_an_unkilled_one(tmp_path, monkeypatch):
    flags = ("--evaluate_every=2", "--steps=4", "--head=fcn")
    whole = run(tmp_path / "whole", *flags)
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(SaveCheckpoint, "on_step", killed_after(3))
        run(tmp_path / "killed", *flags)
    resumed = run(tmp_path / "killed", *flags)
    assert weights(resumed) == weights(whole)
    assert (resumed.figures, resumed.loss) == (whole.figures, whole.loss)

    def lines(name):
        found = (tmp_path / name / "metrics.jsonl").read_text().splitlines()
        return [(v["step"], v["loss"], v.get("miou")) for v in map(json.loads, found)]

    assert lines("killed") == lines("whole")
    assert [step for step, _, miou in lines("whole") if miou is not None] == [2]
    # After the end the saved figures are given again, and no step is taken.
    assert run(tmp_path / "killed", *flags).figures == whole.figures
    with pytest.raises(SettingsError, match="--learning_rate=0.05 there, 0.1 here"):
        run(tmp_path / "killed", *flags, "--learning_rate=0.1")


def test_other_replicas_are_told_where_parts_are_other_images(tmp_path, capsys):
    two = mirrored_strategy(["CPU:0", "CPU:1"])
    for number, (flags, told) in enumerate(
        [
            (("--batch_norm=replica",), "is not that of an uninterrupted run: parts of a batch"),
            (("--batch_norm=frozen",), "equals that of an uninterrupted run to rounding only"),
        ]
    ):
        directory, flags = tmp_path / str(number), (*flags, "--steps=1", "--evaluate_every=1")
        run(directory, *flags)
        assert "environments" not in capsys.readouterr().err
        train_downstream(task(*flags), random_start(*flags), directory, two)
        told_all = capsys.readouterr().err
        assert "(replicas 1, then 2): its result " + told in told_all


@pytest.mark.parametrize(
    "flags, expected",
    [((), 8.0), (("--precision=mixed_bfloat16",), 4.0), (("--accumulate=2",), 4.0)],
)
def test_the_memory_of_activations_is_that_of_their_precision_and_part(
    flags, expected, monkeypatch
):
    """Half a GiB of float32 an image, four images."""
    monkeypatch.setattr(Segmentation, "activation_floats", lambda task, model: 2**29)
    told = describe(task(*flags), [random_start(*flags)], scenes(), one_device())
    assert f"memory a replica  {expected:.1f} GiB on 1 " in told


def test_a_corrected_label_map_is_neither_gone_on_with_nor_given_an_old_figure(
    tmp_path, monkeypatch
):
    labels = np.ones([32, 32], np.uint8)
    folders = write_maps(tmp_path, {f"{n}": labels for n in range(4)}, size=(32, 32))

    def killed(*arguments):
        raise Killed

    monkeypatch.setattr(Segmentation, "build", killed)

    def go():
        maps = LabelMapFolders(*folders, num_classes=3)
        return run(tmp_path / "run", train=maps)

    for _ in range(2):
        with pytest.raises(Killed):
            go()
    (tmp_path / "annotations/2.png").write_bytes(label_png(labels + 1))
    with pytest.raises(UserError, match="files or annotations .* or remove .*run to train anew"):
        go()
    shutil.rmtree(tmp_path / "run")
    with pytest.raises(Killed):
        go()


def test_an_image_that_cannot_be_read_is_left_out_of_batches_and_figures():
    train = scenes()
    train._encoded_images[2] = b"no image"
    segmentation = task(train=train)
    for made in segmentation.batches(Steps(0, 4, 0, 3)).as_numpy_iterator():
        assert (made["label_map"] != 255).any(axis=(1, 2)).all()
    model = segmentation.build(random_start().build(False), False)
    assert len(list(segmentation._predictions(model, train))) == 5
    assert train.unreadable.count == 1


def test_batches_are_a_function_of_seed_and_step():
    segmentation = task()
    whole = list(segmentation.batches(Steps(0, 4, 0, 4)).as_numpy_iterator())
    rest = list(segmentation.batches(Steps(0, 4, 2, 4)).as_numpy_iterator())
    for one, other in zip(whole[2:], rest, strict=True):
        np.testing.assert_array_equal(one["image"], other["image"])
        np.testing.assert_array_equal(one["label_map"], other["label_map"])


def test_images_of_the_picture_may_be_unreadable_but_not_all_to_report_on(tmp_path):
    test = scenes(12)
    shown = np.linspace(0, 11, 6).astype(int)
    for row in shown:
        test._encoded_images[row] = b"no image"
    done = run(tmp_path / "some", "--evaluate_every=1", "--steps=2", "--head=fcn", test=test)
    assert 0 <= done.figures["miou"] <= 1 and test.unreadable.count == 6
    assert (tmp_path / "some/result.json").exists()
    assert not (tmp_path / "some/predictions.png").exists()
    test._encoded_images[:] = [b"no image"] * 12
    test.unreadable.limit = 20
    with pytest.raises(UserError, match="none of its 12 images can be decoded"):
        run(tmp_path / "all", "--steps=2", "--head=fcn", test=test)


def test_a_picture_that_fails_costs_no_figures(tmp_path, monkeypatch):
    def killed(*arguments):
        raise Killed

    flags = ("--steps=2", "--head=fcn")
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(Segmentation, "draw", killed)
        run(tmp_path, *flags)
    monkeypatch.setattr(Segmentation, "evaluate", killed)
    assert 0 <= run(tmp_path, *flags).figures["miou"] <= 1
    assert (tmp_path / "predictions.png").exists()
