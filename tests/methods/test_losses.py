"""Losses against closed forms, a slow loop and the invariances of the papers."""

import math

import numpy as np
import pytest
import tensorflow as tf

from ssl_tf.methods import losses

DIRECTION_LOSSES = [losses.byol_loss, losses.ma_ssrl_loss]


def rows(seed, shape=(6, 5)):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def slow_cosine(p, z):
    return [
        sum(a * b for a, b in zip(u, v)) / math.sqrt(sum(a * a for a in u) * sum(b * b for b in v))
        for u, v in zip(p.tolist(), z.tolist())
    ]


def test_byol_vectors():
    p = tf.constant([[3.0, 4], [1, 0], [0, 2]])
    z = tf.constant([[4.0, 3], [0, 5], [0, -1]])
    found = losses.byol_loss(p, z)
    np.testing.assert_allclose(found, [0.08, 2, 4], atol=1e-6)
    assert tf.reduce_mean(found).numpy() == pytest.approx(2.0266667, abs=1e-6)
    np.testing.assert_allclose(losses.ma_ssrl_loss(p, z), [-0.96, 0, 1], atol=1e-6)


@pytest.mark.parametrize("batch, dim", [(1, 2), (7, 3), (16, 256)])
def test_losses_equal_a_slow_loop(batch, dim):
    p, z = rows(0, (batch, dim)), rows(1, (batch, dim))
    cosine = np.array(slow_cosine(p, z))
    np.testing.assert_allclose(losses.cosine_similarity(p, z), cosine, atol=1e-6)
    np.testing.assert_allclose(tf.function(losses.byol_loss)(p, z), 2 - 2 * cosine, atol=2e-6)
    np.testing.assert_allclose(tf.function(losses.ma_ssrl_loss)(p, z), -cosine, atol=1e-6)


def test_byol_loss_is_the_squared_distance_of_unit_vectors():
    p, z = rows(0), rows(1)
    unit_p, unit_z = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (p, z))
    expected = ((unit_p - unit_z) ** 2).sum(axis=1)
    np.testing.assert_allclose(losses.byol_loss(p, z), expected, atol=2e-6)


def test_pairs_cross_predictions_with_the_other_views_target():
    p1, p2, z1, z2 = (rows(seed) for seed in range(4))
    byol = losses.byol_pair_loss(p1, p2, z1, z2)
    np.testing.assert_allclose(
        byol, 4 - 2 * np.array(slow_cosine(p1, z2)) - 2 * np.array(slow_cosine(p2, z1)), atol=2e-6
    )
    ma_ssrl = losses.ma_ssrl_pair_loss(p1, p2, z1, z2)
    assert ma_ssrl.shape == (6,)
    np.testing.assert_allclose(ma_ssrl, (byol - 4) / 4, atol=1e-6)


def test_chance_levels_are_those_of_independent_directions():
    p1, p2, z1, z2 = (rows(seed, (4000, 64)) for seed in range(4))
    byol = tf.reduce_mean(losses.byol_pair_loss(p1, p2, z1, z2))
    assert byol.numpy() == pytest.approx(losses.BYOL_CHANCE, abs=0.03)
    ma_ssrl = tf.reduce_mean(losses.ma_ssrl_pair_loss(p1, p2, z1, z2))
    assert ma_ssrl.numpy() == pytest.approx(losses.MA_SSRL_CHANCE, abs=0.01)


@pytest.mark.parametrize("loss", DIRECTION_LOSSES)
def test_invariances(loss):
    p, z = rows(0), rows(1)
    order = np.random.default_rng(2).permutation(6)
    np.testing.assert_allclose(loss(p[order], z[order]), loss(p, z).numpy()[order], atol=1e-6)
    np.testing.assert_allclose(loss(7 * p, 0.01 * z), loss(p, z), atol=2e-6)


@pytest.mark.parametrize("loss", DIRECTION_LOSSES)
def test_gradient_is_orthogonal_to_the_prediction_and_absent_from_the_target(loss):
    p, z = tf.Variable(rows(0)), tf.Variable(rows(1))
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(loss(p, z))
    to_p, to_z = tape.gradient(total, [p, z])
    assert to_z is None
    assert tf.reduce_max(tf.abs(to_p)).numpy() > 0.1
    np.testing.assert_allclose(tf.reduce_sum(to_p * p, axis=1), np.zeros(6), atol=1e-6)


def test_ma_ssrl_gradient_is_a_quarter_of_byols():
    others = [rows(seed) for seed in (1, 2, 3)]
    gradients = []
    for loss in (losses.byol_pair_loss, losses.ma_ssrl_pair_loss):
        p1 = tf.Variable(rows(0))
        with tf.GradientTape() as tape:
            total = tf.reduce_mean(loss(p1, *others))
        gradients.append(tape.gradient(total, p1).numpy())
    np.testing.assert_allclose(gradients[1], gradients[0] / 4, atol=1e-7)


def test_stop_gradient_halves_the_gradient_of_an_identity_predictor():
    a, b = tf.Variable(rows(0)), tf.Variable(rows(1))
    with tf.GradientTape(persistent=True) as tape:
        stopped = tf.reduce_sum(losses.byol_pair_loss(a, b, a, b))
        flowing = tf.reduce_sum(4 - 4 * losses.cosine_similarity(a, b))
    for variable in (a, b):
        np.testing.assert_allclose(
            2 * tape.gradient(stopped, variable), tape.gradient(flowing, variable), atol=1e-6
        )


@pytest.mark.parametrize("loss", DIRECTION_LOSSES)
def test_half_precision_is_raised_and_double_is_kept(loss):
    p, z = 300 * rows(0, (4, 64)), 300 * rows(1, (4, 64))  # squares overflow float16
    half = loss(tf.cast(p, tf.float16), tf.cast(z, tf.float16))
    assert half.dtype == tf.float32
    np.testing.assert_allclose(half, loss(p, z), atol=2e-3)
    assert loss(p.astype(np.float64), z.astype(np.float64)).dtype == tf.float64


def test_zero_vectors_have_cosine_zero_and_a_finite_gradient():
    p = tf.Variable(np.zeros((2, 3), np.float32))
    with tf.GradientTape() as tape:
        cosine = losses.cosine_similarity(p, rows(0, (2, 3)))
    np.testing.assert_array_equal(cosine, np.zeros(2))
    assert np.isfinite(tape.gradient(cosine, p)).all()
