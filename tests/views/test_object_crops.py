"""The recipe with object crops and with what pretext tasks ask of it."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from ssl_tf.errors import SettingsError
from ssl_tf.settings import CROPS, REGIONS, PretrainSettings, ViewSettings, flagfiles
from ssl_tf.views.recipe import Recipe

BOXES = np.float32([[0.1, 0.2, 0.5, 0.6], [0.4, 0.0, 1.0, 0.5], [0.7, 0.7, 0.9, 0.95]])
HEIGHT, WIDTH = 80, 100
UNLIKELY = 1e-4
KEPT = ("proposal", "rectangles")


def picture(height=HEIGHT, width=WIDTH, seed=0):
    return np.random.default_rng(seed).integers(0, 256, [height, width, 3], np.uint8)


def plain(**changes):
    options = dict(
        crops="object_dilated", view_strategies=("plain", "plain"), image_size=8, min_crop=1
    )
    return ViewSettings(**(options | changes))


def draws(recipe, count, *boxes, keep):
    """What the recipe draws of one image in `count` epochs."""
    image = tf.constant(picture())

    def make(i):
        made = recipe.crop(image, tf.stack([i, i + 7]), *boxes)
        return {name: made[name] for name in keep}

    data = tf.data.Dataset.range(count).map(make, num_parallel_calls=2, deterministic=True)
    return {k: v.numpy() for k, v in data.batch(count).get_single_element().items()}


def inside(inner, outer):
    return (inner[:, :2] >= outer[:, :2] - 1e-6).all() and (
        inner[:, 2:] <= outer[:, 2:] + 1e-6
    ).all()


def areas(boxes):
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


@pytest.mark.parametrize("crops", ["object_object", "object_dilated"])
def test_both_views_lie_in_one_box_and_every_box_is_drawn(crops):
    recipe = Recipe(plain(crops=crops, dilation=0.1), (0.5, 0.6))
    made = draws(recipe, 900, tf.constant(BOXES), keep=("proposal", "rectangles"))
    boxes, first, second = made["proposal"], made["rectangles"][:, 0], made["rectangles"][:, 1]
    chosen = (boxes[:, None] == BOXES).all(-1)
    assert (chosen.sum(1) == 1).all()
    assert stats.chisquare(chosen.sum(0)).pvalue > UNLIKELY
    # The boxes lie on the edges of pixels; dilated ones (5% a side) too.
    assert inside(first, boxes)
    dilated = crops == "object_dilated"
    around = np.clip(boxes + 0.05 * np.array([-1, -1, 1, 1]), 0, 1) if dilated else boxes
    assert inside(second, around)
    assert (second[:, :2] < boxes[:, :2] - 1e-6).any() == dilated
    # The area is at least s_min of the region, but for the rounding of its sides.
    share = areas(first) / areas(boxes)
    assert share.min() > 0.5 - 0.06 and share.max() <= 1 + 1e-6
    share = areas(second) / areas(around)
    assert share.min() > (0.6 if dilated else 0.5) - 0.06
    assert (first != second).any(1).mean() > 0.9


@pytest.mark.parametrize("area", [(0.3, 1.0), (0.2, 0.4)])
def test_an_image_without_a_proposal_has_scene_crops(area):
    none = tf.zeros([0, 4])
    recipe = Recipe(plain(crop_area=area), (0.8, 0.8))
    objects = draws(recipe, 300, none, keep=KEPT)
    settings = plain(crops="scene_scene", crop="random_resized", crop_area=area)
    scenes = draws(Recipe(settings), 300, keep=KEPT[1:])
    np.testing.assert_array_equal(objects["rectangles"], scenes["rectangles"])
    assert (objects["proposal"] == [0, 0, 1, 1]).all()
    # But for the rounding of the sides, the area is in the scene's range.
    share = areas(scenes["rectangles"])
    assert area[0] - 0.02 < share.min() and area[1] - 0.1 < share.max() < area[1] + 0.02


def test_the_area_of_scenes_bounds_no_crop_in_a_box():
    """There the smallest area is that of the paper, and the largest the whole box."""
    made = [
        draws(Recipe(plain(crop_area=area), (0.5, 0.6)), 100, tf.constant(BOXES), keep=KEPT)
        for area in ((0.1, 0.2), (0.2, 1.0))
    ]
    np.testing.assert_array_equal(made[0]["rectangles"], made[1]["rectangles"])
    shares = areas(made[0]["rectangles"][:, 0]) / areas(made[0]["proposal"])
    assert 0.9 < shares.max() <= 1 + 1e-6


def test_the_smallest_side_is_that_of_a_view_and_at_most_half_of_the_image():
    box = tf.constant([[0.5, 0.5, 0.52, 0.52]])
    for options, side in (
        (dict(min_crop=0, image_size=30), (30, 30)),
        (dict(min_crop=0, image_size=224), (HEIGHT // 2, WIDTH // 2)),
        (dict(min_crop=13), (13, 13)),
    ):
        recipe = Recipe(plain(crop="full", crops="object_object", **options))
        top, left, bottom, right = recipe.crop(tf.constant(picture()), tf.constant([1, 2]), box)[
            "rectangles"
        ].numpy()[0]
        size = (bottom - top) * HEIGHT, (right - left) * WIDTH
        np.testing.assert_allclose(size, side, rtol=1e-5)


@pytest.mark.parametrize("law", CROPS)
@pytest.mark.parametrize("crops", REGIONS[1:])
def test_every_law_stays_in_the_region(law, crops):
    recipe = Recipe(plain(crop=law, crops=crops))
    made = draws(recipe, 40, tf.constant(BOXES), keep=("proposal", "rectangles"))
    around = np.clip(made["proposal"] + 0.05 * np.array([-1, -1, 1, 1]), 0, 1)
    for view, outer in enumerate((made["proposal"], around)):
        rectangles = made["rectangles"][:, view]
        assert inside(rectangles, outer if crops == "object_dilated" else made["proposal"])
        assert len(np.unique(rectangles, axis=0)) > (3 if law == "full" else 30) - 1


def test_same_bits_eagerly_and_in_a_data_set():
    settings = ViewSettings(recipe="moco", crops="object_dilated", image_size=16)
    recipe = Recipe(settings, (0.5, 0.4), with_original=True)
    cases = [
        (picture(seed=0), BOXES),
        (picture(31, 29, 1), BOXES[:1]),
        (picture(9, 9, 2), BOXES[:0]),
    ]
    data = tf.data.Dataset.from_generator(
        lambda: ((image, i, boxes) for i, (image, boxes) in enumerate(cases)),
        output_signature=(
            tf.TensorSpec([None, None, 3], tf.uint8),
            tf.TensorSpec([], tf.int64),
            tf.TensorSpec([None, 4], tf.float32),
        ),
    ).map(lambda x, i, b: recipe(x, tf.stack([i, i]), b), num_parallel_calls=3)
    assert data.element_spec["original"].shape == (16, 16, 3)
    for i, made in enumerate(data):
        image, boxes = map(tf.constant, cases[i])
        expected = recipe(image, tf.constant([i, i], tf.int64), boxes)
        tf.nest.map_structure(np.testing.assert_array_equal, made, expected)


def test_what_pretext_tasks_ask_for_changes_no_other_draw():
    image, seed = tf.constant(picture()), tf.constant([3, 4], tf.int64)
    settings = ViewSettings(image_size=16)
    with_original = Recipe(settings, with_original=True)(image, seed)
    without = Recipe(settings)(image, seed)
    assert with_original.keys() - without.keys() == {"original", "original_flipped"}
    for name in ("views", "rectangles", "flipped", "swapped", "rotation"):
        tf.nest.map_structure(np.testing.assert_array_equal, with_original[name], without[name])
    for name in ("op", "value"):
        np.testing.assert_array_equal(with_original[name][:2], without[name])
        assert with_original[name].shape[0] == 3


def test_the_original_is_the_whole_image_under_the_strategy_of_view_one():
    image = picture(16, 16)
    settings = plain(crops="scene_scene", image_size=16, flip=0.5)
    recipe = Recipe(settings, with_original=True)
    flips = []
    for i in range(40):
        made = recipe(tf.constant(image), tf.constant([1, i], tf.int64))
        flips.append((made["original_flipped"].numpy(), *made["flipped"].numpy()))
        np.testing.assert_array_equal(made["original"], image[:, ::-1] if flips[-1][0] else image)
    counts = np.sum(flips, axis=0)
    assert (counts > 6).all() and (counts < 34).all()
    assert len({tuple(column) for column in np.array(flips).T}) == 3  # three coins, not one
    recipe = Recipe(ViewSettings(view_strategies=("plain", "randaugment")), with_original=True)
    assert recipe.strategies == ("plain", "randaugment", "randaugment")


def test_the_draws_of_pretext_tasks_are_uniform_and_independent():
    recipe = Recipe(plain(), (0.5, 0.5), with_original=True)
    keep = ("swapped", "rotation", "original_flipped", "flipped")
    made = draws(recipe, 4000, tf.constant(BOXES), keep=keep)
    assert made["swapped"].dtype == bool and made["rotation"].dtype == np.int32
    assert stats.chisquare(np.bincount(made["rotation"], minlength=4)).pvalue > UNLIKELY
    coins = {
        "swapped": made["swapped"],
        "original": made["original_flipped"],
        "first": made["flipped"][:, 0],
        "second": made["flipped"][:, 1],
        "turned": made["rotation"] % 2 == 1,
        "upside down": made["rotation"] > 1,
    }
    for name, coin in coins.items():
        assert stats.binomtest(int(coin.sum()), len(coin), 0.5).pvalue > UNLIKELY, name
    between = np.corrcoef(np.float64(list(coins.values()))) - np.eye(len(coins))
    assert np.abs(between).max() < 5 / np.sqrt(4000)


def test_the_recipe_of_moco():
    settings = ViewSettings(recipe="moco")
    assert settings.strategies == ("moco", "moco") and settings.crop_law == "random_resized"
    assert settings.area == (0.2, 1.0)
    chain = Recipe(settings).chains["moco"]
    assert (chain.brightness, chain.contrast, chain.saturation, chain.hue) == (0.4, 0.4, 0.4, 0.1)
    assert (chain.jitter, chain.grey, chain.blur, chain.solarize) == (0.8, 0.2, 0.5, 0.0)
    assert not chain.additive_brightness


@pytest.mark.parametrize(
    "flags, message",
    [
        (["--crops=object_object"], "--crops=object_object: give the boxes with --proposals"),
        (
            ["--crops=object_dilated", "--proposals=ground_truth", "--distinct_crops=1"],
            "--distinct_crops=1: .* an even number",
        ),
        (["--crop_area=0.5"], "--crop_area=.* two numbers"),
        (["--crops=object_scene"], "--crops=object_scene: unknown"),
        (["--dilation=1.5"], "--dilation=1.5: must be at most 1"),
    ],
)
def test_settings_that_cannot_work(flags, message):
    with pytest.raises(SettingsError, match=message):
        flagfiles.parse(["--dataset=scenes", *flags], PretrainSettings)


def test_the_law_inside_objects_is_random_resized_unless_named():
    flags = ["--dataset=scenes", "--recipe=byol"]
    for more, law in (
        ([], "byol"),
        (["--proposals=x", "--crops=object_dilated"], "random_resized"),
        (["--proposals=x", "--crops=object_dilated", "--crop=byol"], "byol"),
    ):
        assert flagfiles.parse([*flags, *more], PretrainSettings).views.crop_law == law
