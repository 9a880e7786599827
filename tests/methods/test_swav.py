import json
import math
import shutil

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from ssl_tf import command, pretrain
from ssl_tf.errors import SettingsError
from ssl_tf.evaluation.metrics import embedding_std, rankme
from ssl_tf.methods import losses
from ssl_tf.methods.swav import SwAV
from ssl_tf.networks.normalization import normalize_images
from ssl_tf.pretraining.monitors import collapse_reason
from ssl_tf.pretraining.restoring import run_checkpoints
from ssl_tf.settings import PretrainSettings
from tests.methods.slow_sinkhorn import slow_codes
from tests.methods.small_methods import BATCH, IMAGES, SIZE, make, unit, values

FLAGS = (
    "--method=swav", "--temperature=0.1", "--prototypes=12", "--freeze_prototypes=0",
    "--sinkhorn_epsilon=0.1",
)  # fmt: skip
QUEUE = ("--feature_queue=16", "--feature_queue_start=0")
K = 12


def test_adamw_has_no_frozen_prototypes():
    flags = (*FLAGS, "--optimizer=adamw", "--base_learning_rate=0.001")
    with pytest.raises(SettingsError, match="give --freeze_prototypes=0, or --optimizer=lars"):
        make(*flags, "--freeze_prototypes=0.25")
    make(*flags)


def batch_of(seed=0, small=2):
    random = np.random.default_rng(seed)
    sides = [SIZE] * 2 + [SIZE // 2] * small
    return {"views": tuple(random.integers(0, 256, [BATCH, s, s, 3], np.uint8) for s in sides)}


def embedded(method, views):
    """Unit embeddings of all views, network by network: one pass a size, then one for all."""
    sizes = [views[:2], views[2:]] if views[2:] else [views]
    features = [
        method.networks["encoder"](normalize_images(np.concatenate(each)), training=True)
        for each in sizes
    ]
    projected = method.networks["projector"](np.concatenate(features), training=True).numpy()
    return np.split(unit(np.float64(projected)), len(views))


def slow_loss(z, prototypes, codes, temperature=0.1):
    """Mean over the two codes of the mean over the other views of -sum_k q_k log p_k."""
    expected = np.zeros(BATCH)
    for coded in range(2):
        for view in range(len(z)):
            if view != coded:
                for n in range(BATCH):
                    logits = [z[view][n] @ prototypes[:, k] / temperature for k in range(K)]
                    normalizer = math.log(sum(math.exp(s) for s in logits))
                    cross = -sum(q * (s - normalizer) for q, s in zip(codes[coded][n], logits))
                    expected[n] += cross / (len(z) - 1) / 2
    return expected


@pytest.mark.parametrize("small", [0, 3])
def test_the_loss_by_hand(small):
    method = make(*FLAGS)
    batch = batch_of(small=small)
    prototypes = unit(np.float64(method.kernel.numpy()), axis=0)
    method.kernel.assign(prototypes)
    z = embedded(method, batch["views"])
    codes = [slow_codes(view @ prototypes, 0.1, 3) for view in z[:2]]
    found, kept = method.forward(batch, training=True)
    assert list(found) == ["swapped_loss"] and kept == {}
    np.testing.assert_allclose(
        found["swapped_loss"], slow_loss(z, prototypes, codes), rtol=1e-3, atol=1e-3
    )
    assert method.chance_loss == pytest.approx(math.log(K)) and method.encoder_passes == 2


def test_the_cross_entropy_of_a_code():
    scores = tf.Variable(np.random.default_rng(0).normal(size=(4, 5)).astype(np.float32))
    codes = tf.Variable(tf.nn.softmax(tf.reverse(scores, [1])))
    with tf.GradientTape() as tape:
        loss = losses.code_cross_entropy(scores, codes, 0.5)
    p = np.exp(scores.numpy() / 0.5)
    p /= p.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(loss, -(codes.numpy() * np.log(p)).sum(axis=1), rtol=1e-5)
    to_scores, to_codes = tape.gradient(loss, [scores, codes])
    assert to_codes is None
    np.testing.assert_allclose(to_scores, (p - codes.numpy()) / 0.5, atol=1e-5)
    # Equal scores: ln K, whatever the code.
    for count, expected in ((3000, 8.006368), (512, 6.238325)):
        code = np.eye(count, dtype=np.float32)[:1]
        equal = losses.code_cross_entropy(tf.fill([1, count], 0.3), code, 0.1)
        np.testing.assert_allclose(equal, [expected], rtol=1e-6)


def test_the_gradient_is_that_of_constant_codes():
    """Nothing is learned through the codes, nor from the queue."""
    method = make(*FLAGS, *QUEUE)
    method.optimizer.iterations.assign(5)  # the queue is in use
    batch = batch_of(small=0)
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(method.forward(batch, training=True)[0]["swapped_loss"])
    found = tape.gradient(loss, method.learned_variables)
    views = method._embedded(batch["views"], True)
    codes = [method._codes(v, views[v] @ method.kernel).numpy() for v in range(2)]
    with tf.GradientTape() as tape:
        one, two = (v @ method.kernel for v in method._embedded(batch["views"], True))
        terms = [losses.code_cross_entropy(one, codes[1], 0.1)]
        terms.append(losses.code_cross_entropy(two, codes[0], 0.1))
        loss = tf.reduce_mean(tf.add_n(terms) / 2)
    expected = tape.gradient(loss, method.learned_variables)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)
    assert np.abs(found[-1]).max() > 1e-3  # the prototypes learn


def test_prototypes_have_length_one_and_stay_while_frozen():
    # 64 images in batches of 8: a quarter epoch is two steps.
    method = make(
        *FLAGS, "--freeze_prototypes=0.25", "--weight_decay=0.1", "--base_learning_rate=2"
    )
    step = tf.function(method.train_step)
    first = unit(method.kernel.numpy(), axis=0)
    encoder = values(method.encoder.trainable_variables)
    for index in range(4):
        seen = unit(method.kernel.numpy(), axis=0)  # what step `index` starts from
        if index <= 2:
            np.testing.assert_allclose(seen, first, atol=1e-6)
        else:
            assert np.abs(seen - first).max() > 1e-3
        step(batch_of(index))
    lengths = np.linalg.norm(method.kernel.numpy(), axis=0)
    assert np.abs(lengths - 1).max() < 0.3 and np.abs(lengths - 1).max() > 1e-6
    method.normalize_prototypes()
    np.testing.assert_allclose(np.linalg.norm(method.kernel.numpy(), axis=0), np.ones(K), rtol=1e-6)
    assert any(
        np.abs(old - new).max() > 1e-3
        for old, new in zip(encoder, values(method.encoder.trainable_variables))
    )


def test_the_queue_is_filled_in_order_and_used_once_it_is_full():
    # Filled from step 1 on, two steps of 8 fill it: step 3 is the first that uses it.
    method = make(*FLAGS, "--feature_queue=16", "--feature_queue_start=0.125")
    assert set(method.state) == {"queue_0", "queue_1"}
    queues = [method.state[f"queue_{view}"].numpy() for view in range(2)]
    assert not np.allclose(*queues)
    for index in range(5):
        batch = batch_of(index)
        prototypes = unit(np.float64(method.kernel.numpy()), axis=0)
        z = embedded(method, batch["views"])
        codes = []
        for view in range(2):
            rows = np.concatenate([queues[view], z[view]]) if index >= 3 else z[view]
            codes.append(slow_codes(rows @ prototypes, 0.1, 3)[-BATCH:])
        logs = method.train_step(batch)
        expected = slow_loss(z, prototypes, codes).mean()
        assert float(logs["loss"]) == pytest.approx(expected, rel=2e-3)
        assert float(logs["feature_queue_used"]) == (index >= 3)
        rows = slice(0, 8) if index % 2 == 0 else slice(8, 16)
        for view in range(2):
            queues[view][rows] = z[view]
            np.testing.assert_allclose(method.state[f"queue_{view}"], queues[view], atol=1e-4)


def test_the_queue_changes_the_codes():
    """What the test above compares is no accident of codes that do not depend on it."""
    method = make(*FLAGS, *QUEUE)
    scores = tf.constant(np.random.default_rng(0).uniform(-1, 1, [BATCH, K]).astype(np.float32))
    without = method._codes(0, scores).numpy()
    method.optimizer.iterations.assign(2)
    assert np.abs(method._codes(0, scores).numpy() - without).max() > 0.01


def test_a_run_resumes_with_its_queue_to_the_bit(tmp_path):
    method = make(*FLAGS, *QUEUE)
    for index in range(3):
        method.train_step(batch_of(index))
    run_checkpoints(tmp_path, method, keep=1).save(3)
    fresh = make(*FLAGS, *QUEUE)
    assert run_checkpoints(tmp_path, fresh, keep=1).resume() == 3
    for a, b in zip(values(method.state.values()), values(fresh.state.values()), strict=True):
        np.testing.assert_array_equal(a, b)
    batch = batch_of(3)
    assert float(fresh.train_step(batch)["loss"]) == float(method.train_step(batch)["loss"])


def test_a_run_with_small_views_goes_on_from_its_checkpoint_and_on_the_device(tmp_path):
    directory = tmp_path / "run"
    flags = [
        *FLAGS, "--feature_queue=8", "--feature_queue_start=0", "--dataset=scenes", "--scenes=32",
        "--scene_size=16", "--image_size=16", "--view_strategies=plain,plain", "--crop=byol",
        "--small_views=2", "--small_image_size=8", "--depth=18", "--width=0.0625", "--stem=small",
        "--projector_hidden=16", "--projection=8", "--batch_size=8", "--epochs=1", "--log_every=1",
        "--warmup_epochs=0", "--optimizer=sgd", "--checkpoint_every=0.5", "--monitor_bank=16",
        "--monitor_queries=8", "--augment_on=device", f"--run_dir={directory}",
    ]  # fmt: skip

    def outcome():
        lines = (directory / "metrics.jsonl").read_text().splitlines()
        logged = [json.loads(line) for line in lines if "swapped_loss" in line]
        reader = tf.train.load_checkpoint(str(directory / "checkpoints/step_00000004/state"))
        names = [n for n in reader.get_variable_to_shape_map() if "OBJECT_GRAPH" not in n]
        return logged, {name: reader.get_tensor(name) for name in names}

    command.run(pretrain.main, PretrainSettings, flags)
    logged, saved = outcome()
    assert [line["feature_queue_used"] for line in logged] == [0, 1, 1, 1]
    assert {line["chance_loss"] for line in logged} == {math.log(K)}
    assert sum("queue_" in name for name in saved) == 2
    with Image.open(directory / "views.png") as sheet:
        assert sheet.width == 5 * 160 + 6 * 8  # the image, two views and two small ones
    shutil.rmtree(directory / "checkpoints/step_00000004")
    command.run(pretrain.main, PretrainSettings, [*flags, "--resident=off"])
    again, restored = outcome()
    assert [line["loss"] for line in again] == [line["loss"] for line in logged]
    for name, value in saved.items():
        np.testing.assert_array_equal(restored[name], value, err_msg=name)


def test_accumulated_parts_have_codes_of_their_own():
    method = make(*FLAGS, "--accumulate=2", "--base_learning_rate=1e-6")
    batch = batch_of()
    halves = [{"views": tuple(v[i : i + 4] for v in batch["views"])} for i in (0, 4)]
    method.normalize_prototypes()
    expected = np.mean(
        [method.forward(half, training=True)[0]["swapped_loss"].numpy().mean() for half in halves]
    )
    logs = tf.function(method.train_step)(batch)
    assert float(logs["loss"]) == pytest.approx(expected, rel=1e-5)


def test_a_collapsed_network_is_stuck_at_chance_and_the_monitor_says_so():
    """The failure that SwAV's authors warn of: a loss of ln K, and one embedding for all images."""
    method = make(*FLAGS)
    kernel, bias = method.projector.trainable_variables[-2:]
    kernel.assign(tf.zeros_like(kernel))
    bias.assign(tf.range(8.0))
    found, _ = method.forward(batch_of(), training=True)
    # All codes are 1 / K; the prediction of equal codes can be no better than they.
    one, two = (method.embed(batch_of(seed)["views"][0])[1].numpy() for seed in (0, 1))
    z = np.concatenate([one, two])
    assert "standard deviation" in collapse_reason(embedding_std(z), rankme(z), *z.shape[::-1])
    assert tf.reduce_min(found["swapped_loss"]).numpy() >= math.log(K) - 1e-5
    assert "--sinkhorn_epsilon" in SwAV.against_collapse


@pytest.mark.parametrize(
    "flags, message",
    [
        (["--feature_queue=20"], "not a multiple of --batch_size=8.* the nearest is 16"),
        (["--feature_queue=72"], f"longer than an epoch of {IMAGES} images.* at most 64"),
        (["--view_strategies=simclr,simclr,plain"], "compares view 0 with view 1"),
        (["--pretext=rotation", "--crops=object_dilated"], "one projector and no task"),
        (["--batch_norm=shuffled"], "--method=swav has none"),
        (["--small_views=2"], "the uniform crop has no --small_area.* --crop=random_resized"),
        (["--small_views=2", "--crop=byol", "--crops=object_object"], "cropped in the scene"),
        (["--small_views=2", "--crop=byol"], "more than --image_size=16"),
        (
            ["--small_views=2", "--crop=byol", "--small_image_size=8", "--method=byol"],
            "--method=byol compares views of one size",
        ),
    ],
)
def test_what_cannot_work_is_one_line(flags, message):
    with pytest.raises(SettingsError, match=message):
        make("--method=swav", *flags)
