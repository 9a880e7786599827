"""Weighted nearest neighbours against scikit-learn and a slow loop."""

import math

import numpy as np
import pytest
from sklearn.metrics import average_precision_score
from sklearn.neighbors import KNeighborsClassifier

from ssl_tf.evaluation.knn import knn_accuracy, knn_map, weighted_knn


def problem(bank=83, queries=31, dim=6, classes=5):
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(classes, dim))
    bank_labels, query_labels = rng.integers(0, classes, bank), rng.integers(0, classes, queries)

    def features(labels):
        # Rows of all lengths: only directions may count.
        directions = centres[labels] + rng.normal(size=(len(labels), dim))
        return (directions * rng.uniform(0.1, 9, (len(labels), 1))).astype(np.float32)

    return features(bank_labels), bank_labels, features(query_labels), query_labels


def slow_neighbours(bank, queries, k):
    """(bank row, cosine) of the k nearest of each query."""
    found = []
    for query in queries.astype(np.float64):
        similarities = [
            float(query @ other) / (math.sqrt(query @ query) * math.sqrt(other @ other))
            for other in bank.astype(np.float64)
        ]
        nearest = sorted(range(len(bank)), key=lambda i: -similarities[i])[:k]
        found.append([(index, similarities[index]) for index in nearest])
    return found


def slow_scores(bank, labels, queries, classes, k, temperature):
    scores = np.zeros((len(queries), classes))
    for row, neighbours in enumerate(slow_neighbours(bank, queries, k)):
        for index, similarity in neighbours:
            scores[row, labels[index]] += math.exp(similarity / temperature)
    return scores / scores.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("k, temperature", [(1, 0.1), (7, 0.07), (20, 1.0), (200, 0.1)])
@pytest.mark.parametrize("block", [8, 31, 1024])
def test_scores_equal_a_slow_loop_for_any_block(k, temperature, block):
    bank, labels, queries, _ = problem()
    found = weighted_knn(bank, labels, queries, 5, k, temperature, block)
    expected = slow_scores(bank, labels, queries, 5, k, temperature)
    np.testing.assert_allclose(found, expected, atol=2e-5)


@pytest.mark.parametrize("k", [5, 50])
def test_predictions_and_scores_equal_scikit_learn(k):
    bank, labels, queries, query_labels = problem(300, 120)
    classifier = KNeighborsClassifier(
        k, metric="cosine", algorithm="brute", weights=lambda d: np.exp((1 - d) / 0.1)
    ).fit(bank, labels)
    scores = weighted_knn(bank, labels, queries, 5, k, 0.1, block=64)
    np.testing.assert_allclose(scores, classifier.predict_proba(queries), atol=2e-5)
    accuracy = knn_accuracy(bank, labels, queries, query_labels, 5, k, 0.1)
    assert accuracy == pytest.approx(classifier.score(queries, query_labels))
    assert 0.4 < accuracy < 1.0


def test_nearest_neighbour_of_the_bank_itself_is_itself():
    bank, labels, _, _ = problem()
    assert knn_accuracy(bank, labels, bank, labels, 5, k=1) == 1.0


def test_small_temperatures_do_not_overflow():
    bank, labels, queries, _ = problem()
    sharp = weighted_knn(bank, labels, queries, 5, 20, 1e-4)
    assert np.isfinite(sharp).all()
    nearest = weighted_knn(bank, labels, queries, 5, 1, 0.1)
    np.testing.assert_array_equal(sharp.argmax(axis=1), nearest.argmax(axis=1))


@pytest.mark.parametrize("block", [2, 3, 100])
def test_the_earlier_of_equal_neighbours_wins(block):
    bank, queries = (np.tile([2.0, 0, 0], (count, 1)) for count in (9, 4))
    scores = weighted_knn(bank, np.arange(9), queries, 9, 3, 0.1, block)
    np.testing.assert_allclose(scores, np.tile([1 / 3] * 3 + [0] * 6, (4, 1)), atol=1e-6)


def test_classes_absent_from_the_bank_get_nothing():
    scores = weighted_knn(np.eye(3), np.array([0, 1, 1]), np.eye(3), 4, k=3)
    np.testing.assert_array_equal(scores[:, 2:], 0)


@pytest.mark.parametrize("block", [8, 1024])
def test_neighbours_with_several_labels_vote_for_each(block):
    bank, labels, queries, query_labels = problem()
    one_hot = np.eye(5)[labels]
    np.testing.assert_allclose(
        weighted_knn(bank, one_hot, queries, 5, 7, 0.1, block),
        weighted_knn(bank, labels, queries, 5, 7, 0.1, block),
        atol=1e-12,
    )
    other = np.random.default_rng(1).integers(0, 5, len(labels))
    both = np.maximum(one_hot, np.eye(5)[other]).astype(np.float32)
    expected = np.where(
        (labels == other)[:, None], one_hot, one_hot + np.eye(5)[other]
    )  # the votes of the two labels together
    nearest = slow_neighbours(bank, queries, 7)
    scores = weighted_knn(bank, both, queries, 5, 7, 0.1, block)
    for row, neighbours in enumerate(nearest):
        votes = np.array([math.exp(similarity / 0.1) for _, similarity in neighbours])
        named = expected[[index for index, _ in neighbours]]
        np.testing.assert_allclose(scores[row], votes @ named / votes.sum(), atol=2e-5)
    targets = np.eye(5)[query_labels]
    assert knn_map(bank, both, queries, targets, 5, 7) == pytest.approx(
        average_precision_score(targets, scores, average="macro")
    )
