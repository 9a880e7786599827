"""COCO's figures: those of pycocotools from a json of results, and closed forms."""

import contextlib
import io
import json

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from pycocotools.mask import decode, frPyObjects

from ssl_tf.data.annotations.segments import fill
from ssl_tf.detection.coco_figures import coco_figures
from ssl_tf.detection.found_objects import ImageObjects
from ssl_tf.detection.run_lengths import decode_mask, encode_mask
from tests.detection.hand_made import random_images

CLASSES = 4  # of which one has no object


def by_files(truth, found, directory, kind):
    """The twelve figures as a user of pycocotools gets them, from two files."""
    truth_file, results_file = directory / "truth.json", directory / "results.json"
    annotations, results = [], []
    for image in truth:
        for row, (top, left, bottom, right) in enumerate(image.boxes.tolist()):
            annotations.append({
                "id": len(annotations) + 1, "image_id": image.index + 10,
                "category_id": int(image.classes[row]) * 7 + 3, "area": image.areas[row],
                "bbox": [left, top, right - left, bottom - top],
                "iscrowd": int(image.crowd[row]),
                **({"segmentation": image.masks[row]} if image.masks else {}),
            })  # fmt: skip
    for image in found:
        for row, (top, left, bottom, right) in enumerate(image.boxes.tolist()):
            result = {"image_id": image.index + 10, "score": image.scores[row],
                      "category_id": int(image.classes[row]) * 7 + 3}  # fmt: skip
            if kind == "mask":
                result["segmentation"] = image.masks[row]
            else:
                result["bbox"] = [left, top, right - left, bottom - top]
            results.append(result)
    images = [
        {"id": image.index + 10, "height": image.size[0], "width": image.size[1]} for image in truth
    ]
    categories = [{"id": label * 7 + 3, "name": str(label)} for label in range(CLASSES)]
    truth_file.write_text(
        json.dumps({"images": images, "categories": categories, "annotations": annotations})
    )
    results_file.write_text(json.dumps(results))
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(truth_file))
        evaluation = COCOeval(
            coco, coco.loadRes(str(results_file)), {"box": "bbox", "mask": "segm"}[kind]
        )
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation


@pytest.mark.parametrize("kind", ["box", "mask"])
@pytest.mark.parametrize("seed", range(3))
def test_figures_are_those_of_pycocotools_from_files(kind, seed, tmp_path):
    truth, found = random_images(seed, classes=3, crowd=0.2, masks=True)
    figures, by_class = coco_figures(truth, found, CLASSES, kind)
    evaluation = by_files(truth, found, tmp_path, kind)
    names = ("ap", "ap50", "ap75", "aps", "apm", "apl")
    expected = {f"{kind}_{name}": x for name, x in zip(names, evaluation.stats)}
    told = {name: -1.0 if x is None else x for name, x in figures.items()}
    assert told == pytest.approx(expected, abs=1e-12)
    assert 0.02 < figures[f"{kind}_ap50"] < 0.95
    precision = evaluation.eval["precision"][:, :, :, 0, -1]
    assert by_class[3] is None
    for label in range(3):
        assert by_class[label] == pytest.approx(precision[:, :, label].mean(), abs=1e-12)


def image(boxes, classes=None, index=0, **values):
    boxes = np.array(boxes, np.float64).reshape(-1, 4)
    count = len(boxes)
    if "scores" not in values:
        areas = (boxes[:, 2:] - boxes[:, :2]).prod(1)
        values = {"areas": areas, "crowd": np.zeros(count, bool), **values}
    return ImageObjects(
        index, (200, 200), boxes, np.zeros(count, np.int64) if classes is None else classes,
        **{name: np.array(value) for name, value in values.items()},
    )  # fmt: skip


BOX = [10, 10, 60, 60]


@pytest.mark.parametrize(
    "found, ap, ap50",
    [
        (image([BOX], scores=[0.9]), 1.0, 1.0),
        (image([BOX, BOX], scores=[0.9, 0.9]), 1.0, 1.0),  # a duplicate comes behind
        (image([[100, 100, 150, 150], BOX], scores=[0.9, 0.8]), 0.5, 0.5),
        (image([[10, 10, 60, 50]], scores=[0.9]), 0.7, 1.0),  # overlaps by 0.8: 7 of 10 thresholds
        (image([], scores=[]), 0.0, 0.0),
    ],
)
def test_figures_of_one_object(found, ap, ap50):
    figures, by_class = coco_figures([image([BOX])], [found], 1, "box")
    assert figures["box_ap"] == pytest.approx(ap, abs=1e-9)
    assert figures["box_ap50"] == pytest.approx(ap50, abs=1e-9)
    assert by_class == [figures["box_ap"]]
    # The object is of a middle size, of 50 x 50 pixels.
    assert (figures["box_apm"], figures["box_aps"]) == (figures["box_ap"], None)


def test_a_hundred_objects_of_each_class_count_in_an_image():
    cells = [[y, x, y + 10, x + 10] for y in range(0, 200, 10) for x in range(0, 80, 10)]
    classes = np.repeat([0, 1], [130, 30])
    scores = np.linspace(1, 0, 160)
    found = image(cells, classes, scores=scores)
    _, (first, second) = coco_figures([image(cells, classes)], [found], 2, "box")
    # 100 of 130 are a recall of 0.77: of the 101 points from 0 to 1, those up to 0.76.
    assert (first, second) == (pytest.approx(77 / 101), 1.0)


def test_sizes_are_those_of_the_annotation():
    figures, _ = coco_figures([image([BOX], areas=[900.0])], [image([BOX], scores=[0.9])], 1, "box")
    assert (figures["box_aps"], figures["box_apm"]) == (pytest.approx(1), None)


def test_what_lies_in_a_crowd_does_not_count():
    truth = image([BOX, [100, 100, 180, 180]], crowd=[False, True])
    inside = [[100, 100, 120, 120], [130, 130, 150, 150], [150, 150, 170, 170]]
    found = image([*inside, BOX], scores=[0.9, 0.9, 0.9, 0.8])
    assert coco_figures([truth], [found], 1, "box")[0]["box_ap"] == pytest.approx(1)
    truth.crowd[1] = False
    assert coco_figures([truth], [found], 1, "box")[0]["box_ap"] < 0.3


def test_without_true_objects_there_is_no_figure():
    figures, by_class = coco_figures([image([])], [image([BOX], scores=[0.9])], 2, "box")
    assert set(figures.values()) == {None} and by_class == [None, None]


def test_an_image_that_was_not_read_is_left_out():
    truth = [image([BOX]), image([BOX], index=1)]
    found = [image([BOX], index=1, scores=[0.9])]
    assert coco_figures(truth, found, 1, "box")[0]["box_ap"] == pytest.approx(1)


def test_run_lengths_keep_a_mask():
    mask = np.random.default_rng(0).random((7, 11)) < 0.5
    encoded = json.loads(json.dumps(encode_mask(mask)))
    assert encoded["size"] == [7, 11]
    np.testing.assert_array_equal(decode_mask(encoded), mask)


def test_polygons_are_filled_as_by_pycocotools():
    random = np.random.default_rng(0)
    for _ in range(200):
        size = tuple(map(int, random.integers(1, 50, 2)))
        polygon = random.uniform(-9, 60, (random.integers(3, 20), 2))
        polygon[1] = random.choice([polygon[0], polygon[1].round()])
        (counts,) = frPyObjects([polygon.ravel().tolist()], *size)
        np.testing.assert_array_equal(fill(polygon, size), decode(counts))
