import itertools

import numpy as np
import pytest
import tensorflow as tf

from ssl_tf.errors import SettingsError
from ssl_tf.methods.base import move_towards
from ssl_tf.networks.normalization import normalize_images
from ssl_tf.training.schedules import ema_decay
from ssl_tf.training.strategy import mirrored_strategy
from tests.methods.small_methods import BATCH, make, object_batch, values, views


def cosine(a, b):
    a = a / np.linalg.norm(a, axis=1, keepdims=True)
    b = b / np.linalg.norm(b, axis=1, keepdims=True)
    return (a * b).sum(axis=1)


def loss_of(method, batch, training):
    losses, kept = method.forward({"views": batch}, training=training)
    assert list(losses) == ["similarity_loss"] and kept == {}
    return losses["similarity_loss"]


def slow_outputs(method, images):
    """Prediction and target of one view, network by network."""
    x = normalize_images(images)
    parts = method.networks
    online = parts["projector"](method.encoder(x, training=True), training=True)
    target = parts["target_projector"](parts["target_encoder"](x, training=True), training=True)
    return method.predictor(online, training=True).numpy(), target.numpy()


@pytest.mark.parametrize("name", ["byol", "ma_ssrl"])
@pytest.mark.parametrize("pairs", ["all", "0:1,2:3"])
def test_loss_of_four_views_is_the_mean_over_pairs(name, pairs):
    strategies = "simclr,simclr,autoaugment,autoaugment"
    method = make(
        f"--method={name}", f"--view_strategies={strategies}", f"--compared_pairs={pairs}"
    )
    batch = views(4)
    outputs = [slow_outputs(method, view) for view in batch]
    expected = []
    for a, b in (
        [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)] if pairs == "all" else [(0, 1), (2, 3)]
    ):
        one = cosine(outputs[a][0], outputs[b][1])
        two = cosine(outputs[b][0], outputs[a][1])
        # Equation 3 of MA-SSRL; twice 2 - 2 cos of BYOL
        expected.append(-(one + two) / 2 if name == "ma_ssrl" else 4 - 2 * one - 2 * two)
    np.testing.assert_allclose(
        loss_of(method, batch, training=True),
        np.mean(expected, axis=0),
        rtol=2e-4,
        atol=2e-5,
    )


def test_the_authors_loss_is_the_sum_over_all_ordered_pairs_of_eight_views():
    method = make("--method=byol", "--recipe=ma_ssrl_authors", "--pair_loss=sum")
    batch = views(8)
    outputs = [slow_outputs(method, view) for view in batch]
    ordered = list(itertools.permutations(range(8), 2))
    assert len(ordered) == 56 and len(method.pairs) == 28
    expected = sum(2 - 2 * cosine(outputs[a][0], outputs[b][1]) for a, b in ordered)
    np.testing.assert_allclose(loss_of(method, batch, training=True), expected, rtol=2e-4)
    # Independent directions: 2 a pair.
    assert method.chance_loss == 56 * 2
    assert make("--method=ma_ssrl", "--recipe=ma_ssrl_authors").chance_loss == 0


def test_views_outside_the_pairs_cost_nothing():
    method = make("--view_strategies=simclr,simclr,plain", "--compared_pairs=0:1")
    one, two, three = views(3)
    with_third = loss_of(method, (one, two, three), training=False)
    np.testing.assert_array_equal(
        with_third, loss_of(method, (one, two, three[::-1]), training=False)
    )


def test_one_step_moves_online_by_the_optimizer_and_target_by_the_ema():
    method = make("--tau=0.9")
    batch = {"views": views()}
    target_encoder = method.networks["target_encoder"]
    old_online, old_target = values(method.learned_variables), values(target_encoder.weights)
    trainable = values(target_encoder.trainable_variables)
    for old, new in zip(method.encoder.trainable_variables, target_encoder.trainable_variables):
        np.testing.assert_array_equal(old, new)  # the target starts as a copy
    logs = tf.function(method.train_step)(batch)
    # Schedules take the step just made: warm-up 0, so the full rate at step 0, and tau as given.
    assert float(logs["tau"]) == pytest.approx(0.9)
    assert any((a != b.numpy()).any() for a, b in zip(old_online, method.learned_variables))
    for before, online, target in zip(
        trainable, method.encoder.trainable_variables, target_encoder.trainable_variables
    ):
        np.testing.assert_allclose(
            target,
            np.float32(0.9) * before + (1 - np.float32(0.9)) * online.numpy(),
            rtol=1e-6,
            atol=1e-7,
        )
    # The statistics of the target are its own, from its batches, not averages of the online ones.
    moved = [
        not np.array_equal(a, b)
        for a, b, v in zip(old_target, values(target_encoder.weights), target_encoder.weights)
        if "moving_mean" in v.name
    ]
    assert moved and all(moved)


def test_target_decay_follows_the_schedule_over_steps():
    method = make("--tau=0.8")
    step = tf.function(method.train_step)
    taus = [float(step({"views": views(seed=i)})["tau"]) for i in range(4)]
    np.testing.assert_allclose(
        taus, [ema_decay(k, method.total_steps, 0.8) for k in range(4)], rtol=1e-6
    )


def test_the_optimizer_never_sees_the_target():
    method = make()
    target = {id(v) for network in method.target.networks.values() for v in network.variables}
    assert not target & {id(v) for v in method.learned_variables}
    assert all(v.trainable for v in method.networks["target_encoder"].trainable_variables)
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(loss_of(method, views(), training=True))
    variables = method.networks["target_encoder"].trainable_variables
    assert all(g is None for g in tape.gradient(loss, variables))


def test_the_target_normalizes_by_its_batch():
    # Guards against `trainable = False`, which would freeze the statistics.
    method = make()
    first = views()[0]
    other = np.concatenate([first[:1], views(seed=7)[0][1:]])
    one = slow_outputs(method, first)[1][0]
    two = slow_outputs(method, other)[1][0]
    assert np.abs(one - two).max() > 1e-3


def test_embedding_for_the_monitors_updates_nothing():
    method = make()
    before = values(method.variables)
    features, embedding = method.embed(views()[0])
    assert features.shape == (BATCH, 32) and embedding.shape == (BATCH, 8)
    for a, b in zip(before, values(method.variables)):
        np.testing.assert_array_equal(a, b)


def test_move_towards_under_a_strategy():
    strategy = mirrored_strategy(["CPU:0", "CPU:1"])
    with strategy.scope():
        target, online = tf.Variable([1.0, 2.0]), tf.Variable([3.0, 6.0])
    for _ in range(3):
        strategy.run(lambda: move_towards([target], [online], tf.constant(0.5)))
    # the gap shrinks by tau a step: tau^n
    np.testing.assert_allclose(target.numpy(), [3 - 2 * 0.125, 6 - 4 * 0.125])


def test_a_projector_for_each_kind_of_view_and_one_predictor():
    method = make("--crops=object_dilated", "--projection_heads=per_view", "--tau=0.9")
    parts, batch = method.networks, object_batch()
    for name in ("scene_projector", "target_projector"):  # heads start as copies
        for variable in parts[name].trainable_variables:
            variable.assign(variable[::-1])
    assert [name for name in parts if "predictor" in name] == ["predictor"]
    predictions, targets = [], []
    for view, name in zip(batch["views"], ("projector", "scene_projector")):
        x = normalize_images(view)
        online = parts[name](parts["encoder"](x, training=True), training=True)
        predictions.append(parts["predictor"](online, training=True).numpy())
        target = parts["target_encoder"](x, training=True)
        targets.append(parts[f"target_{name}"](target, training=True).numpy())
    one, two = cosine(predictions[0], targets[1]), cosine(predictions[1], targets[0])
    losses, _ = method.forward(batch, training=True)
    np.testing.assert_allclose(losses["similarity_loss"], -(one + two) / 2, rtol=2e-4, atol=2e-5)
    scene = parts["target_scene_projector"].trainable_variables
    before, online = values(scene), parts["scene_projector"].trainable_variables
    method.train_step(batch)
    for old, new, source in zip(before, scene, online):
        np.testing.assert_allclose(new, 0.9 * old + 0.1 * source.numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("heads", ["shared", "per_view"])
def test_the_monitors_see_each_view_through_the_head_that_learns_from_it(heads):
    method = make("--crops=object_dilated", f"--projection_heads={heads}")
    parts, images = method.networks, views()[0]
    for name in ("projector", "scene_projector"):
        for variable in parts[name].trainable_variables if name in parts else ():
            # Heads start as copies.
            variable.assign_add(tf.ones_like(variable) * (1 + ("scene" in name)) / 8)
    features = parts["encoder"](normalize_images(images), training=False)
    own = "scene_projector" if heads == "per_view" else "projector"
    for view, name in enumerate(["projector", own, "projector", own]):
        expected = parts[name](features, training=False)
        for number in (view, tf.constant(view)):
            found, embedding = method.embed(images, number)
            np.testing.assert_allclose(found, features, rtol=1e-6, atol=1e-6)
            np.testing.assert_allclose(embedding, expected, rtol=1e-5, atol=1e-5)
    zero, one = (method.embed(images, view)[1].numpy() for view in (0, 1))
    assert (np.abs(zero - one).max() > 0.1) == (heads == "per_view")


@pytest.mark.parametrize("name", ["byol", "ma_ssrl"])
def test_the_predictor_may_have_a_rate_of_its_own(name):
    """A step of SGD without momentum and decay moves it by ten times what it does at one rate."""
    flags = (f"--method={name}", "--optimizer=sgd", "--momentum=0", "--weight_decay=0")
    moved = {}
    for rate in (1, 10):
        method = make(*flags, f"--predictor_rate={rate}")
        networks = method.learned_networks
        before = {n: values(network.trainable_variables) for n, network in networks.items()}
        method.train_step({"views": views(2)})
        moved[rate] = {
            n: [new - old for new, old in zip(values(network.trainable_variables), before[n])]
            for n, network in networks.items()
        }
    assert [*moved[1]] == ["encoder", "projector", "predictor"]
    for network, steps in moved[1].items():
        factor = 10 if network == "predictor" else 1
        for one, other in zip(steps, moved[10][network]):
            np.testing.assert_allclose(other, factor * one, rtol=1e-3, atol=1e-6)


def test_adamw_has_one_rate():
    flags = ("--method=byol", "--optimizer=adamw", "--base_learning_rate=0.001")
    with pytest.raises(SettingsError, match="give --optimizer=lars or sgd, or --predictor_rate=1"):
        make(*flags, "--predictor_rate=10")
    make(*flags)
