"""`python -m ssl_tf.detect`: one report of several encoders, and one line for what is wrong."""

import importlib.util
import json
import re
import sys

import numpy as np
import pytest
from PIL import Image
from pycocotools.cocoeval import COCOeval

from ssl_tf import detect
from ssl_tf.compare import main as compare
from ssl_tf.data.annotations.annotated_scenes import AnnotatedScenes
from ssl_tf.data.annotations.open_annotated import open_annotated
from ssl_tf.data.annotations.voc_directory import VocObjects
from ssl_tf.data.order import Steps
from ssl_tf.data.scenes.shapes import Scenes
from ssl_tf.detection import model_garden
from ssl_tf.detection.coco_figures import COUNTED
from ssl_tf.detection.detection_task import Detection
from ssl_tf.detection.found_objects import ImageObjects
from ssl_tf.detection.predictions import write_predictions
from ssl_tf.errors import SettingsError, UserError
from ssl_tf.networks import resnet
from ssl_tf.settings import CompareSettings, DetectSettings, flagfiles
from tests.data.annotations.annotated_files import write_voc
from tests.detection.small_detection import NETWORK, OF_REGIONS, SMALL

FEW = (*NETWORK, *SMALL[:1], *SMALL[2:], *OF_REGIONS, "--scenes=8", "--scene_size=64", "--steps=2")


@pytest.fixture(autouse=True)
def two_blocks(monkeypatch):
    monkeypatch.setitem(resnet.DEPTHS, 18, ((1, 0, 0, 1), False))


def settings(*flags):
    return flagfiles.parse([*FEW, *flags], DetectSettings)


def test_a_report_has_a_row_for_each_encoder_and_stands_beside_others(tmp_path, capsys):
    output = tmp_path / "file/detection"
    flags = (f"--output={output}", "--export")
    detect.main(settings(*flags, "--dry_run"))
    plan = capsys.readouterr().out
    assert "faster_rcnn on a canvas of 64 px" in plan and "memory a replica" in plan
    assert "departs           images are fitted on a square canvas" in plan
    assert not output.exists()
    detect.main(settings(*flags))
    report = json.loads((output / "detection.json").read_text())
    assert report["train"] == "scenes:train, annotated, 8 images"
    assert report["random"].keys() >= {"box_ap", "class_box_ap", "encoder_sha256", "train_loss"}
    assert "OAC, Table 5" in (output / "detection.md").read_text()
    assert (output / "random/detector/saved_model.pb").is_file()
    assert (output / "random/predictions.json").is_file()
    # A second call takes no step.
    before = (output / "random/metrics.jsonl").read_bytes()
    detect.main(settings(*flags))
    assert (output / "random/metrics.jsonl").read_bytes() == before
    # `compare` shows what a run's report holds.
    report["trained"] = {**report.pop("random"), "box_ap": 0.25}
    (output / "detection.json").write_text(json.dumps({**report, "init_encoder": "E.safetensors"}))
    arguments = ["--runs=" + str(output.parent), f"--output={tmp_path / 'table'}"]
    compare(flagfiles.parse(arguments, CompareSettings))
    table = (tmp_path / "table/table.md").read_text()
    assert "detection box AP" in table and "25.00" in table


@pytest.mark.parametrize(
    "flags, message",
    [
        (["--detector=retinanet", "--masks"], "--masks=true: has no effect"),
        (["--canvas=100"], "--canvas=100: give a multiple of 32"),
        (["--scale_min=3", "--scale_max=2"], "--scale_min=3: is above --scale_max=2"),
        (["--checkpoint=A", "--init_encoder=B"], "--checkpoint, --init_encoder: give one of them"),
        (["--supervised=A"], "--supervised=A: has no effect"),
        (["--schedule=step"], "--schedule=step, --drop_steps="),
        (["--label_names=NAMES"], "--label_names=NAMES: has no effect"),
    ],
)
def test_flags_that_do_not_go_together_are_one_line(flags, message):
    with pytest.raises(SettingsError, match="^" + message):
        settings(*flags, "--output=O")


def test_a_batch_of_more_images_than_there_are_is_refused(tmp_path):
    with pytest.raises(
        SettingsError, match="--batch_size=16: scenes:train, annotated has 8 images"
    ):
        detect.main(settings(f"--output={tmp_path / 'out'}", "--batch_size=16"))


def test_without_the_extra_one_line_says_what_to_install(monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "official" else found(name)
    )
    with pytest.raises(UserError, match=re.escape(model_garden.INSTALL)):
        detect.main(settings("--output=nowhere"))
    monkeypatch.setattr(sys, "version_info", (3, 13, 0))
    with pytest.raises(UserError, match="there is none for TensorFlow 2.21"):
        model_garden.check_installed()


def coco(directory, **changes):
    """A small json in COCO's format with its folder of images."""
    folder = directory / "images"
    folder.mkdir()
    images, annotations = [], []
    for number in range(6):
        name = f"{number}.png"
        Image.fromarray(np.full((50, 70, 3), 40 * number, np.uint8)).save(folder / name)
        images.append({"id": number * 3, "file_name": name, "height": 50, "width": 70})
        annotation = {"id": number + 1, "image_id": number * 3, "iscrowd": 0, "area": 300}
        annotation |= {"category_id": 7 if number % 2 else 2, "bbox": [5, 5, 30, 20]}
        annotations.append(annotation)
    content = {
        "images": images,
        "annotations": annotations,
        "categories": [{"id": 2, "name": "two"}, {"id": 7, "name": "seven"}],
    }
    path = directory / "objects.json"
    path.write_text(json.dumps({**content, **changes}))
    return [f"--coco_json={path}", f"--image_folder={folder}", "--holdout=2"]


def of_coco(*flags):
    small = [flag for flag in FEW if not flag.startswith(("--dataset", "--scene"))]
    return flagfiles.parse([*small, *flags], DetectSettings)


def scenes_as_coco(directory, split):
    """The scenes of FEW as a json and its images; the flags that name them, without their dashes.

    The ids of the categories count from 11 in twos.
    """
    scenes = AnnotatedScenes(Scenes(split, 8, 64))
    folder = directory / split
    folder.mkdir()
    images, annotations = [], []
    for number, example in enumerate(scenes.sequence().as_numpy_iterator()):
        name = f"{number}.png"
        (folder / name).write_bytes(example["image"])
        images.append({"id": number, "file_name": name, "height": 64, "width": 64})
        for box, label, area in zip(example["boxes"] * 64, example["classes"], example["areas"]):
            ymin, xmin, ymax, xmax = map(float, box)
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": 11 + 2 * int(label),
                    "bbox": [xmin, ymin, xmax - xmin, ymax - ymin],
                    "area": float(area),
                    "iscrowd": 0,
                }
            )
    names = enumerate(scenes.class_names)
    categories = [{"id": 11 + 2 * label, "name": name} for label, name in names]
    content = {"images": images, "annotations": annotations, "categories": categories}
    path = directory / f"{split}.json"
    path.write_text(json.dumps(content))
    return f"coco_json={path}", f"image_folder={folder}"


def test_scenes_as_a_json_are_learned_and_found_like_the_scenes_themselves(tmp_path):
    """From the reader to the figures nothing but ids and names differs."""
    learned, tested = (scenes_as_coco(tmp_path, split) for split in ("train", "test"))
    of_json = [*(f"--{flag}" for flag in learned), *(f"--test_{flag}" for flag in tested)]
    reports, found = {}, {}
    # A new RetinaNet finds nothing in two steps; the regions of a new Faster R-CNN are found.
    for name, parsed, flags in (("json", of_coco, of_json), ("scenes", settings, [])):
        output = tmp_path / name
        detect.main(parsed(*flags, f"--output={output}"))
        reports[name] = json.loads((output / "detection.json").read_text())["random"]
        found[name] = json.loads((output / "random/predictions.json").read_text())
    assert reports["json"] == reports["scenes"]
    assert reports["json"]["box_ap"] is not None and reports["json"]["train_loss"] > 0
    assert len(found["json"]) == len(found["scenes"]) > 0
    for one, other in zip(found["json"], found["scenes"]):
        assert one["category_id"] == 11 + 2 * other["category_id"]
        assert (one["bbox"], one["score"]) == (other["bbox"], other["score"])


def test_predictions_have_the_ids_of_the_annotations(tmp_path):
    """Category ids have holes, and image ids are what the json has: numbers there, or text."""
    given = of_coco(*coco(tmp_path), "--output=O", "--batch_size=2")
    train, test = open_annotated(given.data, "boxes")
    detection = Detection(train, test, given.training, given.network)
    made = next(iter(detection.batches(Steps(0, 2, 0, 1))))
    assert set(made["classes"].numpy().ravel()) <= {0, 1, 2} and made["classes"].numpy().any()
    box = np.array([[5.0, 6, 25, 36]])
    found = ImageObjects(1, (50, 70), box, np.array([1]), scores=np.array([0.5]))
    write_predictions([found], test, tmp_path / "results.json")
    ids = [int(name) for name in test.ids().as_numpy_iterator()]
    assert ids[1] == 9
    result = {"category_id": 7, "bbox": [6, 5, 30, 20], "score": 0.5}
    assert json.loads((tmp_path / "results.json").read_text()) == [{"image_id": 9, **result}]
    # Of a copy of half the size the boxes are those of the original.
    found = ImageObjects(1, (25, 35), box / 2, np.array([1]), scores=np.array([0.5]))
    write_predictions([found], test, tmp_path / "results.json")
    assert json.loads((tmp_path / "results.json").read_text()) == [{"image_id": 9, **result}]
    path = tmp_path / "objects.json"
    content = json.loads(path.read_text())
    annotations = content["annotations"]
    for entry, key in [(e, "id") for e in content["images"]] + [
        (e, "image_id") for e in annotations
    ]:
        entry[key] = f"{entry[key]:012}"
    for entry, key in [(e, "id") for e in content["categories"]] + [
        (e, "category_id") for e in annotations
    ]:
        entry[key] = f"no. {entry[key]}"
    path.write_text(json.dumps(content))
    _, test = open_annotated(given.data, "boxes")
    write_predictions([found], test, tmp_path / "results.json")
    read = json.loads((tmp_path / "results.json").read_text())
    assert read == [{"image_id": "000000000009", **result, "category_id": "no. 7"}]


def test_predictions_on_voc_have_the_names_of_its_files(tmp_path):
    objects = {"000012": [("dog", 2, 2, 5, 5, 0)], "2008_000003": [("cat", 1, 1, 4, 4, 0)]}
    source = VocObjects([write_voc(tmp_path / "VOC", objects)], ["trainval"])
    box = np.array([[1.0, 1, 5, 5]])
    found = [ImageObjects(n, (6, 8), box, np.array([11]), scores=np.array([0.5])) for n in range(2)]
    write_predictions(found, source, tmp_path / "results.json")
    read = json.loads((tmp_path / "results.json").read_text())
    assert [result["image_id"] for result in read] == ["000012", "2008_000003"]


def test_data_that_does_not_fit_is_one_line(tmp_path):
    flags = coco(tmp_path, categories=[])
    with pytest.raises(UserError, match="has no categories"):
        detect.main(of_coco(*flags, f"--output={tmp_path / 'out'}"))
    (tmp_path / "images/3.png").unlink()
    (tmp_path / "objects.json").unlink()
    (tmp_path / "other").mkdir()
    flags = coco(tmp_path / "other")
    (tmp_path / "other/images/3.png").unlink()
    with pytest.raises(UserError, match="1 of its 6 images are not in"):
        detect.main(of_coco(*flags, f"--output={tmp_path / 'out'}"))


def test_objects_beyond_what_is_learned_and_found_beyond_what_counts_are_told(tmp_path, capsys):
    json_flag, folder, _ = coco(tmp_path)
    made = (json_flag, folder, json_flag.replace("--", "--test_"))
    content = json.loads((tmp_path / "objects.json").read_text())
    more = [{**content["annotations"][0], "id": 100 + n} for n in range(3)]
    crowd = {**content["annotations"][1], "id": 200, "iscrowd": 1}
    content["annotations"] += [*more, crowd]
    (tmp_path / "objects.json").write_text(json.dumps(content))
    flags = (f"--output={tmp_path / 'out'}", "--batch_size=4", "--dry_run", *made)
    detect.main(of_coco(*flags, "--max_objects=2", "--max_detections=150"))
    told = capsys.readouterr()
    assert "1 of 6 images have more than --max_objects=2 objects (up to 4)" in told.err
    assert "2 of 9 objects; raise it" in told.err
    assert "--max_detections=150: published figures find 100" in told.out
    detect.main(of_coco(*flags, "--max_objects=4", "--max_detections=100"))
    told = capsys.readouterr()
    assert "max_objects" not in told.err and "max_detections" not in told.out


def test_as_many_objects_count_as_the_figures_say():
    assert COCOeval(iouType="bbox").params.maxDets[-1] == COUNTED
