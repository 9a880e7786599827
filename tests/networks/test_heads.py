"""The heads against BYOL's published form."""

import numpy as np
import pytest
import tensorflow as tf

from ssl_tf.networks.heads import build_mlp


def test_byol_head_has_the_published_layers():
    head = build_mlp(2048)
    shapes = [tuple(v.shape) for v in head.trainable_variables]
    assert shapes == [(2048, 4096), (4096,), (4096,), (4096,), (4096, 256)]


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_forward_pass_by_hand(layers):
    rng = np.random.default_rng(0)
    head = build_mlp(12, hidden=10, output=6, layers=layers, synchronized=False)
    for variable in head.trainable_variables:
        if variable.shape.rank == 1:
            variable.assign(rng.normal(size=variable.shape))
    x = rng.normal(size=(16, 12)).astype(np.float32)
    expected = x.astype(np.float64)
    for index in range(1, layers):
        kernel, bias = head.get_layer(f"dense{index}").get_weights()
        gamma, beta = head.get_layer(f"bn{index}").get_weights()[:2]
        expected = expected @ kernel + bias
        expected = (expected - expected.mean(0)) / np.sqrt(expected.var(0) + 1e-5) * gamma + beta
        expected = np.maximum(expected, 0)
    (kernel,) = head.get_layer(f"dense{layers}").get_weights()
    np.testing.assert_allclose(head(x, training=True), expected @ kernel, atol=1e-5)


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


def test_no_layers_are_refused():
    with pytest.raises(ValueError):
        build_mlp(8, layers=0)
