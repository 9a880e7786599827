"""The step of a segmentation: on one device, on several, in parts."""

import numpy as np
import pytest
import tensorflow as tf

from ssl_tf.downstream.downstream_model import compile_model, freeze
from ssl_tf.networks.precision import policy_scope
from ssl_tf.segmentation.segmentation_heads import build_head
from ssl_tf.training.strategy import mirrored_strategy
from tests.segmentation.small_segmentation import batch, random_start, settings, task


def build(*flags, replicas=1, frozen_head=False):
    given = settings(*flags).training
    strategy = mirrored_strategy([f"CPU:{i}" for i in range(replicas)])
    with strategy.scope():
        # Synchronized on one device, too: in float64 Keras's own layer has another variance.
        encoder = random_start().build(True)
        for variable in encoder.variables:
            if "gamma" in variable.name:  # at 0, what lies below would have no gradient
                variable.assign(tf.ones_like(variable))
        freeze(encoder, given)
        model = task(*flags, train=_Labels()).build(encoder, True)
        for layer in model.head.layers:
            layer.trainable = not (frozen_head and layer.name.endswith("_bn"))
        compile_model(model, given)
    return model


class _Labels:
    num_classes, class_names = 11, ()


def train(*flags, steps=2, **given):
    """Losses of some steps and all variables after them."""
    model = build(*flags, **given)
    batches = [batch(seed=seed) for seed in range(steps)]
    stacked = {key: np.stack([b[key] for b in batches]) for key in batches[0]}
    data = tf.data.Dataset.from_tensor_slices(stacked)
    losses = []

    class Keep(tf.keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            losses.append(logs["loss"])

    model.fit(data, epochs=1, steps_per_epoch=steps, verbose=0, callbacks=[Keep()])
    variables = [*model.encoder.variables, *model.head.variables]
    return np.array(losses), [v.numpy() for v in variables]


@pytest.fixture
def double_precision():
    tf.keras.mixed_precision.set_global_policy("float64")
    yield
    tf.keras.mixed_precision.set_global_policy("float32")


@pytest.mark.parametrize("head, replicas", [("deeplab", 4), ("fcn", 2)])
def test_replicas_give_what_one_device_gives(head, replicas, double_precision):
    # Each image has another number of pixels that count: a mean over replicas would differ.
    losses, variables = train(f"--head={head}")
    other_losses, others = train(f"--head={head}", replicas=replicas)
    np.testing.assert_allclose(other_losses, losses, rtol=1e-10)
    for ours, theirs in zip(others, variables, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-10)


def test_parts_of_a_batch_give_what_the_whole_batch_gives(double_precision):
    # With frozen statistics, for those of a part are others than those of the batch.
    flags = ("--head=fcn", "--batch_norm=frozen")
    losses, variables = train(*flags, frozen_head=True)
    other_losses, others = train(*flags, "--accumulate=2", frozen_head=True)
    np.testing.assert_allclose(other_losses, losses, rtol=1e-10)
    for ours, theirs in zip(others, variables, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-10)


def test_the_loss_is_the_mean_over_the_pixels_that_count():
    model, given = build(), batch()
    scores = model(tf.constant(given["image"]), training=True).numpy()
    losses = []
    for n, y, x in np.argwhere(given["label_map"] != 255):
        row, label = scores[n, y, x].astype(np.float64), given["label_map"][n, y, x]
        losses.append(np.log(np.exp(row).sum()) - row[label])
    got = model.train_step({key: tf.constant(value) for key, value in given.items()})
    assert float(got["loss"]) == pytest.approx(np.mean(losses), rel=1e-5)


@pytest.mark.parametrize(
    "flags, frozen",
    [
        ((), lambda name: False),
        (("--frozen_stages=0",), lambda name: not name.startswith("layer")),
        (
            ("--frozen_stages=2",),
            lambda name: not name.startswith("layer") or name[5] in "12",
        ),
        (
            ("--batch_norm=frozen",),
            lambda name: "bn" in name or "downsample_1" in name,
        ),
    ],
)
def test_what_is_frozen_stays_with_its_statistics_and_all_else_learns(flags, frozen):
    model = build(*flags)
    before = {v.name: v.numpy() for v in model.encoder.variables}
    for seed in range(2):
        model.train_step({key: tf.constant(value) for key, value in batch(seed=seed).items()})
    for variable in model.encoder.variables:
        changed = (variable.numpy() != before[variable.name]).any()
        assert changed == (not frozen(variable.name)), variable.name


def test_the_head_moves_by_a_multiple_of_the_rate():
    def moved(rate):
        model = build(f"--head_rate={rate}", "--weight_decay=0")
        before = [v.numpy() for v in model.learned_variables]
        model.train_step({key: tf.constant(value) for key, value in batch().items()})
        moves = [v.numpy() - old for v, old in zip(model.learned_variables, before)]
        split = len(model.encoder.trainable_variables)
        return moves[:split], moves[split:]

    (encoder, head), (other_encoder, other_head) = moved(1), moved(4)
    for one, other in zip(encoder, other_encoder):
        np.testing.assert_allclose(other, one, rtol=1e-4, atol=1e-7)
    for one, other in zip(head, other_head):
        np.testing.assert_allclose(other, 4 * one, rtol=1e-3, atol=1e-6)


def test_scales_and_mirror_images_are_averaged():
    model = build()
    images = tf.constant(batch(2)["image"])
    plain = model.probabilities(images)
    np.testing.assert_allclose(tf.reduce_sum(plain, -1), np.ones((2, 32, 32)), rtol=1e-5)
    np.testing.assert_allclose(plain, tf.nn.softmax(model(images)), rtol=1e-5)
    mirrored = model.probabilities(images[:, :, ::-1])[:, :, ::-1]
    both = model.probabilities(images, flip=True)
    np.testing.assert_allclose(both, (plain + mirrored) / 2, rtol=1e-4, atol=1e-6)
    larger = tf.cast(tf.round(tf.image.resize(images, [64, 64])), tf.uint8)
    large = model.probabilities(larger)
    several = model.probabilities(images, scales=(1.0, 2.0))
    # Between pixels of the larger image, the probabilities are not exactly those of a resize.
    resized = tf.image.resize(large, [32, 32], antialias=True)
    np.testing.assert_allclose(several, (plain + resized) / 2, atol=0.02)


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_the_mean_of_an_image_is_a_mean_in_half_precision(precision):
    with policy_scope(precision):
        head = build_head("deeplab", 8, 3, 4, 8, synchronized=False, seed=0)
        pooled = tf.keras.Model(head.input, head.get_layer("pooled").output)
        maps = np.random.default_rng(0).uniform(0, 2, [1, 64, 128, 8]).astype(np.float32)
        found = pooled(tf.constant(maps)).numpy()
    np.testing.assert_allclose(found, maps.mean((1, 2), keepdims=True), rtol=5e-3)
