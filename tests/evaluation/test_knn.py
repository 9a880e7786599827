"""Weighted nearest neighbours against scikit-learn and a slow loop."""

import math
import weakref

import numpy as np
import pytest
import tensorflow as tf
from sklearn.metrics import average_precision_score
from sklearn.neighbors import KNeighborsClassifier

from ssl_tf.data.source import IndexedSource
from ssl_tf.errors import UserError
from ssl_tf.evaluation import features
from ssl_tf.evaluation.knn import (
    NeighbourSearch,
    knn_scores,
    real_k,
    search_bytes,
    weighted_knn,
)
from ssl_tf.evaluation.metrics import mean_average_precision, score_figures, top_k_accuracy
from ssl_tf.settings import NeighbourSettings
from tests.evaluation.multi_label_source import Shades


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
    accuracy = top_k_accuracy(scores, query_labels)
    assert accuracy == pytest.approx(classifier.score(queries, query_labels))
    assert 0.4 < accuracy < 1.0


def test_nearest_neighbour_of_the_bank_itself_is_itself():
    bank, labels, _, _ = problem()
    assert top_k_accuracy(weighted_knn(bank, labels, bank, 5, k=1), labels) == 1.0


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
    scores = weighted_knn(bank, both, queries, 5, 7)
    assert mean_average_precision(scores, targets) == pytest.approx(
        average_precision_score(targets, scores, average="macro")
    )


@pytest.mark.parametrize("piece", [1, 7, 40])
def test_a_bank_in_pieces_gives_what_it_gives_at_once_and_is_not_held(piece):
    bank, labels, queries, _ = problem()
    search = NeighbourSearch(queries, 9, block=8)
    passed = []
    for start in range(0, len(bank), piece):
        rows = bank[start : start + piece].copy()
        passed.append(weakref.ref(rows))
        search.add(rows)
        del rows
        assert sum(1 for reference in passed if reference() is not None) < 8
    similarities, neighbours = search.neighbours()
    for row, expected in enumerate(slow_neighbours(bank, queries, 9)):
        np.testing.assert_array_equal(neighbours[row], [index for index, _ in expected])
        np.testing.assert_allclose(similarities[row], [value for _, value in expected], atol=1e-6)


def test_imagenet_fits_the_plan():
    # 50,000 queries of 2,048 features, k 200, 1,000 classes: what is held does not know the bank.
    assert search_bytes(50_000, 2048, 200, 1000) < 2 * 2**30 < 1_281_167 * 2048 * 4 / 4


class Repeated(Shades):
    """One label an image."""

    def __init__(self, size, seed, shift=0):
        super().__init__(size, seed)
        self.multi_label = False
        self._shift = shift

    def _example(self, row):
        record = super()._example(row)
        return {**record, "label": tf.cast(record["label"][0], tf.int64) + self._shift}


def mean_colour(images):
    return tf.reduce_mean(tf.cast(images, tf.float32), [1, 2])


def evaluated(train, test, settings):
    return score_figures(*knn_scores(mean_colour, train, test, 16, settings))


@pytest.mark.parametrize("kind", [Shades, Repeated])
def test_evaluation_equals_knn_in_memory(kind, monkeypatch):
    monkeypatch.setattr(features, "BATCH", 7)
    train, test = kind(40, 0), kind(24, 1)

    def arrays(source):
        records = list(source.sequence())
        images = tf.stack([tf.io.decode_png(record["image"]) for record in records])
        return mean_colour(images).numpy(), np.array([record["label"] for record in records])

    bank, bank_labels = arrays(train)
    queries, labels = arrays(test)
    found = evaluated(train, test, NeighbourSettings(5, 0.07))
    scores = weighted_knn(bank, bank_labels, queries, 3, 5, 0.07)
    assert found == pytest.approx(score_figures(scores, labels))
    assert found["map" if kind is Shades else "top1"] > 0.6


class Noise(IndexedSource):
    """Images of one colour each and classes in turn, which have nothing to do with each other."""

    def __init__(self, size, seed):
        super().__init__("noise", size, 10)
        colours = np.random.default_rng(seed).integers(0, 256, (size, 3), np.uint8)
        self._images = tf.stack(
            [tf.io.encode_png(np.broadcast_to(colour, (16, 16, 3))) for colour in colours]
        )

    def _example(self, row):
        return {"id": tf.strings.as_string(row), "image": self._images[row], "label": row % 10}


def test_classes_without_a_vote_are_not_among_the_five_best():
    train, test = Noise(200, 0), Noise(300, 1)
    one = evaluated(train, test, NeighbourSettings(1, 0.1))
    assert one["top5"] == one["top1"] == pytest.approx(0.1, abs=0.04)
    two = evaluated(train, test, NeighbourSettings(2, 0.1))
    assert one["top1"] < two["top5"] == pytest.approx(0.2, abs=0.05)
    # A vote counts even where its weight is far below the smallest float.
    sharp = evaluated(train, test, NeighbourSettings(2, 1e-9))
    assert sharp["top5"] == two["top5"]


def test_labels_outside_of_the_classes_are_one_clear_line():
    settings = NeighbourSettings()
    with pytest.raises(UserError, match="image 0 has the label .*, but there are 3 classes"):
        evaluated(Repeated(9, 0, shift=3), Repeated(9, 1), settings)


def test_no_more_neighbours_vote_than_there_are(capsys):
    assert real_k(9, Noise(9, 0)) == 9 and capsys.readouterr().err == ""
    assert real_k(200, Noise(9, 0)) == 9
    assert "--knn_k=200: noise has 9 images" in capsys.readouterr().err


def test_a_class_without_train_images_is_told(capsys):
    train, test = Repeated(9, 0, shift=1), Repeated(20, 1)
    evaluated(train, test, NeighbourSettings())
    assert "is of class red, which the test images show" in capsys.readouterr().err
