"""The losses against slow loops."""

import numpy as np
import pytest
import tensorflow as tf

from ssl_tf.detection import detection_losses as losses

RANDOM = np.random.default_rng(0)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def binary(logit, target):
    p = sigmoid(logit)
    return -(target * np.log(p) + (1 - target) * np.log(1 - p))


def test_objectness():
    logits, positive = RANDOM.normal(size=(2, 5)), RANDOM.random((2, 5)) < 0.5
    weights = np.array([[1, 1, 0, 1, 1], [1, 0, 0, 1, 1.0]])
    expected = sum(w * binary(x, t) for x, t, w in zip(logits.flat, positive.flat, weights.flat))
    found = losses.objectness_loss(tf.constant(logits), tf.constant(positive), weights)
    assert float(found) == pytest.approx(expected, rel=1e-12)


def test_boxes():
    boxes, targets = RANDOM.normal(size=(2, 2, 3, 4))
    weights = np.array([[1, 0, 1], [0, 0, 1.0]])
    expected = sum(
        abs(boxes[i, j, k] - targets[i, j, k]) * weights[i, j]
        for i in range(2) for j in range(3) for k in range(4)
    )  # fmt: skip
    found = losses.box_loss(tf.constant(boxes), tf.constant(targets), tf.constant(weights))
    assert float(found) == pytest.approx(expected, rel=1e-12)


def test_classes():
    logits, classes = RANDOM.normal(size=(2, 3, 4)), RANDOM.integers(0, 4, (2, 3))
    weights = np.array([[1, 0, 1], [1, 1, 1.0]])
    expected = 0.0
    for i in range(2):
        for j in range(3):
            exponents = np.exp(logits[i, j])
            expected -= weights[i, j] * np.log(exponents[classes[i, j]] / exponents.sum())
    found = losses.class_loss(tf.constant(logits), classes, weights)
    assert float(found) == pytest.approx(expected, rel=1e-12)


def test_masks():
    logits, masks = RANDOM.normal(size=(1, 3, 2, 2)), RANDOM.random((1, 3, 2, 2)) < 0.5
    weights = np.array([[1, 0, 1.0]])
    expected = sum(
        np.mean([binary(x, t) for x, t in zip(logits[0, n].flat, masks[0, n].flat)]) for n in (0, 2)
    )
    found = losses.mask_loss(tf.constant(logits), tf.constant(masks), tf.constant(weights))
    assert float(found) == pytest.approx(expected, rel=1e-12)


def test_focal():
    """Lin et al. 2017, equation 5 with alpha 0.25 and gamma 2."""
    logits, classes = RANDOM.normal(size=(1, 4, 4)), np.array([[0, 1, 3, 2]])
    weights = np.array([[1, 1, 1, 0.0]])
    expected = 0.0
    for anchor in range(4):
        for label in (1, 2, 3):
            p = sigmoid(logits[0, anchor, label])
            if classes[0, anchor] == label:
                term = -0.25 * (1 - p) ** 2 * np.log(p)
            else:
                term = -0.75 * p**2 * np.log(1 - p)
            expected += weights[0, anchor] * term
    found = losses.focal_loss(tf.constant(logits), tf.constant(classes), tf.constant(weights))
    assert float(found) == pytest.approx(expected, rel=1e-12)
