"""The grids of the paper's ablations (figures 2 and 3): every point composes, all kinds run."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from ssl_tf.data.batches import training_batches
from ssl_tf.data.order import Steps
from ssl_tf.data.scenes.shapes import Scenes
from ssl_tf.settings import CROPS, STRATEGIES, PretrainSettings, ViewSettings, flagfiles
from ssl_tf.views.ops import OP_INDEX, OPS
from ssl_tf.views.policies import randaugment
from ssl_tf.views.recipe import Recipe, policy_space

SOURCE = ["--dataset=scenes", "--image_size=16"]


@pytest.mark.parametrize("crop, strategy", list(itertools.product(CROPS, STRATEGIES)))
def test_every_crop_with_every_strategy_composes(crop, strategy):
    flags = [*SOURCE, f"--crop={crop}", f"--view_strategies={strategy},{strategy}"]
    views = flagfiles.parse(flags, PretrainSettings).views
    assert views.crop_law == crop
    assert Recipe(views).strategies == (strategy, strategy)


@pytest.mark.parametrize("number, scale", list(itertools.product((1, 2, 3), (10, 30))))
def test_every_randaugment_of_the_grid_composes(number, scale):
    for magnitude in range(1, 31):
        flags = [*SOURCE, f"--randaugment_ops={number}", f"--randaugment_magnitude={magnitude}"]
        views = flagfiles.parse([*flags, f"--level_scale={scale}"], PretrainSettings).views
        space = policy_space("randaugment", views)
        assert space.slots == number
        assert space.policies == (randaugment(number, float(magnitude), scale),)


def test_every_operation_runs_at_every_magnitude_of_the_grid():
    image = tf.constant(np.random.default_rng(0).integers(0, 256, [5, 6, 3], np.uint8))
    fill, centre = tf.constant(128.0), tf.constant([0.5, 0.5])
    values = {
        (row.op, value)
        for scale, magnitude in itertools.product((10, 30), range(1, 31))
        for row in randaugment(1, float(magnitude), scale).rows
        for value in ((-row.low, row.low) if row.signed else (row.low, row.high))
    }
    assert len(values) > 400 and np.isfinite([value for _, value in values]).all()
    for op, value in values:
        made = OPS[OP_INDEX[op]].apply(image, tf.constant(value, tf.float32), fill, centre)
        assert made.shape == image.shape and made.dtype == tf.uint8


@pytest.mark.parametrize(
    "crop, strategies, randaugment_flags",
    [
        ("uniform", ("integrated", "autoaugment"), {}),
        ("inception", ("fast_autoaugment", "simclr"), {}),
        ("byol", ("byol_t", "byol_t_prime"), {}),
        ("full", ("ma_ssrl_simclr", "plain"), {}),
        ("uniform", ("randaugment", "plain"), {"randaugment_ops": 1, "randaugment_magnitude": 1.0}),
        ("byol", ("randaugment", "plain"), {"randaugment_ops": 3, "randaugment_magnitude": 30.0}),
    ],
)
def test_every_crop_and_every_strategy_makes_a_batch(crop, strategies, randaugment_flags):
    views = ViewSettings(image_size=16, crop=crop, view_strategies=strategies, **randaugment_flags)
    batches = training_batches(Scenes("train", 4, 16), Recipe(views), Steps(0, 4, 0, 1))
    (batch,) = batches.as_numpy_iterator()
    assert [view.shape for view in batch["views"]] == [(4, 16, 16, 3)] * 2
    whole = np.broadcast_to(np.float32([0, 0, 1, 1]), [4, 2, 4])
    assert np.array_equal(batch["rectangles"], whole) == (crop == "full")
