"""Codes against tables made by hand, a loop with plain sums, and their own laws."""

import math

import numpy as np
import pytest
import tensorflow as tf

from ssl_tf.methods.sinkhorn import balanced_codes
from ssl_tf.training.strategy import mirrored_strategy
from tests.methods.slow_sinkhorn import slow_codes

SCORES = np.array([[0.9, 0.1, -0.2], [0.8, 0.3, 0.0], [0.1, 0.7, 0.2], [-0.3, 0.2, 0.6]])


def scores_of(count, prototypes, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, [count, prototypes])


@pytest.mark.parametrize(
    "epsilon, rows, sums",
    [
        (
            0.5,
            [
                [0.652395, 0.203314, 0.144291],
                [0.507395, 0.288124, 0.204481],
                [0.116783, 0.598497, 0.284720],
                [0.057899, 0.242937, 0.699164],
            ],
            [1.334472, 1.332872, 1.332656],
        ),
        (
            0.05,
            [
                [0.999972, 0.000028, 0.000001],
                [0.988804, 0.010993, 0.000203],
                [0.0, 0.999662, 0.000338],
                [0.0, 0.000045, 0.999955],
            ],
            [1.988776, 1.010728, 1.000497],
        ),
    ],
)
def test_three_iterations_on_a_small_table(epsilon, rows, sums):
    codes = balanced_codes(tf.constant(SCORES), epsilon, 3).numpy()
    np.testing.assert_allclose(codes, rows, atol=6e-7)
    np.testing.assert_allclose(codes.sum(axis=0), sums, atol=2e-6)


@pytest.mark.parametrize("count, prototypes", [(1, 2), (5, 9), (32, 4)])
@pytest.mark.parametrize("epsilon", [0.05, 0.5])
@pytest.mark.parametrize("iterations", [1, 3])
def test_codes_equal_a_slow_loop(count, prototypes, epsilon, iterations):
    scores = scores_of(count, prototypes)
    codes = balanced_codes(tf.constant(scores), epsilon, iterations)
    np.testing.assert_allclose(codes, slow_codes(scores, epsilon, iterations), rtol=1e-10)
    single = balanced_codes(tf.constant(scores, tf.float32), epsilon, iterations)
    np.testing.assert_allclose(single, codes, rtol=1e-3, atol=1e-6)


def test_every_example_sums_to_one_and_in_the_end_all_prototypes_are_used_alike():
    codes = balanced_codes(tf.constant(scores_of(40, 8)), 0.2, 200).numpy()
    np.testing.assert_allclose(codes.sum(axis=1), np.ones(40), rtol=1e-12)
    np.testing.assert_allclose(codes.sum(axis=0), np.full(8, 5.0), rtol=1e-9)
    few = balanced_codes(tf.constant(scores_of(40, 8)), 0.05, 1).numpy()
    np.testing.assert_allclose(few.sum(axis=1), np.ones(40), rtol=1e-12)
    assert np.abs(few.sum(axis=0) - 5).max() > 0.1  # three iterations are meant to stop early


def test_equal_scores_say_nothing():
    codes = balanced_codes(tf.fill([6, 5], 0.7), 0.05, 3)
    np.testing.assert_allclose(codes, np.full([6, 5], 0.2), rtol=1e-6)


@pytest.mark.parametrize("epsilon", [1e-3, 1e-5])
def test_no_epsilon_is_too_small(epsilon):
    """exp(1 / epsilon) is no float; and a prototype far from all examples has a sum of 0."""
    scores = scores_of(12, 4).astype(np.float32)
    scores[:, 3] = -1.0
    codes = balanced_codes(tf.constant(scores), epsilon, 3).numpy()
    assert np.isfinite(codes).all()
    np.testing.assert_allclose(codes.sum(axis=1), np.ones(12), rtol=1e-5)
    assert codes[:, 3].sum() > 0.9  # it gets its share all the same


def test_weights_count_examples():
    scores = scores_of(6, 3)
    nothing, twice = -math.inf, math.log(2)
    log_weights = np.array([[nothing], [0.0], [twice], [0.0], [0.0], [nothing]])
    found = balanced_codes(tf.constant(scores), 0.1, 1, tf.constant(log_weights)).numpy()
    expected = slow_codes(scores[[1, 2, 2, 3, 4]], 0.1, 1)
    np.testing.assert_allclose(found[1:5], expected[[0, 1, 3, 4]], rtol=1e-10)
    ignored = np.array([[nothing], [0.0], [0.0], [0.0], [0.0], [nothing]])
    found = balanced_codes(tf.constant(scores), 0.1, 3, tf.constant(ignored)).numpy()
    np.testing.assert_allclose(found[1:5], slow_codes(scores[1:5], 0.1, 3), rtol=1e-10)


def test_no_gradient_reaches_the_scores():
    scores = tf.Variable(scores_of(4, 3))
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(balanced_codes(scores, 0.1, 3) ** 2)
    assert tape.gradient(total, scores) is None


@pytest.mark.parametrize("replicas", [2, 4])
def test_replicas_balance_the_global_batch(replicas):
    scores = scores_of(8, 5)
    strategy = mirrored_strategy([f"CPU:{i}" for i in range(replicas)])
    share = 8 // replicas

    def local(context):
        first = context.replica_id_in_sync_group * share
        return tf.constant(scores[first : first + share])

    distributed = strategy.experimental_distribute_values_from_function(local)
    run = tf.function(lambda x: strategy.run(balanced_codes, args=(x, 0.05, 3)))
    parts = strategy.experimental_local_results(run(distributed))
    np.testing.assert_allclose(np.concatenate(parts), slow_codes(scores, 0.05, 3), rtol=1e-10)
