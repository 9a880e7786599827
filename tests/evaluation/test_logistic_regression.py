import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression as Reference

from ssl_tf.evaluation import logistic_regression
from ssl_tf.evaluation.logistic_regression import (
    PENALTIES,
    LogisticRegression,
    choose_classifier,
)
from ssl_tf.evaluation.metrics import top_k_accuracy

CLASSES = 4


def examples(count, seed=0, noise=2.0):
    """Correlated features far from zero, whose classes overlap; the same law for every seed."""
    law, random = np.random.default_rng(7), np.random.default_rng([1, seed])
    mixing, directions = law.normal(size=(9, 9)), law.normal(size=(9, CLASSES))
    features = random.normal(size=(count, 9)) @ mixing
    labels = np.argmax(features @ directions + noise * random.gumbel(size=(count, CLASSES)), 1)
    return features + 3, labels


def slow_objective(features, labels, weights, bias, penalty):
    """Row by row, as the docstring of `LogisticRegression` has it."""
    total = penalty / 2 * sum(w**2 for w in weights.ravel())
    for row, label in zip(features, labels):
        logits = [row @ weights[:, c] + bias[c] for c in range(CLASSES)]
        total -= logits[label] - np.log(sum(np.exp(logits)))
    return total


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(logistic_regression, "_BLOCK", 64)


def test_the_grid_is_the_published_one():
    assert len(PENALTIES) == 45
    assert PENALTIES[0] == pytest.approx(1e-6) and PENALTIES[-1] == pytest.approx(1e5)
    ratios = np.diff(np.log10(PENALTIES))
    np.testing.assert_allclose(ratios, 11 / 44, rtol=1e-12)


def test_loss_and_gradient_by_slow_sum_and_finite_differences(small_blocks):
    features, labels = examples(150)
    regression = LogisticRegression(features, labels, CLASSES)
    random = np.random.default_rng(3)
    weights, bias = random.normal(size=(9, CLASSES)), random.normal(size=CLASSES)
    rotated, shifted = regression._rotate(weights, bias)
    value, by_weights, by_bias = regression._mean_loss(rotated, shifted)
    expected = slow_objective(features, labels, weights, bias, 0.0) / 150
    assert value == pytest.approx(expected, rel=1e-12)

    def central(change_weights, change_bias):
        ahead = regression._mean_loss(rotated + change_weights, shifted + change_bias)[0]
        back = regression._mean_loss(rotated - change_weights, shifted - change_bias)[0]
        return (ahead - back) / 2e-5

    for place in np.ndindex(weights.shape):
        step = np.zeros_like(weights)
        step[place] = 1e-5
        assert central(step, 0) == pytest.approx(by_weights[place], rel=1e-6, abs=1e-7)
    for c in range(CLASSES):
        step = 1e-5 * np.eye(CLASSES)[c]
        assert central(0, step) == pytest.approx(by_bias[c], rel=1e-6, abs=1e-7)


@pytest.mark.parametrize("penalty", [0.01, 1.0, 1e3])
def test_equals_scikit_learn(penalty, small_blocks):
    features, labels = examples(400)
    regression = LogisticRegression(features, labels, CLASSES)
    found = regression.fit(penalty)
    reference = Reference(C=1 / penalty, tol=1e-9, max_iter=20_000).fit(features, labels)
    minimum = slow_objective(features, labels, reference.coef_.T, reference.intercept_, penalty)
    assert slow_objective(features, labels, found.weights, found.bias, penalty) == pytest.approx(
        minimum, rel=1e-8
    )
    np.testing.assert_allclose(
        found.weights, reference.coef_.T, atol=1e-3 * np.abs(reference.coef_).max()
    )
    unseen, _ = examples(300, seed=1)
    scores, expected = found.scores(unseen), reference.decision_function(unseen)
    shift = np.mean(scores - expected, axis=1, keepdims=True)  # all classes alike: no matter
    np.testing.assert_allclose(scores - shift, expected, atol=2e-3)
    # Where two classes are as good as equal, the last digits decide.
    assert np.mean(np.argmax(scores, axis=1) == reference.predict(unseen)) > 0.99
    assert found.converged
    # Single precision, which features of a network have, ends at the same minimum.
    single = LogisticRegression(features.astype(np.float32), labels, CLASSES).fit(penalty)
    reached = slow_objective(features, labels, single.weights, single.bias, penalty)
    assert reached == pytest.approx(minimum, rel=1e-6)


def test_a_start_elsewhere_ends_at_the_same_minimum_and_a_near_one_sooner():
    features, labels = examples(400)
    regression = LogisticRegression(features, labels, CLASSES)

    def reached(fitted):
        return slow_objective(features, labels, fitted.weights, fitted.bias, 0.1)

    def iterations(start):
        return next(n for n in range(1, 1000) if regression.fit(0.1, start, n).converged)

    cold = regression.fit(0.1)
    for start in (100.0, 0.2):
        warm = regression.fit(0.1, regression.fit(start))
        assert reached(warm) == pytest.approx(reached(cold), rel=1e-9)
    assert iterations(regression.fit(0.2)) < iterations(None)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_separable_examples_of_a_tiny_penalty_stay_finite(kind):
    features, labels = examples(200, noise=0.0)
    features = features.astype(kind)
    # A feature that never changes has no curvature at all.
    features = np.concatenate([features, np.ones((200, 1), kind)], axis=1)
    regression = LogisticRegression(features, labels, CLASSES)
    found = regression.fit(1e-6)
    assert np.isfinite(found.weights).all() and np.isfinite(found.bias).all()
    assert 0 < slow_objective(features, labels, found.weights, found.bias, 1e-6) < 0.01
    assert found.converged
    assert top_k_accuracy(found.scores(features), labels) == 1
    assert np.abs(found.weights[-1]).max() < 1e-3 * np.abs(found.weights).max()


def choose(train, validation, **changes):
    arguments = dict(name="animals", penalties=(1e5, 10.0, 1e-3), max_iterations=1000)
    return choose_classifier(train, validation, CLASSES, top_k_accuracy, **(arguments | changes))


def test_the_penalty_is_chosen_on_validation_and_refitted_on_both():
    train, validation = examples(60), examples(300, seed=1)
    choice = choose(train, validation)
    regression = LogisticRegression(*train, CLASSES)
    expected = {
        penalty: top_k_accuracy(regression.fit(penalty).scores(validation[0]), validation[1])
        for penalty in (1e5, 10.0, 1e-3)
    }
    assert choice.validation == pytest.approx(expected, abs=0.01)
    best = max(expected, key=expected.get)
    assert choice.classifier.penalty == best
    both = [np.concatenate(parts) for parts in zip(train, validation)]
    refitted = LogisticRegression(*both, CLASSES).fit(best)
    reached = [
        slow_objective(*both, fitted.weights, fitted.bias, best)
        for fitted in (choice.classifier, refitted)
    ]
    assert reached[0] == pytest.approx(reached[1], rel=1e-9)
    np.testing.assert_allclose(choice.classifier.weights, refitted.weights, atol=1e-4)


def test_validation_examples_decide_and_the_larger_of_equal_penalties_wins():
    train = examples(200)
    # Labels that no feature tells but by their share: only the most penalized classifier says
    # the common class to all, whatever the others know about the train examples.
    common = np.bincount(train[1]).argmax()
    nothing = np.random.default_rng(0).normal(3, 1, (200, 9)), np.full(200, common)
    assert choose(train, nothing).classifier.penalty == 1e5
    assert choose(train, examples(500, seed=2)).classifier.penalty < 1e5
    separable = examples(300, noise=0.0)
    choice = choose_classifier(
        separable,
        separable,
        CLASSES,
        lambda *_: 0.5,
        name="x",
        penalties=(1.0, 100.0),
        max_iterations=99,
    )
    assert choice.classifier.penalty == 100.0


def test_a_fit_that_the_limit_ended_is_told(capsys):
    choice = choose(examples(200), examples(100, seed=1), max_iterations=2)
    told = capsys.readouterr().err.strip().splitlines()
    assert len(told) == 1 and "animals: L-BFGS was stopped at --max_iterations=2" in told[0]
    assert "0.001" in told[0] and 1e-3 in choice.stopped
    choose(examples(200), examples(100, seed=1))
    assert capsys.readouterr().err == ""
