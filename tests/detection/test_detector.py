"""The network of detectors: whose layers normalize, what learns, replicas, parts of a batch."""

import contextlib
import sys

import numpy as np
import pytest
import tensorflow as tf

from ssl_tf.data.order import Steps
from ssl_tf.detection import head_normalization
from ssl_tf.detection.head_building import build_head
from ssl_tf.detection.model_garden import parts
from ssl_tf.downstream.downstream_model import compile_model, freeze
from ssl_tf.networks import resnet
from ssl_tf.networks.batch_normalization import BatchNormalization
from ssl_tf.networks.precision import policy_scope
from ssl_tf.training.strategy import mirrored_strategy
from tests.detection.small_detection import MASKS, OF_REGIONS, random_start, settings, task, values

DENSE = ("--detector=retinanet",)


@pytest.fixture(autouse=True)
def two_blocks(monkeypatch):
    monkeypatch.setitem(resnet.DEPTHS, 18, ((1, 0, 0, 1), False))


def build(*flags, synchronized=False, strategy=None):
    given = settings(*flags)
    with (strategy or tf.distribute.get_strategy()).scope():
        encoder = random_start(*flags).build(synchronized)
        freeze(encoder, given.training)
        model = task(*flags).build(encoder, synchronized)
        compile_model(model, given.training)
    return model


def normalizations(layer):
    kinds = (tf.keras.layers.BatchNormalization, BatchNormalization)
    return [x for x in layer._flatten_layers() if isinstance(x, kinds)]


def new_head(*flags, kind):
    given = settings(*flags)
    return build_head(random_start(*flags).build(False), given.network, 10, 0, kind)


@pytest.mark.parametrize("flags, count", [(MASKS, 5 + 5 + 2 + 2), (DENSE, 5 + 2 * 4 * 5)])
def test_no_layer_of_others_normalizes(flags, count, monkeypatch):
    """Of the pyramid, the proposals, the box head and the mask head; or of RetinaNet's towers."""
    keras = tf.keras.layers.BatchNormalization
    for kind, synchronized in (("replica", False), ("synchronized", True)):
        found = normalizations(new_head(*flags, kind=kind))
        assert [type(layer) for layer in found] == [BatchNormalization] * count
        assert {layer._synchronized for layer in found} == {synchronized}
    assert not normalizations(new_head(*flags, kind="frozen"))
    assert tf.keras.layers.BatchNormalization is keras
    # Left alone, Model Garden makes as many.
    monkeypatch.setattr(
        "ssl_tf.detection.head_building.normalized_by", lambda kind: contextlib.nullcontext()
    )
    assert len(normalizations(new_head(*flags, kind="replica"))) == count


def test_keras_gets_its_layer_back_after_an_error():
    before = tf.keras.layers.BatchNormalization
    with pytest.raises(RuntimeError), head_normalization.normalized_by("replica"):
        assert tf.keras.layers.BatchNormalization is not before
        raise RuntimeError
    assert tf.keras.layers.BatchNormalization is before


def test_new_weights_are_a_function_of_the_seed():
    encoder, given = random_start(*MASKS).build(False), settings(*MASKS)
    one, same, other = (
        build_head(encoder, given.network, 10, seed, "replica") for seed in (1, 1, 2)
    )
    for a, b, c in zip(*(values(head.variables) for head in (one, same, other)), strict=True):
        np.testing.assert_array_equal(a, b)
        assert (a != c).any() == (a.ndim > 1)
    kernels = [v.numpy() for v in one.variables if v.name.startswith("lateral")]
    assert all(0 < np.abs(kernel).max() < 2 for kernel in kernels if kernel.ndim > 1)


@pytest.mark.parametrize("flags, levels", [(MASKS, range(2, 7)), (DENSE, range(3, 8))])
def test_anchors_stand_at_the_centres_of_cells(flags, levels):
    head = new_head(*flags, kind="replica")
    first = 0
    for level in levels:
        stride = 2**level
        side = -(-64 // stride)
        count = side * side * head.anchors_a_location
        boxes = head.anchors[first : first + count].reshape(side, side, -1, 4)
        centres = (boxes[..., :2] + boxes[..., 2:]) / 2
        grid = (np.arange(side) + 0.5) * 64 / side
        np.testing.assert_allclose(centres[..., 0], np.tile(grid[:, None, None], (1, side, 1)) +
                                   np.zeros(boxes.shape[2]), atol=1e-4)  # fmt: skip
        np.testing.assert_allclose(centres[0, :, 0, 1], grid, atol=1e-4)
        sides = boxes[..., 2:] - boxes[..., :2]
        areas = np.sqrt(sides.prod(-1))[0, 0]
        octaves = np.repeat(2 ** (np.arange(head.scales) / head.scales), 3)
        np.testing.assert_allclose(areas, 4 * 64 / side * octaves, rtol=1e-5)
        np.testing.assert_allclose(sides[0, 0, :3, 1] / sides[0, 0, :3, 0], [0.5, 1, 2], rtol=1e-5)
        first += count
    assert first == len(head.anchors)


def test_what_lies_beside_an_image_on_its_canvas_is_not_seen():
    model = build(*OF_REGIONS)
    random = np.random.default_rng(0)
    image = random.integers(0, 256, (1, 64, 64, 3), dtype=np.uint8)
    other = image.copy()
    other[:, 40:] = 255
    shapes = tf.constant([[40.0, 64.0]])
    one, same = (model.pyramid(x, shapes, training=False)["2"] for x in (image, other))
    np.testing.assert_array_equal(one, same)
    whole = model.pyramid(other, tf.constant([[64.0, 64.0]]), training=False)["2"]
    assert np.abs(whole - one).max() > 1e-3


@pytest.mark.parametrize("batch_norm, stages", [("frozen", 1), ("replica", 0)])
def test_what_is_frozen_stays(batch_norm, stages):
    flags = (*MASKS, f"--batch_norm={batch_norm}", f"--frozen_stages={stages}")
    model = build(*flags)
    before = {v.ref(): v.numpy() for v in model.encoder.variables}
    made = next(iter(task(*flags).batches(steps())))
    tf.function(model.train_step)(made)
    for variable in model.encoder.variables:
        stage = int(variable.name[5]) if variable.name.startswith("layer") else 0
        is_norm = variable.name.split("/")[1].split(":")[0] not in ("kernel", "bias")
        stays = stage <= stages or (batch_norm == "frozen" and is_norm)
        moved = (variable.numpy() != before[variable.ref()]).any()
        # The last gamma of a block starts at zero, so that nothing before it has a gradient yet.
        assert not (stays and moved), variable.name
        if not stays and is_norm and "moving" in variable.name:
            assert moved, variable.name
    assert len(model.optimizer.variables) >= len(model.learned_variables)


def steps(size=4, stop=2):
    return Steps(0, size, 0, stop)


@pytest.fixture
def double_precision():
    tf.keras.mixed_precision.set_global_policy("float64")
    tf.keras.backend.set_floatx("float64")
    yield
    tf.keras.backend.set_floatx("float32")
    tf.keras.mixed_precision.set_global_policy("float32")


def trained(replicas, *flags):
    """Losses of two steps and all variables behind them."""
    strategy = mirrored_strategy([f"CPU:{i}" for i in range(replicas)])
    model = build(*flags, synchronized=True, strategy=strategy)
    data = strategy.distribute_datasets_from_function(
        lambda context: task(*flags).batches(steps()).rebatch(4 // replicas, drop_remainder=True)
    )
    logs = []

    class Keep(tf.keras.callbacks.Callback):
        def on_train_batch_end(self, batch, found=None):
            logs.append([found[name] for name in sorted(found) if name.endswith("loss")])

    model.fit(data, epochs=1, steps_per_epoch=2, verbose=0, callbacks=[Keep()])
    return np.array(logs), values([*model.encoder.variables, *model.head.variables])


def furthest(ours, reference):
    """Largest difference over all numbers, relative to those above 1."""
    return max(
        np.max(np.abs(a - b) / np.maximum(np.abs(b), 1))
        for a, b in zip(ours, reference, strict=True)
    )


@pytest.mark.parametrize("flags", [MASKS, DENSE])
def test_replicas_take_the_step_of_one_device(flags, double_precision):
    """Images of other replicas have other numbers of objects, so a mean of means would differ."""
    losses, variables = trained(1, *flags)
    assert np.isfinite(losses).all() and (losses > 0).all()
    more_losses, more_variables = trained(2, *flags)
    np.testing.assert_allclose(more_losses, losses, rtol=1e-10)
    assert furthest(more_variables, variables) < 1e-10


def test_parts_of_a_batch_give_the_gradients_of_the_whole(double_precision):
    """Without batch statistics; the loss of RetinaNet is divided by a number of the whole batch."""
    flags = (*DENSE, "--batch_norm=frozen")
    losses, variables = trained(1, *flags)
    part_losses, part_variables = trained(1, *flags, "--accumulate=2")
    np.testing.assert_allclose(part_losses, losses, rtol=1e-10)
    assert furthest(part_variables, variables) < 1e-10


@pytest.mark.parametrize("flags", [MASKS, DENSE])
def test_losses_in_half_precision_are_those_of_full(flags):
    made = next(iter(task(*flags).batches(steps())))
    found = {}
    for precision in ("float32", "mixed_bfloat16"):
        with policy_scope(precision):
            model = build(*flags)
        shares = model.losses(made, model.normalizers(made))
        assert {loss.dtype for loss in shares.values()} == {tf.float32}
        found[precision] = float(sum(shares.values()))
    assert model.head.fpn.get_layer("lateral_3").compute_dtype == "bfloat16"
    assert found["mixed_bfloat16"] == pytest.approx(found["float32"], rel=0.05)


def test_the_pyramid_stands_on_the_maps_that_an_encoder_has():
    assert new_head(*MASKS, "--depth=34", kind="replica").read == ("2", "3", "4", "5")
    assert new_head(*MASKS, "--depth=34", "--stem=small", kind="replica").read == ("2", "3")
    assert new_head(*DENSE, "--depth=34", "--stem=small", kind="replica").read == ("3",)


def test_model_garden_comes_without_its_tasks_and_trainers():
    parts()
    assert not {"official.vision.tasks", "official.nlp", "orbit"} & set(sys.modules)


def test_regions_without_an_area_are_no_objects(monkeypatch):
    model = build(*OF_REGIONS)
    head, shapes = model.head, tf.constant([[64.0, 64.0]])
    maps = model.pyramid(np.zeros((1, 64, 64, 3), np.uint8), shapes, training=False)
    given = tf.constant([[[8, 8, 40, 40], [0, 3, 0, 9], [0, 0, 0, 0], [5, 7, 9, 7.0]]])
    monkeypatch.setattr(head, "proposals", lambda *_, **__: given)
    certain = tf.constant([0.0, 9.0] + 9 * [0.0])

    def classify(maps, regions, training):
        return certain + tf.zeros([1, 4, 11]), tf.zeros([1, 4, 11, 4])

    monkeypatch.setattr(head, "classify", classify)
    found = head.detect(maps, shapes)
    assert found.count.numpy().tolist() == [1]
    np.testing.assert_allclose(found.boxes[0, 0], [8, 8, 40, 40], atol=1e-4)
