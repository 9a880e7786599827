"""Metrics against scikit-learn, closed forms and slow loops."""

import math

import numpy as np
import pytest
from sklearn.metrics import (
    average_precision_score,
    balanced_accuracy_score,
    top_k_accuracy_score,
)

from ssl_tf.errors import UserError
from ssl_tf.evaluation import metrics
from ssl_tf.evaluation.metrics import (
    alignment,
    average_precision,
    batchwise_mean_average_precision,
    embedding_std,
    mean_average_precision,
    mean_per_class_accuracy,
    rankme,
    score_figures,
    top_k_accuracy,
    uniformity,
)


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


@pytest.mark.parametrize("k", [1, 2, 5])
def test_top_k_equals_scikit_learn(k):
    scores = normal(200, 8)
    labels = np.random.default_rng(1).integers(0, 8, 200)
    expected = top_k_accuracy_score(labels, scores, k=k, labels=range(8))
    assert top_k_accuracy(scores, labels, k) == pytest.approx(expected)


def test_top_k_of_ties_and_nan():
    labels = np.arange(10)
    assert top_k_accuracy(np.zeros((10, 10)), labels) == 0.1
    assert top_k_accuracy(np.zeros((10, 10)), labels, 5) == 0.5
    assert top_k_accuracy(np.full((10, 10), np.nan), labels, 10) == 0.0
    scores = np.array([[np.nan, 1.0, 2.0], [3.0, np.nan, 2.0]])
    assert top_k_accuracy(scores, np.array([0, 1]), 2) == 0.0
    assert top_k_accuracy(normal(4, 3), np.array([0, 1, 2, 0]), 5) == 1.0


def test_without_any_label_there_is_no_figure():
    with pytest.raises(UserError, match="shows any class"):
        score_figures(normal(4, 3), np.zeros((4, 3)))


def test_a_class_that_is_no_answer_is_never_among_the_largest():
    scores = np.full((10, 10), -np.inf)
    scores[:, 3] = 1.0
    labels = np.arange(10)
    assert [top_k_accuracy(scores, labels, k) for k in (1, 5, 10)] == [0.1, 0.1, 0.1]


def test_mean_per_class_accuracy():
    labels = np.array([0, 0, 0, 0, 2, 2, 5])
    predictions = np.array([0, 0, 0, 1, 2, 5, 0])
    assert mean_per_class_accuracy(predictions, labels) == pytest.approx((0.75 + 0.5 + 0) / 3)
    rng = np.random.default_rng(0)
    labels = np.concatenate([np.arange(6), rng.integers(0, 6, 94)])
    predictions = rng.integers(0, 6, 100)
    assert mean_per_class_accuracy(predictions, labels) == pytest.approx(
        balanced_accuracy_score(labels, predictions)
    )
    balanced = np.repeat(np.arange(5), 20)
    assert mean_per_class_accuracy(predictions, balanced) == pytest.approx(
        np.mean(predictions == balanced)
    )


def slow_average_precision(scores, relevant):
    """Precision and recall at each threshold, counted one by one."""
    total, recall, area = sum(relevant), 0.0, 0.0
    for threshold in sorted(set(scores), reverse=True):
        retrieved = [r for s, r in zip(scores, relevant) if s >= threshold]
        found = sum(retrieved)
        area += (found / total - recall) * found / len(retrieved)
        recall = found / total
    return area


@pytest.mark.parametrize("levels", [2, 7, 1000])
@pytest.mark.parametrize("share", [0.02, 0.5, 1.0])
def test_average_precision_equals_scikit_learn_and_a_slow_loop_ties_included(levels, share):
    random = np.random.default_rng(levels)
    for count in (1, 2, 60):
        scores = random.integers(0, levels, count) - 3.0
        relevant = random.random(count) < share
        relevant[random.integers(count)] = True
        found = average_precision(scores, relevant)
        assert found == pytest.approx(average_precision_score(relevant, scores), rel=1e-12)
        assert found == pytest.approx(slow_average_precision(scores, relevant), rel=1e-12)


def test_average_precision_by_hand():
    assert average_precision([4, 3, 2, 1], [1, 0, 1, 0]) == pytest.approx((1 + 2 / 3) / 2)
    assert average_precision([1, 2, 3, 4], [1, 0, 0, 0]) == 0.25
    assert average_precision(np.zeros(8), [1, 0, 0, 0, 0, 0, 0, 1]) == 0.25


def test_mean_average_precision_leaves_absent_classes_out():
    scores, labels = normal(50, 6), normal(50, 6, seed=1) > 0.3
    labels[:, 4] = False
    present = [0, 1, 2, 3, 5]
    expected = average_precision_score(labels[:, present], scores[:, present], average="macro")
    assert mean_average_precision(scores, labels) == pytest.approx(expected)
    assert mean_average_precision(scores, labels.astype(np.float32)) == pytest.approx(expected)
    assert math.isnan(mean_average_precision(scores, np.zeros((50, 6))))


def test_batchwise_mean_average_precision():
    scores, labels = normal(50, 6), normal(50, 6, seed=2) > 1.2
    labels[16:32] = False  # a batch without any positive
    total, rows = 0.0, 0
    for batch in (slice(0, 16), slice(32, 48), slice(48, 50)):
        values = [
            slow_average_precision(scores[batch, c], labels[batch, c])
            for c in range(6)
            if labels[batch, c].any()
        ]
        if values:
            total += np.mean(values) * len(scores[batch])
            rows += len(scores[batch])
    found = batchwise_mean_average_precision(scores, labels, 16)
    assert found == pytest.approx(total / rows)
    whole = mean_average_precision(scores, labels)
    assert batchwise_mean_average_precision(scores, labels, 50) == pytest.approx(whole)
    assert batchwise_mean_average_precision(scores, labels, 999) == pytest.approx(whole)
    # Chance: a lone positive among few rows ranks high.
    assert batchwise_mean_average_precision(scores, labels, 4) > found > whole + 0.05


@pytest.mark.parametrize("dim", [16, 512])
def test_embedding_std_is_one_over_the_root_of_the_dimension_when_healthy(dim):
    assert embedding_std(normal(4000, dim)) == pytest.approx(dim**-0.5, rel=0.02)


def test_embedding_std_closed_forms():
    assert embedding_std(np.tile([1.0, 2.0, 3.0], (8, 1))) == pytest.approx(0, abs=1e-12)
    assert embedding_std(np.zeros((8, 3))) == 0.0
    # One of two opposite directions, of any length: one dimension of deviation 1 among four.
    z = np.array([[5.0, 0, 0, 0], [-0.1, 0, 0, 0]])
    assert embedding_std(z) == pytest.approx(0.25)


@pytest.mark.parametrize("rank", [1, 7, 24])
def test_rankme_of_orthonormal_rows_is_their_number(rank):
    basis = np.linalg.qr(normal(24, 24))[0]
    assert rankme(basis[:rank]) == pytest.approx(rank, rel=1e-4)
    repeated = np.repeat(basis[:rank], 3, axis=0) * 40
    assert rankme(repeated) == pytest.approx(rank, rel=1e-4)


def test_rankme_equals_the_formula_and_ignores_scale():
    features = normal(40, 12) * np.geomspace(1, 1e-3, 12)
    spectrum = np.sqrt(np.maximum(np.linalg.eigvalsh(features.T @ features), 0))
    p = spectrum / spectrum.sum() + 1e-7
    expected = math.exp(-sum(v * math.log(v) for v in p))
    assert rankme(features) == pytest.approx(expected, rel=1e-9)
    assert rankme(1000 * features) == pytest.approx(expected, rel=1e-9)
    assert 1 < expected < 6
    assert rankme(np.zeros((5, 4))) == pytest.approx(1, abs=1e-4)


def test_alignment_closed_forms():
    x = normal(10, 4)
    assert alignment(x, 7 * x) == pytest.approx(0, abs=1e-24)
    assert alignment(x, -x) == pytest.approx(4)
    assert alignment(np.eye(4), np.roll(np.eye(4), 1, axis=0)) == pytest.approx(2)


def test_uniformity_closed_forms():
    assert uniformity(np.tile([3.0, 4.0], (6, 1))) == pytest.approx(0, abs=1e-12)
    assert uniformity(np.array([[2.0, 0], [-1.0, 0]])) == pytest.approx(-8)
    assert uniformity(5 * np.eye(9)) == pytest.approx(-4)
    with pytest.raises(ValueError):
        uniformity(np.ones((1, 3)))


def test_uniformity_by_blocks_is_that_of_all_at_once(monkeypatch):
    x = normal(23, 3)
    whole = uniformity(x)
    monkeypatch.setattr(metrics, "_ROWS_AT_ONCE", 5)
    assert uniformity(x) == pytest.approx(whole, rel=1e-12)


def test_alignment_and_uniformity_equal_slow_loops():
    x, y = normal(15, 3), normal(15, 3, seed=1)
    unit_x, unit_y = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (x, y))
    distances = [math.dist(a, b) for a, b in zip(unit_x, unit_y)]
    assert alignment(x, y) == pytest.approx(sum(d**2 for d in distances) / 15)
    pairs = [(i, j) for i in range(15) for j in range(i)]
    potentials = [math.exp(-2 * math.dist(unit_x[i], unit_x[j]) ** 2) for i, j in pairs]
    assert uniformity(x) == pytest.approx(math.log(sum(potentials) / len(pairs)))


def test_figures_fit_the_labels():
    scores = normal(90, 7)
    labels = np.random.default_rng(1).integers(0, 7, 90)
    assert score_figures(scores, labels) == pytest.approx(
        {
            "top1": top_k_accuracy_score(labels, scores, k=1),
            "top5": top_k_accuracy_score(labels, scores, k=5),
            "mean_per_class": balanced_accuracy_score(labels, scores.argmax(axis=1)),
        }
    )
    assert set(score_figures(scores[:, :5], labels % 5)) == {"top1", "mean_per_class"}
    several = normal(90, 7, seed=2) > 0
    assert score_figures(scores, several) == {
        "map": pytest.approx(average_precision_score(several, scores, average="macro"))
    }
