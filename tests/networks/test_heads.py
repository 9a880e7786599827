"""The heads against BYOL's published form."""

import math

import numpy as np
import pytest
import tensorflow as tf

from ssl_tf.networks.heads import (
    build_bottleneck,
    build_classifier,
    build_dense_head,
    build_mlp,
    build_normalized_mlp,
    build_plain_mlp,
    build_prototypes,
    build_unit_mlp,
    build_unit_prototypes,
)
from ssl_tf.networks.precision import policy_scope


def normalized(x, gamma=1.0, beta=0.0):
    return (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5) * gamma + beta


def test_byol_head_has_the_published_layers():
    head = build_mlp(2048)
    shapes = [tuple(v.shape) for v in head.trainable_variables]
    assert shapes == [(2048, 4096), (4096,), (4096,), (4096,), (4096, 256)]


def test_forward_pass_by_hand():
    rng = np.random.default_rng(0)
    head = build_mlp(12, hidden=10, output=6, synchronized=False)
    for variable in head.trainable_variables:
        if variable.shape.rank == 1:
            variable.assign(rng.normal(size=variable.shape))
    x = rng.normal(size=(16, 12)).astype(np.float32)
    kernel, bias = head.get_layer("dense1").get_weights()
    gamma, beta = head.get_layer("bn1").get_weights()[:2]
    hidden = np.maximum(normalized(x.astype(np.float64) @ kernel + bias, gamma, beta), 0)
    (kernel,) = head.get_layer("dense2").get_weights()
    np.testing.assert_allclose(head(x, training=True), hidden @ kernel, atol=1e-5)


def gelu(x):
    return x * (1 + np.vectorize(math.erf)(x / math.sqrt(2))) / 2


@pytest.mark.parametrize("name", ["mlp", "plain", "normalized", "bottleneck", "unit", "dense"])
def test_heads_under_a_float64_policy_round_nothing(name):
    """Against slow sums in float64, on inputs that float32 cannot hold."""
    build = {
        "mlp": lambda: build_mlp(12, hidden=10, output=6),
        "plain": lambda: build_plain_mlp(12, 10, 6),
        "normalized": lambda: build_normalized_mlp(12, 10, 6, 2, True, True),
        "bottleneck": lambda: build_bottleneck(12, 6, True),
        "unit": lambda: build_unit_mlp(12, 10, 6, False, True),
        "dense": lambda: build_dense_head(12, 10, 6),
    }[name]
    with policy_scope("float64"):
        head = build()
    x = 1 + 1e-9 * np.random.default_rng(0).normal(size=(16, 12))
    expected = x
    dense = [layer for layer in head.layers if layer.name.startswith(("dense", "conv"))]
    for index, layer in enumerate(dense):
        kernel, *bias = layer.get_weights()
        kernel = kernel.reshape(kernel.shape[-2:])
        rows = [[sum(row * column) for column in kernel.T] for row in expected]
        expected = np.array(rows) + (bias[0] if bias else 0.0)
        last = index == len(dense) - 1
        if name == "normalized" or (name in ("mlp", "bottleneck") and not last):
            centred = expected - expected.mean(0)
            expected = centred / np.sqrt((centred**2).mean(0) + 1e-5)
        if not last:
            expected = gelu(expected) if name == "unit" else np.maximum(expected, 0)
    if name == "unit":
        expected /= np.sqrt((expected**2).sum(1, keepdims=True))
    inputs = x.reshape(4, 2, 2, 12) if name == "dense" else x
    made = head(inputs, training=True)
    assert made.dtype == tf.float64
    made = made.numpy().reshape(16, -1)
    # What the inputs differ by is far below float32: rounded, all rows would be the same.
    assert np.ptp(expected, axis=0).min() > 0
    np.testing.assert_allclose(
        made - made[0], expected - expected[0], atol=1e-4 * np.ptp(expected, axis=0).max()
    )
    np.testing.assert_allclose(made, expected, atol=1e-10)


def test_swav_projects_with_a_bias_and_compares_with_the_columns_of_a_kernel():
    head = build_mlp(12, hidden=10, output=6, output_bias=True)
    assert [tuple(v.shape) for v in head.trainable_variables[-2:]] == [(10, 6), (6,)]
    prototypes = build_prototypes(6, 40, seed=1)
    (kernel,) = prototypes.get_weights()
    x = np.random.default_rng(0).normal(size=(5, 6)).astype(np.float32)
    np.testing.assert_allclose(prototypes(x), x @ kernel, atol=1e-6)
    assert kernel.shape == (6, 40) and np.abs(kernel).max() <= 1 / np.sqrt(6)
    # uniform up to 1 / sqrt(6): standard deviation 1 / sqrt(18)
    assert abs(kernel.std() - 1 / np.sqrt(18)) < 0.03


def test_weights_depend_on_seed_and_name():
    def kernels(**options):
        head = build_mlp(8, hidden=8, output=8, **options)
        weights = [v.numpy().ravel() for v in head.trainable_variables if v.shape.rank > 1]
        return np.concatenate(weights)

    base = kernels(seed=1, name="projector")
    tf.random.set_seed(5)
    np.testing.assert_array_equal(kernels(seed=1, name="projector"), base)
    assert not np.allclose(kernels(seed=1, name="predictor"), base)
    assert not np.allclose(kernels(seed=2, name="projector"), base)
    assert not np.allclose(base[:64], base[64:])


def test_initial_scale_is_that_of_the_fan_in():
    head = build_mlp(1024, hidden=512, output=64)
    first, last = (head.get_layer(f"dense{i}").get_weights()[0] for i in (1, 2))
    assert first.std() == pytest.approx(1024**-0.5, rel=0.01)
    assert last.std() == pytest.approx(512**-0.5, rel=0.01)
    np.testing.assert_array_equal(head.get_layer("dense1").get_weights()[1], np.zeros(512))


def test_mocos_head_has_the_published_layers():
    head = build_plain_mlp(2048, 2048, 128)
    shapes = [tuple(v.shape) for v in head.variables]
    assert shapes == [(2048, 2048), (2048,), (2048, 128), (128,)]
    # torch's default: uniform up to 1 / sqrt(fan-in)
    kernel = head.get_layer("dense1").get_weights()[0]
    assert np.abs(kernel).max() == pytest.approx(2048**-0.5, rel=1e-3)
    assert kernel.std() == pytest.approx(2048**-0.5 / 3**0.5, rel=0.01)


def test_mocos_head_by_hand():
    rng = np.random.default_rng(0)
    head = build_plain_mlp(6, 5, 4, seed=1)
    weights = [rng.normal(size=v.shape) for v in head.variables]
    head.set_weights(weights)
    x = rng.normal(size=(3, 6))
    expected = np.maximum(x @ weights[0] + weights[1], 0) @ weights[2] + weights[3]
    np.testing.assert_allclose(head(x), expected, atol=1e-5)
    assert not np.allclose(*(build_plain_mlp(6, 5, 4, name=n).get_weights()[0] for n in "ab"))


def test_a_dense_head_is_an_mlp_at_every_position():
    plain, dense = build_plain_mlp(6, 5, 4, seed=1), build_dense_head(6, 5, 4, seed=2)
    plain.set_weights([w.reshape(w.shape[-2:]) if w.ndim > 1 else w for w in dense.get_weights()])
    x = np.random.default_rng(0).normal(size=(2, 3, 3, 6)).astype(np.float32)
    expected = plain(x.reshape(-1, 6)).numpy().reshape(2, 3, 3, 4)
    np.testing.assert_allclose(dense(x), expected, atol=1e-5)
    kernel = build_dense_head(1024, 64, 4).get_layer("conv1").get_weights()[0]
    assert np.abs(kernel).max() == pytest.approx(1 / 32, rel=1e-3)


@pytest.mark.parametrize("last_scale", [True, False])
@pytest.mark.parametrize("layers", [2, 3])
def test_simclrs_and_simsiams_projector_by_hand(layers, last_scale):
    rng = np.random.default_rng(0)
    head = build_normalized_mlp(12, 10, 6, layers, last_scale, synchronized=False)
    # Per layer kernel, scale and offset; the last has no offset, SimSiam's no scale either.
    assert len(head.trainable_variables) == 3 * layers - (1 if last_scale else 2)
    for variable in head.trainable_variables:
        variable.assign(rng.normal(size=variable.shape))
    x = rng.normal(size=(16, 12))
    parameters = [v.numpy() for v in head.trainable_variables]
    expected = x
    for _ in range(layers - 1):
        kernel, gamma, beta = parameters[:3]
        parameters = parameters[3:]
        expected = np.maximum(normalized(expected @ kernel, gamma, beta), 0)
    expected = normalized(expected @ parameters[0], *parameters[1:])
    np.testing.assert_allclose(head(np.float32(x), training=True), expected, atol=1e-4)


def test_simsiams_predictor_by_hand():
    rng = np.random.default_rng(0)
    head = build_bottleneck(8, 2, synchronized=False)
    shapes = [tuple(v.shape) for v in head.trainable_variables]
    assert shapes == [(8, 2), (2,), (2,), (2, 8), (8,)]
    for variable in head.trainable_variables:
        variable.assign(rng.normal(size=variable.shape))
    one, gamma, beta, two, bias = (v.numpy() for v in head.trainable_variables)
    x = rng.normal(size=(16, 8))
    expected = np.maximum(normalized(x @ one, gamma, beta), 0) @ two + bias
    np.testing.assert_allclose(head(np.float32(x), training=True), expected, atol=1e-4)


def test_a_classifier_starts_near_zero():
    kernel, bias = build_classifier(512, 100).get_weights()
    assert kernel.shape == (512, 100) and kernel.std() == pytest.approx(0.01, rel=0.02)
    np.testing.assert_array_equal(bias, np.zeros(100))


@pytest.mark.parametrize("batch_norm", [False, True])
def test_dinos_projector_by_hand(batch_norm):
    rng = np.random.default_rng(0)
    head = build_unit_mlp(12, 10, 6, normalized=batch_norm, synchronized=False)
    assert len(head.trainable_variables) == 3 * 2 + (2 * 2 if batch_norm else 0)
    for variable in head.trainable_variables:
        variable.assign(rng.normal(size=variable.shape))
    x = rng.normal(size=(16, 12))
    parameters = [v.numpy() for v in head.trainable_variables]
    expected = x
    for _ in range(2):
        kernel, bias, *parameters = parameters
        expected = expected @ kernel + bias
        if batch_norm:
            gamma, beta, *parameters = parameters
            expected = normalized(expected, gamma, beta)
        expected = gelu(expected)
    expected = expected @ parameters[0] + parameters[1]
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(head(np.float32(x), training=True), expected, atol=1e-5)


def test_dinos_projector_starts_from_small_normal_kernels():
    head = build_unit_mlp(512, 512, 256, normalized=False, synchronized=False)
    kernel, bias = head.get_layer("dense1").get_weights()
    assert kernel.std() == pytest.approx(0.02, rel=0.01) and not bias.any()
    assert np.abs(kernel).max() > 0.06  # normal, not cut off at two standard deviations


def test_unit_prototypes_compare_by_direction_alone():
    head = build_unit_prototypes(6, 40, seed=1)
    (kernel,) = head.get_weights()
    x = np.random.default_rng(0).normal(size=(5, 6)).astype(np.float32)
    expected = x @ (kernel / np.linalg.norm(kernel, axis=0))
    np.testing.assert_allclose(head(x), expected, atol=1e-6)
    head.set_weights([kernel * np.linspace(0.1, 9, 40, dtype=np.float32)])
    np.testing.assert_allclose(head(x), expected, atol=1e-6)
    # The gradient is that of weight normalization: at right angles to each prototype.
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(head(x) ** 3)
    gradient = tape.gradient(loss, head.trainable_variables[0]).numpy()
    assert np.abs(gradient).max() > 0.1
    np.testing.assert_allclose((gradient * head.get_weights()[0]).sum(axis=0), 0, atol=1e-4)
    again = tf.keras.models.clone_model(head)
    assert again.layers[-1].count == 40 and again.layers[-1].dtype == "float32"
