"""Bootstrap intervals against slow loops, scipy and the normal approximation."""

import numpy as np
import pytest
from scipy import stats

from ssl_tf.evaluation import bootstrap
from ssl_tf.evaluation.bootstrap import score_intervals
from ssl_tf.evaluation.metrics import score_figures


def single(count=60, classes=7, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, count)
    scores = rng.normal(size=(count, classes))
    scores[np.arange(count), labels] += 1.0
    return scores, labels


def several(count=40, classes=3, seed=1):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, [count, classes])
    # Rounded, so that scores are equal here and there.
    return np.round(rng.normal(size=(count, classes)) + labels, 1), labels


def slow_intervals(scores, labels, draws, seed=0):
    """The same draws, each judged by `score_figures`."""
    random = np.random.RandomState(seed)
    chosen = random.randint(len(labels), size=(draws, len(labels)))
    found = [score_figures(scores[rows], labels[rows]) for rows in chosen]
    return {
        name: tuple(np.percentile([figures[name] for figures in found], (2.5, 97.5)))
        for name in found[0]
    }


@pytest.mark.parametrize("problem", [single, several])
def test_the_intervals_are_those_of_figures_of_drawn_images(problem, monkeypatch):
    monkeypatch.setattr(bootstrap, "_DRAWS", 200)
    scores, labels = problem()
    expected = slow_intervals(scores, labels, 200)
    found = score_intervals(scores, labels)
    assert found.keys() == expected.keys() == score_figures(scores, labels).keys()
    for name, bounds in found.items():
        np.testing.assert_allclose(bounds, expected[name], atol=1e-12, err_msg=name)


def test_the_draws_are_a_thousand_of_one_seed(monkeypatch):
    scores, labels = single()
    expected = slow_intervals(scores, labels, 1000)["top1"]
    found = score_intervals(scores, labels)["top1"]
    np.testing.assert_allclose(found, expected, atol=1e-12)
    assert score_intervals(scores, labels)["top1"] == found
    monkeypatch.setattr(bootstrap, "_SEED", 1)
    assert score_intervals(scores, labels)["top1"] != found


def test_blocks_change_nothing(monkeypatch):
    scores, labels = single()
    whole = score_intervals(scores, labels)
    monkeypatch.setattr(bootstrap, "_BLOCK_NUMBERS", 60 * 300)
    assert score_intervals(scores, labels) == whole


def test_a_share_has_the_interval_of_the_binomial_distribution():
    count, right = 5000, 3500
    labels = np.zeros(count, int)
    scores = np.zeros((count, 2))
    scores[right:, 1] = 1.0
    low, high = score_intervals(scores, labels)["top1"]
    expected = stats.binom(count, right / count).ppf([0.025, 0.975]) / count
    np.testing.assert_allclose((low, high), expected, atol=2e-3)
    assert low < right / count < high


def test_an_answer_that_is_none_is_missed_in_every_draw():
    scores = np.full((30, 8), -np.inf)
    scores[:, 0] = 1.0
    intervals = score_intervals(scores, np.full(30, 3))
    assert intervals == dict.fromkeys(("top1", "top5", "mean_per_class"), (0.0, 0.0))


def test_draws_without_a_positive_are_left_out():
    labels = np.zeros((3, 1), int)
    labels[0] = 1
    assert score_intervals(np.array([[2.0], [1.0], [0.0]]), labels) == {"map": (1.0, 1.0)}
