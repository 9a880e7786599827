"""VOC's average precision, against slow loops from its definition."""

import numpy as np
import pytest

from ssl_tf.detection.found_objects import ImageObjects
from ssl_tf.detection.voc_figures import box_overlaps, precision_recall, voc_figures
from tests.detection.hand_made import random_images


def overlap(a, b):
    height = min(a[2], b[2]) - max(a[0], b[0])
    width = min(a[3], b[3]) - max(a[1], b[1])
    if height <= 0 or width <= 0:
        return 0.0
    areas = [(c[2] - c[0]) * (c[3] - c[1]) for c in (a, b)]
    return height * width / (sum(areas) - height * width)


def slow_curve(truth, found, label, least):
    """The points (precision, recall) of a class as the development kit of VOC computes them."""
    detections = []
    for image in found:
        for box, score, its_label in zip(image.boxes, image.scores, image.classes):
            if its_label == label:
                detections.append((score, image.index, box))
    detections.sort(key=lambda detection: -detection[0])
    of_image = {
        image.index: [
            (box, bool(difficult))
            for box, its_label, difficult in zip(image.boxes, image.classes, image.difficult)
            if its_label == label
        ]
        for image in truth
    }
    positives = sum(not difficult for objects in of_image.values() for _, difficult in objects)
    taken, hits, misses, points = set(), 0, 0, []
    for _, index, box in detections:
        best, at = 0.0, None
        for number, (true, _) in enumerate(of_image[index]):
            if overlap(box, true) > best:
                best, at = overlap(box, true), number
        if best > least and of_image[index][at][1]:
            continue
        if best > least and (index, at) not in taken:
            taken.add((index, at))
            hits += 1
        else:
            misses += 1
        points.append((hits / (hits + misses), hits / positives if positives else None))
    return positives, points


def slow_figures(truth, found, classes):
    eleven, whole = {}, []
    for least in [0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95]:
        for label in range(classes):
            positives, points = slow_curve(truth, found, label, least)
            if not positives:
                continue
            total = 0.0
            for tenth in range(11):
                total += max([p for p, r in points if r >= tenth / 10], default=0.0)
            eleven.setdefault(least, []).append(total / 11)
            if least == 0.5:
                area, before = 0.0, 0.0
                for place, (_, recall) in enumerate(points):
                    area += (recall - before) * max(p for p, _ in points[place:])
                    before = recall
                whole.append(area)
    means = {least: sum(found) / len(found) for least, found in eleven.items()}
    return {
        "voc_ap": sum(means.values()) / 10,
        "voc_ap50": means[0.5],
        "voc_ap75": means[0.75],
        "voc_ap50_all": sum(whole) / len(whole),
    }


@pytest.mark.parametrize("seed", range(4))
def test_figures_are_those_of_a_slow_loop(seed):
    truth, found = random_images(seed, classes=3, difficult=0.3)
    figures = voc_figures(truth, found, 4)  # one class has no object
    assert figures == pytest.approx(slow_figures(truth, found, 4), abs=1e-12)
    assert 0.05 < figures["voc_ap50"] < 0.95 and figures["voc_ap75"] < figures["voc_ap50"]


def one(boxes, classes=None, **values):
    boxes = np.array(boxes, np.float64).reshape(-1, 4)
    count = len(boxes)
    return ImageObjects(
        0,
        (100, 100),
        boxes,
        np.zeros(count, np.int64) if classes is None else np.array(classes),
        **{name: np.array(value) for name, value in values.items()},
    )


BOX = [10, 10, 30, 30]


@pytest.mark.parametrize(
    "boxes, scores, difficult, ap",
    [
        ([BOX], [0.9], [False], 1.0),
        # The second of two on one object is wrong, but behind a recall of 1.
        ([BOX, BOX], [0.9, 0.8], [False], 1.0),
        ([[50, 50, 60, 60], BOX], [0.9, 0.8], [False], 0.5),
        ([], [], [False], 0.0),
        # Exactly a half overlaps too little.
        ([[10, 10, 20, 30]], [0.9], [False], 0.0),
    ],
)
def test_figures_of_one_object(boxes, scores, difficult, ap):
    truth = one([BOX], difficult=difficult)
    figures = voc_figures([truth], [one(boxes, scores=scores)], 1)
    assert (figures["voc_ap50"], figures["voc_ap50_all"]) == (ap, ap)


def test_a_difficult_object_counts_neither_for_nor_against():
    truth = one([BOX, [50, 50, 80, 80]], difficult=[False, True])
    found = one([[50, 50, 80, 80], [51, 50, 80, 80], BOX], scores=[0.9, 0.8, 0.7])
    assert voc_figures([truth], [found], 1)["voc_ap50"] == 1.0
    precision, recall = precision_recall([truth], [found], 0, 0.5)
    assert precision.tolist() == [1.0] and recall.tolist() == [1.0]
    alone = voc_figures([one([BOX], difficult=[True])], [found], 1)
    assert alone == dict.fromkeys(("voc_ap", "voc_ap50", "voc_ap75", "voc_ap50_all"))


def test_overlaps_are_those_of_a_loop():
    random = np.random.default_rng(0)
    first, second = (
        np.concatenate([low, low + random.uniform(0, 9, (n, 2))], 1)
        for n in (5, 7)
        for low in [random.uniform(0, 9, (n, 2))]
    )
    expected = [[overlap(a, b) for b in second] for a in first]
    np.testing.assert_allclose(box_overlaps(first, second), expected, atol=1e-15)
