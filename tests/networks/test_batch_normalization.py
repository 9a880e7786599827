"""Batch normalization against its formula in float64, and on channels that hardly vary."""

import numpy as np
import tensorflow as tf

from ssl_tf.networks.batch_normalization import batch_normalization
from ssl_tf.training.strategy import mirrored_strategy


def on_replicas(layer, x, replicas):
    """Outputs, and gradients of their weighted sum with respect to the input."""
    strategy = mirrored_strategy([f"CPU:{i}" for i in range(replicas)])
    with strategy.scope():
        made = layer()
        made.build(x.shape)
    shares = np.split(x, replicas)
    values = strategy.experimental_distribute_values_from_function(
        lambda context: tf.constant(shares[context.replica_id_in_sync_group])
    )

    def step(share):
        with tf.GradientTape() as tape:
            tape.watch(share)
            outputs = made(share, training=True)
            loss = tf.reduce_sum(outputs**3)
        return outputs, tape.gradient(loss, share)

    outputs, gradients = tf.function(lambda v: strategy.run(step, (v,)))(values)
    local = strategy.experimental_local_results
    return np.concatenate(local(outputs)), np.concatenate(local(gradients)), made.get_weights()


def test_formula_and_gradient_over_replicas():
    x = np.random.default_rng(0).normal(2, 3, [8, 5, 5, 4]).astype(np.float32)
    outputs, gradients, weights = on_replicas(lambda: batch_normalization("bn", True), x, 2)
    flat = x.reshape(-1, 4).astype(np.float64)
    mean, variance = flat.mean(0), flat.var(0)
    normalized = (flat - mean) / np.sqrt(variance + 1e-5)
    np.testing.assert_allclose(outputs.reshape(-1, 4), normalized, atol=1e-5)
    # dL/dx of sum(y^3), by the formula of Ioffe and Szegedy 2015, section 3
    upstream = 3 * normalized**2
    expected = (
        upstream - upstream.mean(0) - normalized * (upstream * normalized).mean(0)
    ) / np.sqrt(variance + 1e-5)
    np.testing.assert_allclose(gradients.reshape(-1, 4), expected, atol=1e-4)
    gamma, beta, moving_mean, moving_variance = weights
    np.testing.assert_allclose(moving_mean, 0.1 * mean, rtol=1e-5)
    np.testing.assert_allclose(moving_variance, 0.9 + 0.1 * flat.var(0, ddof=1), rtol=1e-5)


def test_channels_that_hardly_vary_stay_numbers():
    """E[x^2] - E[x]^2 is negative here: a mean of 1000 and a deviation of 0.01."""
    x = np.random.default_rng(0).normal(1000, 0.01, [64, 4]).astype(np.float32)
    outputs, gradients, _ = on_replicas(lambda: batch_normalization("bn", True, maps=False), x, 2)
    flat = x.astype(np.float64)
    expected = (flat - flat.mean(0)) / np.sqrt(flat.var(0) + 1e-5)
    np.testing.assert_allclose(outputs, expected, atol=2e-2)
    assert np.isfinite(gradients).all()


def test_half_precision_keeps_full_statistics():
    x = np.random.default_rng(0).normal(300, 1, [256, 4]).astype(np.float16)
    layer = batch_normalization("bn", True, maps=False)
    tf.keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        half = batch_normalization("bn", True, maps=False)
        outputs = half(x, training=True)
    finally:
        tf.keras.mixed_precision.set_global_policy("float32")
    assert outputs.dtype == tf.float16 and half.moving_mean.dtype == tf.float32
    expected = layer(x.astype(np.float32), training=True)
    np.testing.assert_allclose(outputs, expected, atol=2e-3)
    np.testing.assert_allclose(half.moving_mean, layer.moving_mean, rtol=1e-6)
