import math

import numpy as np
import pytest
import tensorflow as tf

from ssl_tf.errors import SettingsError
from ssl_tf.networks.normalization import normalize_images
from ssl_tf.pretraining.restoring import run_checkpoints
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

OBJECTS = ("--method=moco", "--crops=object_dilated", "--projection_heads=per_view")


def encoded(method, prefix, images, scene=None):
    """Unit embeddings, network by network; `scene` says whose head each example takes."""
    parts = method.networks
    x = parts[f"{prefix}encoder"](normalize_images(images), training=True)
    found = parts[f"{prefix}projector"](x, training=True).numpy()
    if scene is not None:
        other = parts[f"{prefix}scene_projector"](x, training=True).numpy()
        found = np.where(scene[:, None], other, found)
    return unit(found)


def slow_loss(q, k, queue, temperature=0.2):
    logits = np.concatenate([(q * k).sum(axis=1, keepdims=True), q @ queue.T], axis=1)
    logits /= temperature
    return np.log(np.exp(logits).sum(axis=1)) - logits[:, 0]


@pytest.fixture(scope="module")
def moco():
    return make("--method=moco", "--tau=0.9")


@pytest.fixture(scope="module")
def routed():
    method = make(*OBJECTS, "--tau=0.9")
    for branch in (method.online, method.target):
        heads = (branch.networks[name].get_weights() for name in ("projector", "scene_projector"))
        for one, two in zip(*heads):
            np.testing.assert_array_equal(one, two)  # they start as copies
    for seed, name in enumerate(("projector", "scene_projector", "target_scene_projector")):
        random = np.random.default_rng(seed)
        for variable in method.networks[name].variables:
            variable.assign(random.normal(size=variable.shape))
    return method


def drawn(batch, method):
    """What a recipe would return of the batch to this method."""
    return {name: batch[name] for name in ("views", *method.needs)}


def test_the_loss_by_hand(moco):
    one, two = views()
    losses, kept = moco.forward({"views": (one, two)}, training=True)
    q, k = encoded(moco, "", one), encoded(moco, "target_", two)
    np.testing.assert_allclose(
        losses["contrastive_loss"], slow_loss(q, k, moco.state["queue"].numpy()), rtol=1e-4
    )
    np.testing.assert_allclose(kept["global"][:, 0], k, atol=1e-5)
    assert moco.chance_loss == pytest.approx(math.log(17))
    assert moco.needs == () and moco.encoder_passes == 1


def test_a_swap_exchanges_query_and_key_and_the_heads_follow_the_view(routed):
    assert routed.needs == ("swapped",)
    batch = drawn(object_batch(), routed)
    swapped = batch["swapped"]
    assert 0 < swapped.sum() < BATCH
    mask = swapped[:, None, None, None]
    one, two = batch["views"]
    q = encoded(routed, "", np.where(mask, two, one), scene=swapped)
    k = encoded(routed, "target_", np.where(mask, one, two), scene=~swapped)
    losses, _ = routed.forward(batch, training=True)
    np.testing.assert_allclose(
        losses["contrastive_loss"], slow_loss(q, k, routed.state["queue"].numpy()), rtol=1e-4
    )


def test_a_step_compares_with_the_old_queue_then_enqueues_its_keys():
    method = make("--method=moco", "--tau=0.9")
    step = tf.function(method.train_step)
    for index in range(3):
        batch = {"views": views(seed=index)}
        queue = method.state["queue"].numpy()
        q, k = encoded(method, "", batch["views"][0]), encoded(method, "target_", batch["views"][1])
        expected = slow_loss(q, k, queue).mean()
        before = values(v for n in method.target.networks.values() for v in n.trainable_variables)
        logs = step(batch)
        assert float(logs["loss"]) == pytest.approx(expected, rel=1e-4)
        assert float(logs["queue_filled"]) == min(1.0, (index + 1) * BATCH / 16)
        rows = slice(0, 8) if index % 2 == 0 else slice(8, 16)
        queue[rows] = k
        np.testing.assert_allclose(method.state["queue"], queue, atol=1e-5)
        # The decay stays what it is, unlike BYOL's.
        for old, network in zip(
            before,
            zip(
                [v for n in method.target.networks.values() for v in n.trainable_variables],
                [v for n in method.online.networks.values() for v in n.trainable_variables],
            ),
        ):
            target, online = values(network)
            np.testing.assert_allclose(target, 0.9 * old + 0.1 * online, rtol=1e-4, atol=1e-6)


def test_no_gradient_reaches_the_key_network(moco):
    target = [v for n in moco.target.networks.values() for v in n.trainable_variables]
    assert target and not {id(v) for v in target} & {id(v) for v in moco.learned_variables}
    with tf.GradientTape() as tape:
        losses, _ = moco.forward({"views": views()}, training=True)
        loss = tf.reduce_mean(losses["contrastive_loss"])
    gradients = tape.gradient(loss, target + moco.learned_variables)
    assert all(g is None for g in gradients[: len(target)])
    assert all(g is not None for g in gradients[len(target) :])


def test_the_loss_follows_the_examples_through_a_permutation(moco):
    one, two = views()
    order = np.random.default_rng(0).permutation(BATCH)
    plain, _ = moco.forward({"views": (one, two)}, training=True)
    moved, _ = moco.forward({"views": (one[order], two[order])}, training=True)
    np.testing.assert_allclose(
        moved["contrastive_loss"], plain["contrastive_loss"].numpy()[order], rtol=1e-4
    )


def test_symmetric_takes_the_mean_and_queues_both_keys_once():
    method = make("--method=moco", "--symmetric")
    one, two = views()
    queue = method.state["queue"].numpy()
    terms, keys = [], []
    for query, key in ((one, two), (two, one)):
        k = encoded(method, "target_", key)
        terms.append(slow_loss(encoded(method, "", query), k, queue))
        keys.append(k)
    losses, kept = method.forward({"views": (one, two)}, training=True)
    np.testing.assert_allclose(losses["contrastive_loss"], np.mean(terms, axis=0), rtol=1e-4)
    method.after_step(tf.constant(0, tf.int64), kept)
    expected = np.stack(keys, axis=1).reshape(16, 8)
    np.testing.assert_allclose(method.state["queue"], expected, atol=1e-5)


def test_two_replicas_learn_what_one_learns_and_hold_its_queue():
    (losses, one), (again, two) = (
        replica_run(
            count, *OBJECTS, "--tau=0.9", "--base_learning_rate=0.5", make_batch=object_batch
        )
        for count in (1, 2)
    )
    np.testing.assert_allclose(losses, again, rtol=1e-5)
    np.testing.assert_allclose(one.state["queue"].numpy(), two.state["queue"].numpy(), atol=1e-5)
    for a, b in zip(values(one.variables), values(two.variables)):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-5)


def test_shuffled_statistics_are_those_of_the_replicas_of_the_shuffled_batch():
    kept, halves = shuffled_forward("--method=moco")
    found = kept["global"][:, 0]
    _, two = views()
    alone = make("--method=moco", synchronized=False)
    expected = np.zeros_like(found)
    for half in halves:
        expected[half] = encoded(alone, "target_", two[half])
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert np.abs(found - encoded(alone, "target_", two)).max() > 1e-2


def test_one_replica_shuffles_nothing():
    """Its permutation would change rounding alone, and XLA cannot compile it."""
    batch = {"views": views()}
    found = [
        make("--method=moco", *flags).forward(batch, training=True)[0]["contrastive_loss"].numpy()
        for flags in ([], ["--batch_norm=shuffled"])
    ]
    np.testing.assert_allclose(*found, rtol=1e-4)
    assert not make("--method=moco", "--batch_norm=shuffled").shuffles


def test_checkpoints_hold_queue_and_both_heads(tmp_path, routed):
    routed.train_step(drawn(object_batch(), routed))
    run_checkpoints(tmp_path, routed, keep=1).save(1)
    fresh = make(*OBJECTS, "--tau=0.9")
    saved = {name: values(network.variables) for name, network in routed.networks.items()}
    assert {"scene_projector", "target_scene_projector"} <= set(saved)
    queue = routed.state["queue"].numpy()
    assert not np.array_equal(fresh.state["queue"], queue)
    assert run_checkpoints(tmp_path, fresh, keep=1).resume() == 1
    np.testing.assert_array_equal(fresh.state["queue"], queue)
    for name, network in fresh.networks.items():
        for old, new in zip(saved[name], values(network.variables)):
            np.testing.assert_array_equal(old, new)
    batch = drawn(object_batch(1), routed)
    assert float(fresh.train_step(batch)["loss"]) == float(routed.train_step(batch)["loss"])


@pytest.mark.parametrize(
    "flags, message",
    [
        (["--queue=72"], "1.12 times the 64 images"),
        (["--queue=20"], "the nearest is 16"),
        (["--view_strategies=simclr,simclr,plain"], "compares view 0 with view 1"),
        (["--projection_heads=per_view"], "give --crops=object_dilated"),
        (["--pretext=rotation"], "needs an object and its surroundings"),
        (["--method=byol", "--batch_norm=shuffled"], "--method=byol has none"),
        (["--optimizer=lars", "--decay_rank_one"], "lars excludes biases"),
    ],
)
def test_what_cannot_work_is_one_line(flags, message):
    with pytest.raises(SettingsError, match=message):
        make("--method=moco", *flags)


def test_decay_of_biases_reaches_the_optimizer():
    def bias_after_a_step(*flags):
        method = make("--method=moco", "--weight_decay=0.1", *flags)
        bias = next(v for v in method.networks["projector"].trainable_variables if "bias" in v.name)
        bias.assign(tf.ones_like(bias))
        zeros = [tf.zeros_like(v) for v in method.learned_variables]
        method.optimizer.apply_gradients(zip(zeros, method.learned_variables))
        return bias.numpy(), float(method.optimizer.learning_rate)

    bias, rate = bias_after_a_step("--decay_rank_one")
    np.testing.assert_allclose(bias, np.full(16, 1 - 0.1 * rate), rtol=1e-6)
    assert rate > 0
    np.testing.assert_array_equal(bias_after_a_step()[0], np.ones(16))
