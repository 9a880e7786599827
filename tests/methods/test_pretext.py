import math

import numpy as np
import pytest
import tensorflow as tf

from ssl_tf.methods import pretext
from ssl_tf.methods.online_views import OnlineViews
from ssl_tf.methods.pretext import cells_covered, turn
from ssl_tf.networks.normalization import normalize_images
from ssl_tf.settings import PretrainSettings, flagfiles
from ssl_tf.training.strategy import mirrored_strategy
from tests.methods.small_methods import BATCH, SIZE, make, object_batch

BLOCKS = ((1, 1, 1, 1), False)  # enough to learn a rotation in 30 steps
TASKS = ("--crops=object_dilated", "--pretext=rotation,localization", "--localization_grid=3")


def test_quarter_turns_are_numpys():
    images = np.random.default_rng(0).integers(0, 256, [8, 5, 5, 3], np.uint8)
    quarters = np.int32([0, 1, 2, 3, 3, 2, 1, 0])
    expected = [np.rot90(image, k) for image, k in zip(images, quarters)]
    np.testing.assert_array_equal(tf.function(turn)(images, quarters), expected)


@pytest.mark.parametrize(
    "rectangle, flipped, expected",
    [
        ([0, 0, 1, 1], False, ["###", "###", "###"]),
        ([0, 0, 0.1, 0.1], False, ["#..", "...", "..."]),
        ([0, 0, 0.1, 0.1], True, ["..#", "...", "..."]),  # mirrored left to right alone
        ([0.7, 0.1, 0.9, 0.6], False, ["...", "...", "##."]),
        ([0.7, 0.1, 0.9, 0.6], True, ["...", "...", ".##"]),
        ([1 / 3, 1 / 3, 2 / 3, 2 / 3], False, ["...", ".#.", "..."]),  # touching is no overlap
        ([0.3, 0.3, 0.7, 0.7], False, ["###", "###", "###"]),
        ([0.5, 0.2, 0.5, 0.8], False, ["...", "...", "..."]),  # no area
    ],
)
def test_cells_of_hand_made_rectangles(rectangle, flipped, expected):
    found = cells_covered(tf.constant([rectangle], tf.float32), tf.constant([flipped]), 3)
    drawn = ["".join("#" if cell else "." for cell in row) for row in found[0].numpy()]
    assert drawn == expected


@pytest.mark.parametrize("cells", [1, 4, 7])
def test_cells_equal_a_slow_loop(cells):
    random = np.random.default_rng(cells)
    low = random.uniform(0, 0.6, [32, 2])
    rectangles = np.concatenate([low, low + random.uniform(0.02, 0.4, low.shape)], axis=1)
    flipped = random.random(32) < 0.5
    expected = np.zeros([32, cells, cells], bool)
    for n, (ymin, xmin, ymax, xmax) in enumerate(rectangles):
        if flipped[n]:
            xmin, xmax = 1 - xmax, 1 - xmin
        for i in range(cells):
            for j in range(cells):
                height = min(ymax, (i + 1) / cells) - max(ymin, i / cells)
                width = min(xmax, (j + 1) / cells) - max(xmin, j / cells)
                expected[n, i, j] = height > 0 and width > 0
    found = cells_covered(tf.constant(rectangles, tf.float32), tf.constant(flipped), cells)
    np.testing.assert_array_equal(found, expected)


def slow_losses(method, batch):
    """Both losses of a batch in training mode, network by network, without weights."""
    parts = method.networks

    def features(images):
        return parts["encoder"](normalize_images(images), training=True).numpy()

    turned = np.stack([np.rot90(x, k) for x, k in zip(batch["views"][0], batch["rotation"])])
    pair = np.concatenate([features(turned), features(batch["views"][1])], axis=1)
    logits = parts["rotation_head"](pair).numpy()
    rotation = [math.log(np.exp(row).sum()) - row[k] for row, k in zip(logits, batch["rotation"])]
    pair = np.concatenate([features(batch["views"][0]), features(batch["original"])], axis=1)
    localization = []
    for n, row in enumerate(parts["localization_head"](pair).numpy()):
        rectangle, flipped = batch["rectangles"][n : n + 1, 0], batch["original_flipped"][n : n + 1]
        labels = cells_covered(rectangle, flipped, 3).numpy().ravel()
        chances = 1 / (1 + np.exp(-row))
        localization.append(-np.log(np.where(labels, chances, 1 - chances)).mean())
    return rotation, localization


@pytest.mark.parametrize("name", ["byol", "ma_ssrl", "moco", "densecl"])
def test_the_total_of_any_method_is_its_own_loss_and_the_weighted_tasks(name):
    method = make(f"--method={name}", *TASKS, "--rotation_weight=0.5", "--localization_weight=2")
    plain = make(f"--method={name}", "--crops=object_dilated")
    batch = object_batch()
    own, _ = plain.forward({k: batch[k] for k in ("views", *plain.needs)}, training=True)
    found, _ = method.forward({k: batch[k] for k in ("views", *method.needs)}, training=True)
    for key, value in own.items():
        np.testing.assert_allclose(found.pop(key), value, rtol=1e-5, atol=1e-6)
    rotation, localization = slow_losses(method, batch)
    assert list(found) == ["rotation_loss", "localization_loss"]
    np.testing.assert_allclose(found["rotation_loss"], 0.5 * np.array(rotation), rtol=1e-4)
    np.testing.assert_allclose(found["localization_loss"], 2 * np.array(localization), rtol=1e-4)
    chance = plain.chance_loss + 0.5 * math.log(4) + 2 * math.log(2)
    assert method.chance_loss == pytest.approx(chance)
    # BYOL has the features of both views already; MoCo's query mixes the views.
    assert method.encoder_passes == (4 if name in ("byol", "ma_ssrl") else 5)


@pytest.mark.parametrize("name", pretext.TASKS)
def test_the_flags_tell_whether_a_task_looks_at_the_whole_image(name):
    flags = ["--dataset=scenes", "--method=byol", "--crops=object_dilated"]
    flags += ["--proposals=ground_truth", f"--pretext={name}"]
    settings = flagfiles.parse(flags, PretrainSettings)
    assert settings.with_original == ("original" in pretext.TASKS[name].needs)


def test_a_task_asks_for_its_own_drawings_and_moves_encoder_and_head():
    method = make("--method=byol", "--crops=object_dilated", "--pretext=rotation")
    assert method.needs == ("rotation",)
    assert "localization_head" not in method.networks
    batch = object_batch()
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(method.forward(batch, training=True)[0]["rotation_loss"])
    head = method.networks["rotation_head"].trainable_variables
    learned = {id(v) for v in method.learned_variables}
    assert {id(v) for v in head} <= learned
    for gradient in tape.gradient(loss, [*head, *method.encoder.trainable_variables[-2:]]):
        assert tf.reduce_max(tf.abs(gradient)).numpy() > 0


def test_rotation_can_be_learned_from_its_loss():
    method = make("--method=byol", "--crops=object_dilated", "--pretext=rotation")
    (task,) = method.tasks
    learned = task.head.trainable_variables + method.encoder.trainable_variables
    optimizer = tf.keras.optimizers.SGD(0.05, momentum=0.9)
    images = np.zeros([BATCH, SIZE, SIZE, 3], np.uint8)
    images[:, : SIZE // 2] = 255

    @tf.function
    def step(rotation):
        batch = {"views": (images, images), "rotation": rotation}
        with tf.GradientTape() as tape:
            online = OnlineViews(method.encoder, batch["views"], training=True)
            loss = tf.reduce_mean(task.loss(batch, online, training=True))
        optimizer.apply_gradients(zip(tape.gradient(loss, learned), learned))
        return loss

    found = [
        float(step(np.random.default_rng(i).integers(0, 4, BATCH, np.int32))) for i in range(30)
    ]
    assert found[0] == pytest.approx(math.log(4), abs=0.5)
    assert np.mean(found[-5:]) < 0.5 * math.log(4)


def test_replicas_label_their_own_share():
    def losses(replicas):
        strategy = mirrored_strategy([f"CPU:{i}" for i in range(replicas)])
        method = make("--method=byol", *TASKS, strategy=strategy)
        data = tf.data.Dataset.from_tensors(object_batch())
        (batch,) = strategy.experimental_distribute_dataset(data)
        run = tf.function(
            lambda batch: strategy.run(lambda b: method.forward(b, training=False)[0], (batch,))
        )
        return {
            name: np.concatenate(strategy.experimental_local_results(value))
            for name, value in run(batch).items()
        }

    one, two = losses(1), losses(2)
    assert list(one) == ["similarity_loss", "rotation_loss", "localization_loss"]
    for name, value in one.items():
        np.testing.assert_allclose(two[name], value, rtol=1e-4, atol=1e-5)
