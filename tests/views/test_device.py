"""The views that the training step makes against those of the input pipeline."""

import numpy as np
import pytest
import tensorflow as tf

from ssl_tf.settings import CROPS, REGIONS, ViewSettings
from ssl_tf.training.strategy import mirrored_strategy
from ssl_tf.views.canvases import on_canvas
from ssl_tf.views.device import PLACES, DeviceViews, augment_batch, cut_batch, drawn_batches
from ssl_tf.views.ops import OPS
from ssl_tf.views.recipe import Recipe

COUNT = 8
STRATEGIES = {
    "mixed": {
        "view_strategies": ("simclr", "fast_autoaugment", "plain", "randaugment"),
        "randaugment_ops": 3,
    },
    "small views": {
        "recipe": "byol", "image_size": 40, "small_views": 3, "small_image_size": 24,
    },
    "moco": {"recipe": "moco"},
}  # fmt: skip
SIDE = 40
BOXES = tf.constant([[0.1, 0.2, 0.8, 0.9], [0.3, 0.0, 1.0, 0.5]])
# They spread a difference of one grey level over the whole range.
HISTOGRAM = {i for i, op in enumerate(OPS) if op.name in ("AutoContrast", "Equalize")}


def images() -> tf.Tensor:
    """Smooth pictures: in noise every rounding is at its worst."""
    noise = np.random.default_rng(4).integers(0, 256, [COUNT, 8, 10, 3])
    return tf.cast(tf.image.resize(noise, [30, SIDE]), tf.uint8)


def batches(make) -> tf.data.Dataset:
    """`make(image, seed)` over eight images, in batches of four."""
    data = tf.data.Dataset.from_tensor_slices((images(), tf.range(COUNT, dtype=tf.int64)))
    return data.map(lambda x, i: make(x, tf.stack([i, i + 3]))).batch(4, drop_remainder=True)


def host_batches(recipe: Recipe) -> tf.data.Dataset:
    boxes = (BOXES,) if recipe.takes_boxes else ()
    return batches(lambda image, seed: recipe(image, seed, *boxes))


def placed_batches(recipe: Recipe) -> tf.data.Dataset:
    def place(image: tf.Tensor, seed: tf.Tensor) -> dict:
        boxes = (BOXES,) if recipe.takes_boxes else ()
        made = recipe.place(*tf.unstack(tf.shape(image)[:2]), seed, *boxes)
        canvas = {"canvas": on_canvas(image, SIDE)}
        return {"placed": canvas | {name: made[name] for name in PLACES}}

    return drawn_batches(batches(place), recipe)


def difference(one: tf.Tensor, other: tf.Tensor) -> np.ndarray:
    return np.abs(one.numpy().astype(int) - other.numpy())


@pytest.mark.parametrize("name", STRATEGIES)
def test_the_device_makes_the_views_of_the_host(name):
    recipe = Recipe(ViewSettings(**{"image_size": 24, **STRATEGIES[name]}))
    augment = tf.function(lambda views, drawn: augment_batch(recipe, views, drawn))
    # Pillow's operations have sums of integers, others of floats: these come in another order.
    most, changed = 0 if name == "moco" else 1, 0
    histogram, others = [], []
    for batch, cut, expected in zip(
        placed_batches(recipe), batches(recipe.crop), host_batches(recipe), strict=True
    ):
        placed = batch["placed"]
        for key in ("op", "value", "policy"):
            np.testing.assert_array_equal(placed["drawn"][key], expected[key])
        crops = cut_batch(recipe, placed["canvas"], placed["crops"], placed["mirrored"])
        views = augment(crops, placed["drawn"])
        of_the_same_crops = augment(cut["views"], placed["drawn"])
        for v, wanted in enumerate(expected["views"]):
            assert views[v].shape == wanted.shape and views[v].dtype == tf.uint8
            same = difference(of_the_same_crops[v], wanted)
            assert same.max() <= most and np.mean(same) < 1e-3
            changed += np.any(cut["views"][v] != wanted)
            for image, ops in zip(difference(views[v], wanted), expected["op"][:, v].numpy()):
                (histogram if HISTOGRAM & set(ops) else others).append(image.ravel())
    # One pixel in a thousand may be further away: where an operation has an edge, or turns one
    # level into many. Pillow's chain rounds after each step, and turns the hue of a nearly grey
    # pixel by whole steps.
    distance, share = (2, 0.998) if name == "moco" else (1, 0.999)
    assert np.mean(np.concatenate(others) <= distance) >= share
    assert not histogram or np.mean(np.concatenate(histogram) <= 3) >= 0.999
    assert changed >= len(recipe.strategies)


@pytest.mark.parametrize("crops", REGIONS)
@pytest.mark.parametrize("crop", CROPS)
def test_crops_of_every_law_and_region_are_those_of_the_host(crop, crops):
    settings = ViewSettings(
        crop=crop, crops=crops, image_size=16, view_strategies=("plain",) * 4,
        distinct_crops=2, min_crop=4,
    )  # fmt: skip
    recipe = Recipe(settings, (0.5, 0.4), with_original=True)
    boxes = (BOXES,) if recipe.takes_boxes else ()
    host = batches(lambda image, seed: recipe.crop(image, seed, *boxes))
    for batch, expected in zip(placed_batches(recipe), host, strict=True):
        placed = batch["placed"]
        made = cut_batch(recipe, placed["canvas"], placed["crops"], placed["mirrored"])
        for view, wanted in zip(made, expected["views"], strict=True):
            assert view.shape == (4, 16, 16, 3)
            assert difference(view, wanted).max() <= 1


def test_the_original_comes_apart_from_the_views():
    settings = ViewSettings(
        crops="object_dilated", image_size=16, view_strategies=("plain", "moco")
    )
    recipe = Recipe(settings, (0.5, 0.4), with_original=True)
    augment = tf.function(DeviceViews(recipe).__call__)
    for batch, expected in zip(placed_batches(recipe), host_batches(recipe), strict=True):
        made = augment({**batch, "rotation": tf.zeros([4])})
        assert set(made) == {"views", "original", "rotation"} and len(made["views"]) == 2
        assert np.mean(difference(made["original"], expected["original"]) <= 2) > 0.99


def test_replicas_make_the_views_of_their_share():
    strategy = mirrored_strategy(["CPU:0", "CPU:1"])
    settings = ViewSettings(image_size=16, view_strategies=("byol_t",))
    recipe = Recipe(settings)
    augment = DeviceViews(recipe)
    step = tf.function(lambda batch: strategy.run(lambda share: augment(share)["views"], [batch]))
    distributed = strategy.experimental_distribute_dataset(placed_batches(recipe))
    for batch, whole in zip(distributed, placed_batches(recipe), strict=True):
        for view, wanted in zip(step(batch), augment(whole)["views"], strict=True):
            shares = strategy.experimental_local_results(view)
            assert [share.shape[0] for share in shares] == [2, 2]
            np.testing.assert_array_equal(np.concatenate(shares), wanted)


@pytest.mark.parametrize("name", ["byol", "moco"])
def test_xla_makes_the_same_views(name):
    recipe = Recipe(ViewSettings(image_size=24, recipe=name))
    augment = DeviceViews(recipe)
    assert augment.compilable and not DeviceViews(Recipe(ViewSettings(image_size=24))).compilable
    compiled = tf.function(augment.compiled, jit_compile=True, autograph=False)
    for batch in placed_batches(recipe):
        made, wanted = compiled(batch)["views"], augment(batch)["views"]
        for one, other in zip(made, wanted, strict=True):
            # XLA rounds a product and a sum once. What Pillow's chain makes of that, see above.
            assert np.mean(difference(one, other) <= (2 if name == "moco" else 1)) >= 0.998
            assert np.mean(difference(one, other)) < 0.03
