"""A detection learns, is resumed to the byte, and its export finds what it learned."""

import json

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from pycocotools.coco import COCO

from ssl_tf.data.order import Steps
from ssl_tf.detection.detection_task import Detection
from ssl_tf.detection.exported_detector import export_detector
from ssl_tf.detection.found_objects import find_objects, read_truth
from ssl_tf.downstream.downstream_training import train_downstream
from ssl_tf.errors import SettingsError, UserError
from ssl_tf.networks import resnet
from ssl_tf.training.callbacks import SaveCheckpoint
from tests.detection.small_detection import (
    MASKS,
    OF_REGIONS,
    one_device,
    random_start,
    scenes,
    settings,
    task,
    values,
)
from tests.downstream.trained_weights import weights
from tests.training.killed_training import Killed, killed_after


@pytest.fixture(autouse=True)
def two_blocks(monkeypatch):
    monkeypatch.setitem(resnet.DEPTHS, 18, ((1, 0, 0, 1), False))


def run(directory, *flags, **parts):
    return train_downstream(task(*flags, **parts), random_start(*flags), directory, one_device())


def test_eight_scenes_are_learned_by_heart(tmp_path):
    """Boxes and masks; scripts/overfit_detector.sh goes on to an AP of 1."""
    eight = scenes(8)
    flags = (
        *MASKS,
        "--width=0.25",
        "--pyramid_channels=32",
        "--box_head_channels=64",
        "--batch_size=8",
        "--steps=90",
        "--save_every=90",
        "--optimizer=adamw",
        "--learning_rate=0.003",
        "--schedule=cosine",
    )
    given = settings(*flags)
    learned = Detection(eight, eight, given.training, given.network)
    (tmp_path / "run").mkdir()
    result = train_downstream(learned, random_start(*flags), tmp_path / "run", one_device())
    figures = result.figures
    assert figures["box_ap50"] >= 0.4 and figures["mask_ap50"] >= 0.4
    assert figures["box_ap"] <= figures["box_ap50"]
    by_class = [x for x in figures["class_box_ap"].values() if x is not None]
    assert np.mean(by_class) == pytest.approx(figures["box_ap"], abs=1e-9)
    with Image.open(tmp_path / "run/predictions.png") as picture:
        assert picture.size[1] > 4 * 160  # four rows
    # The results are what a user of pycocotools reads.
    found = json.loads((tmp_path / "run/predictions.json").read_text())
    assert {"image_id", "category_id", "bbox", "score", "segmentation"} == set(found[0])
    coco = COCO()
    coco.dataset = {
        "images": [{"id": name} for name in {result["image_id"] for result in found}],
        "annotations": [],
        "categories": [],
    }
    coco.createIndex()
    assert len(coco.loadRes(found).anns) == len(found)
    # What is exported finds in files what the network finds.
    export_detector(result.model, eight, tmp_path / "saved", "a test")
    loaded = tf.saved_model.load(str(tmp_path / "saved")).signatures["encoded"]
    files = [example["image"] for example in eight.sequence().as_numpy_iterator()]
    outputs = {k: v.numpy() for k, v in loaded(encoded=tf.constant([*files, b"none"])).items()}
    assert outputs["readable"].tolist() == [True] * 8 + [False] and outputs["count"][8] == 0
    for image in find_objects(result.model, eight):
        count = outputs["count"][image.index]
        assert count == len(image.boxes)
        np.testing.assert_allclose(outputs["boxes"][image.index, :count], image.boxes, atol=1e-2)
        np.testing.assert_array_equal(outputs["classes"][image.index, :count], image.classes)
        assert outputs["masks"][image.index].shape == (10, 28, 28)
    facts = json.loads((tmp_path / "saved/detector.json").read_text())
    assert facts["classes"][0] == "disc" and facts["category_ids"] == list(range(10))


def test_a_killed_training_ends_with_the_bytes_of_an_unkilled_one(tmp_path, monkeypatch):
    """What is drawn of anchors and regions is a function of the step, too."""
    flags = (*OF_REGIONS, "--scale_min=0.7", "--scale_max=1.4", "--flip", "--steps=4")
    whole = run(tmp_path / "whole", *flags)
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(SaveCheckpoint, "on_step", killed_after(3))
        run(tmp_path / "killed", *flags)
    resumed = run(tmp_path / "killed", *flags)
    assert weights(resumed) == weights(whole)
    assert (resumed.figures, resumed.loss) == (whole.figures, whole.loss)
    with pytest.raises(SettingsError, match="--proposals=50 there, 60 here"):
        run(tmp_path / "killed", *flags, "--proposals=60")


def test_an_image_that_cannot_be_read_is_left_out_of_batches_and_figures():
    train = scenes(masks=False)
    train._encoded_images[2] = b"no image"
    detection = task(*OF_REGIONS, train=train)
    for made in detection.batches(Steps(0, 4, 0, 3)).as_numpy_iterator():
        assert made["image"].any(axis=(1, 2, 3)).all()
    model = detection.build(random_start(*OF_REGIONS).build(False), False)
    figures = detection.evaluate(model)
    assert figures["box_ap50"] is not None
    assert [image.index for image in find_objects(model, train)] == [0, 1, 3, 4, 5]
    assert train.unreadable.count == 1


def test_batches_are_a_function_of_seed_and_step():
    detection = task(*MASKS, "--scale_max=2", "--flip")
    whole = list(detection.batches(Steps(0, 4, 0, 4)).as_numpy_iterator())
    rest = list(detection.batches(Steps(0, 4, 2, 4)).as_numpy_iterator())
    for one, other in zip(whole[2:], rest, strict=True):
        for name, value in one.items():
            np.testing.assert_array_equal(value, other[name])
    seeds = np.concatenate([batch["seed"] for batch in whole])
    assert len(np.unique(seeds, axis=0)) == len(seeds)


def test_the_truth_is_in_pixels_of_the_image():
    source = scenes()
    truth = read_truth(source)
    assert len(truth) == 6 and all(image.size == (64, 64) for image in truth)
    for image, example in zip(truth, source.sequence().as_numpy_iterator()):
        np.testing.assert_allclose(image.boxes, example["boxes"] * 64, rtol=1e-6)
        assert len(image.masks) == len(image.boxes) and image.scores is None
    assert len(values([truth[0].areas])[0]) == len(truth[0].boxes)


def test_images_of_the_picture_may_be_unreadable_but_not_all_to_report_on(tmp_path):
    test = scenes(9, masks=False)
    test._encoded_images[:8] = [b"no image"] * 8
    learned = task("--detector=retinanet", test=test)
    model = learned.build(random_start().build(False), False)
    assert "box_ap" in learned.evaluate(model)
    assert learned.draw(model, tmp_path / "none.png") is None
    assert not (tmp_path / "none.png").exists()
    test._encoded_images[8] = b"no image"
    with pytest.raises(UserError, match="none of its 9 images can be decoded"):
        learned.evaluate(model)
