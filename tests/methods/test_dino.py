import math

import numpy as np
import pytest
import tensorflow as tf

from ssl_tf.errors import SettingsError
from ssl_tf.methods.dino import teacher_probabilities
from ssl_tf.networks.normalization import normalize_images
from ssl_tf.pretraining.restoring import run_checkpoints
from tests.methods.small_methods import BATCH, SIZE, SMALL, make, replica_run, sized_views, values

K = 12
FLAGS = (
    "--method=dino", "--temperature=0.1", f"--prototypes={K}", "--freeze_prototypes=0",
    "--tau=0.9", "--center_momentum=0.8", "--teacher_temperature_epochs=0.5",
)  # fmt: skip
SIDES = SMALL["dino"].sides


def batch_of(seed=0, sides=SIDES):
    return {"views": sized_views(sides, seed)}


def scores_of(method, views, prefix=""):
    """Scores of the views, network by network; views of one size pass the encoder together."""
    parts = {name: method.networks[f"{prefix}{name}"] for name in ("encoder", "projector")}
    groups = [group for group in (views[:2], views[2:]) if group]
    features = [
        parts["encoder"](normalize_images(np.concatenate(group)), training=True) for group in groups
    ]
    projected = np.float64(parts["projector"](np.concatenate(features), training=True))
    np.testing.assert_allclose(np.linalg.norm(projected, axis=1), 1, rtol=1e-5)
    kernel = np.float64(method.networks[f"{prefix}prototypes"].get_weights()[0])
    return np.split(projected @ (kernel / np.linalg.norm(kernel, axis=0)), len(views))


def slow_loss(student, teacher, center, temperature):
    """Mean over each large view of the teacher and each other view of the student."""
    expected, pairs = np.zeros(BATCH), 0
    for taught in range(2):
        for view in range(len(student)):
            if view == taught:
                continue
            pairs += 1
            for n in range(BATCH):
                weights = [
                    math.exp((s - c) / temperature) for s, c in zip(teacher[taught][n], center)
                ]
                logits = [s / 0.1 for s in student[view][n]]
                normalizer = math.log(sum(math.exp(logit) for logit in logits))
                for weight, logit in zip(weights, logits):
                    expected[n] -= weight / sum(weights) * (logit - normalizer)
    return expected / pairs


@pytest.mark.parametrize("sides", [SIDES, SIDES[:2]])
@pytest.mark.parametrize("head", ["--head_batch_norm", "--nohead_batch_norm"])
def test_the_loss_by_hand(sides, head):
    method = make(*FLAGS, head)
    views = batch_of(sides=sides)["views"]
    center = np.random.default_rng(0).normal(0, 0.1, K)
    method.center.assign(center)
    method.optimizer.iterations.assign(2)
    student, teacher = scores_of(method, views), scores_of(method, views[:2], "target_")
    found, kept = method.forward({"views": views}, training=True)
    # Half an epoch of 8 steps is the warm-up: after 2 of 4 steps the temperature is halfway.
    expected = slow_loss(student, teacher, center, temperature=0.055)
    assert list(found) == ["distillation_loss"]
    np.testing.assert_allclose(found["distillation_loss"], expected, rtol=1e-3)
    np.testing.assert_allclose(kept["teacher_scores"], np.mean(teacher, axis=0), atol=1e-5)
    assert method.chance_loss == pytest.approx(math.log(K)) and method.encoder_passes == 2


def test_the_teachers_probabilities_by_hand():
    scores, center = np.array([[0.2, -0.1, 0.4]]), np.array([0.1, 0.0, 0.3])
    expected = np.exp((scores - center) / 0.05)
    found = teacher_probabilities(tf.constant(scores), tf.constant(center), 0.05)
    np.testing.assert_allclose(found, expected / expected.sum(), rtol=1e-7)
    # A common shift of scores and center changes nothing.
    np.testing.assert_allclose(
        teacher_probabilities(tf.constant(scores + 3), tf.constant(center + 3), 0.05), found
    )


def test_the_teachers_temperature_rises_to_its_last_value():
    method = make(*FLAGS)
    found = [float(method.teacher_temperature(tf.constant(step))) for step in (0, 1, 2, 4, 9)]
    np.testing.assert_allclose(found, [0.04, 0.0475, 0.055, 0.07, 0.07], rtol=1e-6)
    constant = make(*FLAGS, "--teacher_temperature_epochs=0")
    assert float(constant.teacher_temperature(tf.constant(0))) == pytest.approx(0.07)


def test_the_center_follows_the_mean_score_of_the_global_batch():
    """Two replicas, three steps: by hand from the scores of the teacher that each step met."""
    losses, method = replica_run(2, *FLAGS, make_batch=batch_of)
    slow, center, slow_losses = make(*FLAGS), np.zeros(K), []
    for step in range(3):
        batch = batch_of(step)
        center = 0.8 * center + 0.2 * np.mean(
            scores_of(slow, batch["views"][:2], "target_"), (0, 1)
        )
        slow_losses.append(float(slow.train_step(batch)["loss"]))
        np.testing.assert_allclose(slow.center, center, atol=1e-5)
    np.testing.assert_allclose(losses, slow_losses, rtol=1e-4)
    np.testing.assert_allclose(method.center, center, atol=1e-5)
    assert np.abs(center).max() > 0.01


def test_teacher_and_center_get_no_gradient_and_the_teacher_follows_the_student():
    method = make(*FLAGS)
    teacher = [v for n in method.target_networks.values() for v in n.trainable_variables]
    student = [v for n in method.learned_networks.values() for v in n.trainable_variables]
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(method.forward(batch_of(), training=True)[0]["distillation_loss"])
    gradients = tape.gradient(loss, [*teacher, *student])
    assert all(gradient is None for gradient in gradients[: len(teacher)])
    # The residual branches start at 0, so not every kernel of the encoder has a gradient yet.
    learned = {id(v): gradient for v, gradient in zip(student, gradients[len(teacher) :])}
    for name in ("projector", "prototypes"):
        for variable in method.networks[name].trainable_variables:
            assert np.abs(learned[id(variable)]).max() > 0
    before = values(teacher)
    logs = method.train_step(batch_of())
    assert float(logs["tau"]) == pytest.approx(0.9)
    for old, target, online in zip(before, teacher, student, strict=True):
        np.testing.assert_allclose(target, 0.9 * old + 0.1 * online.numpy(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("optimizer", ["sgd", "lars"])
def test_prototypes_stay_while_frozen(optimizer):
    """Of their decay alone LARS would make a step of full size."""
    # 64 images in batches of 8: a quarter epoch is two steps.
    method = make(
        *FLAGS, f"--optimizer={optimizer}", "--freeze_prototypes=0.25", "--weight_decay=0.1",
        "--base_learning_rate=2",
    )  # fmt: skip
    layer = method.networks["prototypes"].get_layer("prototypes")
    kernel = layer.kernel.numpy()
    first, encoder = layer.prototypes().numpy(), values(method.encoder.trainable_variables)
    np.testing.assert_allclose(np.linalg.norm(first, axis=0), np.ones(K), rtol=1e-5)
    for index in range(3):
        method.train_step(batch_of(index))
        if index < 2:
            np.testing.assert_array_equal(layer.kernel, kernel)
    assert np.abs(layer.prototypes() - first).max() > 1e-4
    assert any(
        np.abs(old - new).max() > 1e-3
        for old, new in zip(encoder, values(method.encoder.trainable_variables))
    )


def test_a_run_resumes_with_its_center_to_the_bit(tmp_path):
    method = make(*FLAGS)
    for index in range(3):
        method.train_step(batch_of(index))
    run_checkpoints(tmp_path, method, keep=1).save(3)
    fresh = make(*FLAGS)
    assert run_checkpoints(tmp_path, fresh, keep=1).resume() == 3
    assert np.abs(fresh.center).max() > 0
    np.testing.assert_array_equal(fresh.center, method.center)
    batch = batch_of(3)
    assert float(fresh.train_step(batch)["loss"]) == float(method.train_step(batch)["loss"])


def test_the_center_moves_once_a_step_whatever_the_parts():
    method = make(*FLAGS, "--accumulate=2")
    views = batch_of()["views"]
    halves = [[view[i : i + 4] for view in views[:2]] for i in (0, 4)]
    means = [np.mean(scores_of(method, half, "target_"), axis=(0, 1)) for half in halves]
    tf.function(method.train_step)({"views": tuple(map(tf.constant, views))})
    np.testing.assert_allclose(method.center, 0.2 * np.mean(means, axis=0), atol=1e-5)


@pytest.mark.parametrize(
    "flags, message",
    [
        (["--view_strategies=simclr,simclr,plain"], "compares view 0 with view 1"),
        (["--pretext=rotation", "--crops=object_dilated"], "one projector and no task"),
        (["--batch_norm=shuffled"], "--method=dino has none"),
        (
            ["--small_views=2", "--crop=byol", f"--small_image_size={SIZE}", "--method=simclr"],
            "give --method=swav or dino, or --small_views=0",
        ),
    ],
)
def test_what_cannot_work_is_one_line(flags, message):
    with pytest.raises(SettingsError, match=message):
        make(*FLAGS, *flags)
