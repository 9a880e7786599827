import numpy as np
import pytest
import tensorflow as tf

from ssl_tf.errors import SettingsError
from ssl_tf.methods import losses
from ssl_tf.networks.normalization import normalize_images
from ssl_tf.networks.resnet import SPATIAL_FEATURES
from tests.methods.small_methods import (
    BATCH,
    make,
    object_batch,
    replica_run,
    shuffled_forward,
    unit,
    values,
    views,
)

BLOCKS = ((1, 1, 1, 1), False)  # so that the last map of 16 pixels is 2 x 2


def slow_maps(method, prefix, images, window=1):
    """Backbone map and dense embeddings, [N, P, C] each, network by network."""
    encoder = method.networks[f"{prefix}encoder"]
    spatial = tf.keras.Model(encoder.input, encoder.get_layer(SPATIAL_FEATURES).output)
    features = spatial(normalize_images(images), training=True).numpy()
    n, side, _, channels = features.shape
    cells = side // window
    features = features.reshape(n, cells, window, cells, window, channels).mean(axis=(2, 4))
    dense = method.networks[f"{prefix}dense_projector"](features, training=True).numpy()
    return features.reshape(n, cells**2, channels), dense.reshape(n, cells**2, -1)


@pytest.mark.parametrize("grid, window", [(0, 1), (1, 2)])
def test_the_dense_loss_by_hand(grid, window):
    method = make("--method=densecl", "--dense_weight=0.3", f"--dense_grid={grid}")
    one, two = views()
    found, kept = method.forward({"views": (one, two)}, training=True)
    q_map, q = slow_maps(method, "", one, window)
    k_map, k = slow_maps(method, "target_", two, window)
    assert q.shape == (BATCH, (2 // window) ** 2, 8)  # the last map of 16 pixels is 2 x 2
    queue, expected = method.state["dense_queue"].numpy(), np.zeros(BATCH)
    for n in range(BATCH):
        for i in range(q.shape[1]):
            match = np.argmax([unit(q_map[n, i]) @ unit(key) for key in k_map[n]])
            logits = [unit(q[n, i]) @ key / 0.2 for key in (unit(k[n, match]), *queue)]
            expected[n] += np.log(np.sum(np.exp(logits))) - logits[0]
    expected = 0.3 * expected / q.shape[1]
    np.testing.assert_allclose(found["dense_loss"], expected, rtol=1e-3)
    np.testing.assert_allclose(kept["dense"][:, 0], unit(k.mean(axis=1)), atol=1e-4)


def test_without_a_dense_share_it_is_moco():
    batch = {"views": views()}
    dense = make("--method=densecl", "--dense_weight=0", "--weight_decay=0")
    plain = make("--method=moco", "--weight_decay=0")
    found, _ = dense.forward(batch, training=True)
    expected, _ = plain.forward(batch, training=True)
    np.testing.assert_array_equal(found["contrastive_loss"], expected["contrastive_loss"])
    np.testing.assert_array_equal(found["dense_loss"], np.zeros(BATCH))
    for method in (dense, plain):
        method.train_step(batch)
    for name, network in plain.networks.items():
        for a, b in zip(values(network.variables), values(dense.networks[name].variables)):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(plain.state["queue"], dense.state["queue"], atol=1e-6)


def test_equal_networks_and_views_match_every_position_with_itself():
    method = make("--method=densecl")
    one, _ = views()
    maps = [slow_maps(method, prefix, one)[0] for prefix in ("", "target_")]
    np.testing.assert_array_equal(losses.match_positions(*maps), [range(4)] * BATCH)


def test_shuffled_maps_are_those_of_the_replicas_of_the_shuffled_batch():
    kept, halves = shuffled_forward("--method=densecl")
    found = kept["dense"][:, 0]
    _, two = views()
    alone = make("--method=densecl", synchronized=False)
    expected = np.zeros_like(found)
    for half in halves:
        expected[half] = unit(slow_maps(alone, "target_", two[half])[1].mean(axis=1))
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_two_replicas_learn_what_one_learns_and_hold_both_queues():
    flags = (
        "--method=densecl", "--crops=object_dilated", "--projection_heads=per_view", "--tau=0.9",
        "--base_learning_rate=0.5",
    )  # fmt: skip
    (one_losses, one), (two_losses, two) = (
        replica_run(count, *flags, make_batch=object_batch) for count in (1, 2)
    )
    np.testing.assert_allclose(one_losses, two_losses, rtol=1e-5)
    assert list(one.state) == ["queue", "dense_queue"]
    for name in one.state:
        np.testing.assert_allclose(one.state[name].numpy(), two.state[name].numpy(), atol=1e-5)
    for a, b in zip(values(one.variables), values(two.variables)):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-5)


def test_a_map_of_one_position_is_refused():
    make("--method=densecl", "--image_size=9")
    with pytest.raises(SettingsError, match="--image_size=8: the last map of --stem=small is one"):
        make("--method=densecl", "--image_size=8")
    make("--method=densecl", "--stem=imagenet", "--image_size=33")
    with pytest.raises(SettingsError, match="--image_size=32: .* or --stem=small"):
        make("--method=densecl", "--stem=imagenet", "--image_size=32")


def test_a_grid_that_does_not_divide_the_map_is_refused():
    with pytest.raises(SettingsError, match="--dense_grid=3: does not divide the 2 positions"):
        make("--method=densecl", "--dense_grid=3")
