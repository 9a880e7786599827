"""How a step is executed changes nothing, or as little as its arithmetic says."""

import time

import numpy as np
import pytest
import tensorflow as tf

from ssl_tf.networks import resnet
from ssl_tf.networks.precision import policy_scope
from ssl_tf.training.execution import INPUT_SECONDS
from tests.methods.small_methods import make, values, views
from tests.two_blocks import TWO_BLOCKS

STEPS = 7


@pytest.fixture(scope="module", autouse=True)
def two_blocks():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(resnet.DEPTHS, 18, TWO_BLOCKS)
        yield


def train(precision="float32", *flags, **attributes):
    """Losses after each execution, the method, and the seconds without input."""
    with policy_scope(precision):
        method = make(
            "--method=byol", "--tau=0.9", "--base_learning_rate=1", *flags, precision=precision
        )
    for name, value in attributes.items():
        setattr(method, name, value)
    batches = [views(seed=step) for step in range(STEPS)]
    data = tf.data.Dataset.from_tensor_slices(
        {"views": tuple(np.stack(view) for view in zip(*batches))}
    )
    losses, waited = [], []

    class Keep(tf.keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            losses.append(logs["loss"])
            waited.append(logs[INPUT_SECONDS])

    executions = -(-STEPS // method.steps_at_once)
    method.last_step = STEPS
    method.fit(data, steps_per_epoch=executions, verbose=0, callbacks=[Keep()])
    return np.array(losses), method, np.array(waited)


def test_several_steps_at_once_are_the_same_steps():
    losses, method, waited = train()
    some, other, _ = train(steps_at_once=3)
    np.testing.assert_array_equal(some, losses[[2, 5, 6]])
    for a, b in zip(values(method.variables), values(other.variables), strict=True):
        np.testing.assert_array_equal(a, b)
    assert other.optimizer.iterations.numpy() == STEPS
    assert (waited > 0).all() and (waited < 1).all()


def test_a_run_of_more_than_2_to_the_31_steps_takes_all_steps_of_an_execution():
    method = make("--method=byol")
    method.steps_at_once, method.last_step = 3, 2**31 + 5
    batches = tf.data.Dataset.from_tensors({"views": tuple(map(tf.constant, views()))}).repeat()
    method.make_train_function()(iter(batches))
    assert method.optimizer.iterations.numpy() == 3


def test_a_compiled_step_is_the_same_step():
    # In double precision: XLA orders sums as it likes, and versions of it differ in float32.
    losses, method, _ = train("float64")
    compiled_losses, compiled, _ = train("float64", compile_step=True)
    np.testing.assert_allclose(compiled_losses, losses, rtol=1e-6)
    for a, b in zip(values(compiled.variables), values(method.variables), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


def test_the_seconds_without_input_are_those_of_the_input():
    method = make("--method=byol")

    def delayed(step):
        with tf.control_dependencies([tf.py_function(lambda: time.sleep(0.5), [], [])]):
            return {"views": tuple(tf.identity(view) for view in views())}

    waited = []

    class Keep(tf.keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            waited.append(logs[INPUT_SECONDS])

    batches = tf.data.Dataset.range(3).map(delayed)
    method.fit(batches, steps_per_epoch=3, verbose=0, callbacks=[Keep()])
    # The first batch is waited for in full; the others are made while a step runs.
    assert waited[0] >= 0.5
    assert all(seconds < 0.6 + waited[0] for seconds in waited)


# bfloat16 keeps 8 bits of a product, float16 11.
PRECISIONS = [("mixed_bfloat16", 0.02, 0.95), ("mixed_float16", 0.01, 0.997)]


@pytest.mark.parametrize("precision, bound, cosine", PRECISIONS)
def test_half_precision_takes_the_step_of_full_precision(precision, bound, cosine):
    full = make("--method=byol")
    with policy_scope(precision):
        half = make("--method=byol", precision=precision)
    gradients = []
    for method in (full, half):
        with tf.GradientTape() as tape:
            losses, _ = method.forward({"views": views()}, training=True)
            loss = tf.reduce_mean(losses["similarity_loss"])
        assert losses["similarity_loss"].dtype == tf.float32
        found = tape.gradient(loss, method.learned_variables)
        gradients.append(np.concatenate([gradient.numpy().ravel() for gradient in found]))
    one, two = gradients
    assert one @ two / np.linalg.norm(one) / np.linalg.norm(two) > cosine
    assert np.linalg.norm(two) == pytest.approx(np.linalg.norm(one), rel=5 * bound)
    weights = [*half.learned_variables, *half.networks["target_encoder"].variables]
    assert {v.dtype for v in weights} == {tf.float32}
    conv = half.encoder.get_layer("conv1")
    assert conv.compute_dtype == precision.removeprefix("mixed_")
    assert half.embed(views()[0])[0].dtype == tf.float32


@pytest.fixture(scope="module")
def full_losses(two_blocks):
    return train("float32", "--base_learning_rate=0.02")[0]


@pytest.mark.parametrize("precision, bound, cosine", PRECISIONS)
def test_the_loss_in_half_precision_follows_that_in_full(precision, bound, cosine, full_losses):
    """At a rate small enough for the curves to be comparable: steps of BYOL at large ones, on
    batches of eight, amplify any rounding."""
    half_losses, half, _ = train(precision, "--base_learning_rate=0.02")
    np.testing.assert_allclose(half_losses, full_losses, rtol=bound)
    scaled = isinstance(half.optimizer, tf.keras.mixed_precision.LossScaleOptimizer)
    assert scaled == (precision == "mixed_float16")
    batch = {"views": views()}
    assert ("loss_scale" in half.train_step(batch)) == scaled


def test_a_step_whose_gradients_overflow_is_left_out_and_counted():
    with policy_scope("mixed_float16"):
        method = make("--method=byol", "--tau=0.5")
    optimizer = tf.keras.mixed_precision.LossScaleOptimizer(
        tf.keras.optimizers.SGD(0.1), initial_scale=2.0**60
    )
    method.compile(optimizer=optimizer)
    before = values(method.learned_variables)
    logs = tf.function(method.train_step)({"views": views()})
    assert np.isfinite(logs["loss"])
    for old, variable in zip(before, method.learned_variables, strict=True):
        np.testing.assert_array_equal(old, variable)
    assert optimizer.iterations.numpy() == 1
    assert float(optimizer.loss_scale) == float(logs["loss_scale"]) == 2.0**59
