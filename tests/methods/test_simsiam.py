import numpy as np
import pytest
import tensorflow as tf

from ssl_tf.errors import SettingsError
from ssl_tf.methods.losses import unit_rows
from ssl_tf.networks.normalization import normalize_images
from ssl_tf.pretraining.restoring import run_checkpoints
from tests.methods.small_methods import BATCH, make, values, views

SIMSIAM = ("--method=simsiam", "--projection=32", "--base_learning_rate=3.2")


def outputs(method, images):
    """Projections and predictions of a view, rows of length 1."""
    features = method.encoder(normalize_images(images), training=True)
    projected = method.networks["projector"](features, training=True)
    return unit_rows(projected), unit_rows(method.predictor(projected, training=True))


def test_loss_and_gradient_are_those_of_fixed_projections():
    method = make(*SIMSIAM)
    one, two = views()
    z1, z2 = (outputs(method, view)[0].numpy() for view in (one, two))
    with tf.GradientTape() as tape:
        p1, p2 = (outputs(method, view)[1] for view in (one, two))
        expected = -(tf.reduce_sum(p1 * z2, axis=1) + tf.reduce_sum(p2 * z1, axis=1)) / 2
        total = tf.reduce_mean(expected)
    gradients = tape.gradient(total, method.learned_variables)
    with tf.GradientTape() as tape:
        found, kept = method.forward({"views": (one, two)}, training=True)
        total = tf.reduce_mean(found["similarity_loss"])
    np.testing.assert_allclose(found["similarity_loss"], expected, rtol=1e-4, atol=1e-5)
    for ours, theirs in zip(tape.gradient(total, method.learned_variables), gradients):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-5)
    assert kept == {} and method.chance_loss == 0 and method.encoder_passes == 2
    assert set(method.networks) == {"encoder", "projector", "predictor"}


def test_the_predictors_rate_stays_and_survives_a_resume(tmp_path):
    """With momentum 0 a step is the rate times the gradient."""
    flags = (*SIMSIAM, "--momentum=0", "--warmup_epochs=5")
    method, resumed = make(*flags), make(*flags)
    peak = 3.2 * BATCH / 256
    run_checkpoints(tmp_path, method, keep=1).save(0)
    run_checkpoints(tmp_path, resumed, keep=1).resume()
    for each in (method, resumed):
        for step in (0, 50, 80):  # none, all of the warm-up, the end of the cosine
            each.optimizer.iterations.assign(step)
            before = values(each.learned_variables)
            ones = [tf.ones_like(v) for v in each.learned_variables]
            each.optimizer.apply_gradients(zip(ones, each.learned_variables))
            constant = {id(v) for v in each.predictor.trainable_variables}
            rate = {0: 0.0, 50: peak * 0.5 * (1 + np.cos(np.pi / 4)), 80: 0.0}[step]
            for old, variable in zip(before, each.learned_variables):
                moved = peak if id(variable) in constant else rate
                # weights decay by 1.5e-6 of themselves
                np.testing.assert_allclose(old - variable.numpy(), moved, atol=1e-5)


def test_adamw_cannot_keep_a_rate():
    with pytest.raises(SettingsError, match="give --optimizer=sgd or lars"):
        make("--method=simsiam", "--optimizer=adamw", "--base_learning_rate=0.001")
