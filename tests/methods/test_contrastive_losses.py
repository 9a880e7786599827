"""InfoNCE, its dense form and NT-Xent against closed forms, slow loops and their invariances."""

import math

import numpy as np
import pytest
import tensorflow as tf

from ssl_tf.methods import losses
from tests.methods.small_methods import unit


def rows(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def slow_info_nce(queries, keys, queue, temperature):
    found = []
    for q, k in zip(unit(np.float64(queries)), unit(np.float64(keys))):
        positive = math.exp(sum(a * b for a, b in zip(q, k)) / temperature)
        negatives = [math.exp(sum(a * b for a, b in zip(q, n)) / temperature) for n in queue]
        found.append(-math.log(positive / (positive + sum(negatives))))
    return found


@pytest.mark.parametrize("batch, dim, length", [(1, 2, 1), (3, 4, 8), (8, 16, 32)])
@pytest.mark.parametrize("temperature", [0.07, 0.2, 1.0])
def test_info_nce_equals_a_slow_loop(batch, dim, length, temperature):
    q, k, queue = rows(0, batch, dim), rows(1, batch, dim), unit(rows(2, length, dim))
    np.testing.assert_allclose(
        tf.function(losses.info_nce)(q, k, queue, temperature),
        slow_info_nce(q, k, queue, temperature),
        rtol=2e-5,
        atol=1e-6,
    )


@pytest.mark.parametrize(
    "temperature, length, expected",
    [
        (0.2, 65536, 6.092617),
        (0.2, 4096, 3.353359),
        (0.1, 4096, 0.170551),
        (0.07, 65536, 0.040135),
    ],
)
def test_own_key_against_orthogonal_ones(temperature, length, expected):
    # ln(1 + K exp(-1 / T))
    queue = np.tile(np.float32([0, 1]), (length, 1))
    found = losses.info_nce([[3.0, 0.0]], [[0.5, 0.0]], queue, temperature)
    np.testing.assert_allclose(found, [expected], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("length, expected", [(65536, 11.09037), (4096, 8.31801)])
def test_equal_logits_give_the_logarithm_of_their_number(length, expected):
    queue = np.tile(np.float32([1, 0]), (length, 1))
    found = losses.info_nce([[1.0, 0.0]], [[1.0, 0.0]], queue, 0.2)
    np.testing.assert_allclose(found, [expected], rtol=1e-6)


@pytest.mark.parametrize("temperature", [0.1, 0.2])
def test_random_directions_cost_a_little_more_than_chance(temperature):
    dim, length = 128, 8192
    q, k, queue = rows(0, 1000, dim), rows(1, 1000, dim), unit(rows(2, length, dim))
    found = tf.reduce_mean(losses.info_nce(q, k, queue, temperature)).numpy()
    expected = math.log(length + 1) + 1 / (2 * dim * temperature**2)
    # standard error of q.k / T over 1000 pairs
    assert found == pytest.approx(expected, abs=3 / (temperature * math.sqrt(dim * 1000)))


def test_info_nce_does_not_depend_on_orders_or_lengths():
    q, k, queue = rows(0, 6, 5), rows(1, 6, 5), unit(rows(2, 9, 5))
    plain = losses.info_nce(q, k, queue, 0.2).numpy()
    order = np.random.default_rng(3).permutation(6)
    np.testing.assert_allclose(losses.info_nce(q[order], k[order], queue, 0.2), plain[order])
    np.testing.assert_allclose(losses.info_nce(q, k, queue[::-1], 0.2), plain, rtol=1e-6)
    np.testing.assert_allclose(losses.info_nce(9 * q, 0.1 * k, queue, 0.2), plain, rtol=1e-5)


def test_only_queries_get_a_gradient():
    q, k, queue = (tf.Variable(rows(seed, 4, 5)) for seed in range(3))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(losses.info_nce(q, k, queue, 0.2))
    to_q, to_k, to_queue = tape.gradient(loss, [q, k, queue])
    assert to_k is None and to_queue is None
    assert tf.reduce_max(tf.abs(to_q)).numpy() > 0.1
    np.testing.assert_allclose(tf.reduce_sum(to_q * q, axis=1), np.zeros(4), atol=1e-5)


def test_half_precision_is_raised_and_small_temperatures_stay_finite():
    q, k, queue = 300 * rows(0, 4, 64), 300 * rows(1, 4, 64), unit(rows(2, 8, 64))
    half = losses.info_nce(tf.cast(q, tf.float16), tf.cast(k, tf.float16), queue, 0.2)
    assert half.dtype == tf.float32
    np.testing.assert_allclose(half, losses.info_nce(q, k, queue, 0.2), rtol=2e-2)
    assert np.isfinite(losses.info_nce(q, k, queue, 1e-3)).all()


def slow_matches(query_map, key_map):
    found = np.zeros(query_map.shape[:2], int)
    for n in range(len(query_map)):
        for i, q in enumerate(unit(query_map[n])):
            found[n, i] = max(range(key_map.shape[1]), key=lambda j: q @ unit(key_map[n])[j])
    return found


def test_positions_match_as_in_a_slow_loop():
    one, two = rows(0, 3, 9, 4), rows(1, 3, 7, 4)
    found = losses.match_positions(one, two)
    assert found.dtype == tf.int32
    np.testing.assert_array_equal(found, slow_matches(one, two))


def test_a_map_matches_itself_whatever_the_lengths():
    one = rows(0, 2, 16, 8)
    scale = np.random.default_rng(1).uniform(0.1, 10, [2, 16, 1]).astype(np.float32)
    np.testing.assert_array_equal(losses.match_positions(one, scale * one), [range(16)] * 2)


def test_dense_info_nce_equals_a_slow_loop():
    q, k, queue = rows(0, 3, 4, 6), rows(1, 3, 4, 6), unit(rows(2, 10, 6))
    matches = np.random.default_rng(3).integers(0, 4, [3, 4])
    expected = [
        np.mean([slow_info_nce([q[n, i]], [k[n, matches[n, i]]], queue, 0.2) for i in range(4)])
        for n in range(3)
    ]
    np.testing.assert_allclose(
        losses.dense_info_nce(q, k, matches, queue, 0.2), expected, rtol=1e-5
    )


def test_moving_the_positions_of_both_maps_changes_nothing():
    maps, embeddings = (rows(0, 2, 9, 5), rows(1, 2, 9, 5)), (rows(2, 2, 9, 6), rows(3, 2, 9, 6))
    queue = unit(rows(4, 8, 6))

    def loss(order_q, order_k):
        matches = losses.match_positions(maps[0][:, order_q], maps[1][:, order_k])
        return losses.dense_info_nce(
            embeddings[0][:, order_q], embeddings[1][:, order_k], matches, queue, 0.2
        )

    random = np.random.default_rng(5)
    np.testing.assert_allclose(
        loss(random.permutation(9), random.permutation(9)), loss(range(9), range(9)), rtol=1e-5
    )


def test_a_map_of_one_position_is_an_image():
    q, k, queue = rows(0, 3, 1, 6), rows(1, 3, 1, 6), unit(rows(2, 10, 6))
    matches = losses.match_positions(q, k)
    np.testing.assert_allclose(
        losses.dense_info_nce(q, k, matches, queue, 0.2),
        losses.info_nce(q[:, 0], k[:, 0], queue, 0.2),
        rtol=1e-6,
    )


def nt_xent(one, two, temperature):
    """Both directions, as SimCLR takes them: [N] each."""
    candidates, rows_of_one = tf.concat([one, two], axis=0), tf.range(len(one))
    return [
        losses.nt_xent(a, b, candidates, own, temperature).numpy()
        for a, b, own in ((one, two, rows_of_one), (two, one, len(one) + rows_of_one))
    ]


def slow_nt_xent(one, two, temperature):
    both = [*unit(np.float64(one)), *unit(np.float64(two))]
    found = []
    for i, query in enumerate(both):
        terms = [
            math.exp(sum(a * b for a, b in zip(query, other)) / temperature) if k != i else 0.0
            for k, other in enumerate(both)
        ]
        found.append(-math.log(terms[(i + len(one)) % len(both)] / sum(terms)))
    return found[: len(one)], found[len(one) :]


@pytest.mark.parametrize("batch, dim", [(2, 3), (5, 8)])
@pytest.mark.parametrize("temperature", [0.1, 0.5])
def test_nt_xent_equals_a_slow_loop(batch, dim, temperature):
    one, two = rows(0, batch, dim), rows(1, batch, dim)
    expected = slow_nt_xent(one, two, temperature)
    np.testing.assert_allclose(nt_xent(one, two, temperature), expected, rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize(
    "one, two, temperature, expected",
    [
        # ln(1 + 2 e^-2)
        (np.eye(2), np.eye(2), 0.5, (0.2395448, 0.2395448)),
        (np.eye(2), np.eye(2)[::-1], 0.5, (2.2395448, 2.2395448)),
        # equal embeddings: ln(2 N - 1)
        (np.ones([4, 3]), np.ones([4, 3]), 0.1, (1.9459101, 1.9459101)),
        ([[1, 0], [0, 1], [1, 1]], [[1, 0.5], [-0.5, 1], [0.2, 1]], 0.1, (0.990689, 1.050348)),
        ([[1, 0], [0, 1], [1, 1]], [[1, 0.5], [-0.5, 1], [0.2, 1]], 0.5, (1.147780, 1.157972)),
    ],
)
def test_nt_xent_vectors(one, two, temperature, expected):
    found = nt_xent(np.float32(one), np.float32(two), temperature)
    np.testing.assert_allclose(np.mean(found, axis=1), expected, atol=1e-6)


def test_nt_xent_of_random_directions_is_near_chance():
    count, dim, temperature = 256, 128, 0.5
    found = np.mean(nt_xent(rows(0, count, dim), rows(1, count, dim), temperature))
    expected = math.log(2 * count - 1) + 1 / (2 * dim * temperature**2)
    assert found == pytest.approx(expected, abs=3 / (temperature * math.sqrt(dim * count)))


def test_nt_xent_moves_negatives_too():
    one, two = tf.Variable(rows(0, 3, 4)), tf.Variable(rows(1, 3, 4))
    with tf.GradientTape() as tape:
        candidates = tf.concat([one, two], axis=0)
        loss = losses.nt_xent(one[:1], two[:1], candidates, tf.constant([0]), 0.5)[0]
    for gradient in tape.gradient(loss, [one, two]):
        assert (np.abs(gradient).max(axis=1) > 1e-3).all()
