"""The pixel operations in the training step against those of the input pipeline."""

import functools

import numpy as np
import pytest
import tensorflow as tf

from ssl_tf.settings import ViewSettings
from ssl_tf.views.device import augment_batch, cropped_batches
from ssl_tf.views.recipe import Recipe

COUNT = 8
STRATEGIES = {
    "ma_ssrl": {},
    "three operations": {"view_strategies": ("randaugment",) * 2, "randaugment_ops": 3},
    "byol": {"recipe": "byol"},
    "small views": {
        "recipe": "byol", "image_size": 40, "small_views": 3, "small_image_size": 24,
    },
    "moco": {"recipe": "moco"},
    "mixed": {"view_strategies": ("simclr", "fast_autoaugment", "plain", "randaugment")},
}  # fmt: skip


def batches(recipe: Recipe, make) -> tf.data.Dataset:
    """`make(image, seed)` over eight images, in batches of four."""
    images = np.random.default_rng(4).integers(0, 256, [COUNT, 30, 40, 3], np.uint8)
    data = tf.data.Dataset.from_tensor_slices((images, tf.range(COUNT, dtype=tf.int64)))
    return data.map(lambda x, i: make(x, tf.stack([i, i + 3]))).batch(4, drop_remainder=True)


@pytest.mark.parametrize("name", STRATEGIES)
def test_the_device_makes_the_views_of_the_host(name):
    recipe = Recipe(ViewSettings(**{"image_size": 24, **STRATEGIES[name]}))
    augment = tf.function(functools.partial(augment_batch, recipe))
    cropped = cropped_batches(batches(recipe, recipe.crop), recipe)
    changed = 0
    for batch, expected in zip(cropped, batches(recipe, recipe), strict=True):
        for key in ("op", "value", "policy"):
            np.testing.assert_array_equal(batch["drawn"][key], expected[key])
        views = augment(batch["views"], batch["drawn"])
        for view, crop, wanted in zip(views, batch["views"], expected["views"], strict=True):
            assert view.shape == crop.shape == wanted.shape and view.dtype == tf.uint8
            # Sums of floats come in another order: now and then a pixel is one grey level apart.
            # Pillow's are of integers.
            most = 0 if name == "moco" else 1
            difference = np.abs(view.numpy().astype(int) - wanted)
            assert difference.max() <= most and np.mean(difference) < 1e-3
            changed += np.any(view != crop)
    assert changed >= len(recipe.strategies)


def test_replicas_augment_their_share():
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    settings = ViewSettings(image_size=16, view_strategies=("randaugment",), randaugment_ops=1)
    recipe = Recipe(settings)
    cropped = cropped_batches(batches(recipe, recipe.crop), recipe)
    step = tf.function(
        lambda batch: strategy.run(
            lambda share: augment_batch(recipe, share["views"], share["drawn"]), [batch]
        )
    )
    distributed = strategy.experimental_distribute_dataset(cropped)
    for batch, expected in zip(distributed, batches(recipe, recipe), strict=True):
        for view, wanted in zip(step(batch), expected["views"], strict=True):
            shares = strategy.experimental_local_results(view)
            assert [share.shape[0] for share in shares] == [2, 2]
            np.testing.assert_array_equal(np.concatenate(shares), wanted)
