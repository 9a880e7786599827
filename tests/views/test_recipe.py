import numpy as np
import pytest
import tensorflow as tf

from ssl_tf.settings import ViewSettings
from ssl_tf.views import chains, photometric
from ssl_tf.views.evaluation_crop import evaluation_crop
from ssl_tf.views.recipe import Recipe

RECIPES = {
    "ma_ssrl": {},
    "byol": {"recipe": "byol"},
    "simclr": {"recipe": "simclr"},
}


def image(seed=0, height=40, width=50):
    return np.random.default_rng(seed).integers(0, 256, [height, width, 3], np.uint8)


@pytest.mark.parametrize("name", RECIPES)
def test_same_seed_same_bits_eagerly_and_in_a_data_set(name):
    recipe = Recipe(ViewSettings(image_size=24, **RECIPES[name]))
    images = [image(0), image(1, 31, 29), image(2, 24, 24)]
    eager = [recipe(tf.constant(x), tf.constant([5, i], tf.int64)) for i, x in enumerate(images)]
    for parallel in (1, 3):
        data = tf.data.Dataset.from_generator(
            lambda: ((x, i) for i, x in enumerate(images)),
            output_signature=(
                tf.TensorSpec([None, None, 3], tf.uint8),
                tf.TensorSpec([], tf.int64),
            ),
        ).map(
            lambda x, i: recipe(x, tf.stack([tf.constant(5, tf.int64), i])),
            num_parallel_calls=parallel,
        )
        for mapped, expected in zip(data, eager):
            tf.nest.map_structure(np.testing.assert_array_equal, mapped, expected)
            assert all(view.shape == (24, 24, 3) for view in mapped["views"])
            assert all(view.dtype == tf.uint8 for view in mapped["views"])
    first = eager[0]
    other = recipe(tf.constant(images[0]), tf.constant([5, 9], tf.int64))
    assert (np.stack(first["views"]) != np.stack(other["views"])).any()


def test_the_authors_eight_views_have_static_shapes():
    each = ("ma_ssrl_simclr", "randaugment", "autoaugment", "fast_autoaugment")
    strategies = tuple(strategy for strategy in each for _ in range(2))
    recipe = Recipe(ViewSettings(image_size=16, view_strategies=strategies, distinct_crops=2))
    data = tf.data.Dataset.range(2).map(
        lambda i: recipe(tf.zeros([20, 20, 3], tf.uint8), tf.stack([i, i]))
    )
    assert [spec.shape.as_list() for spec in data.element_spec["views"]] == [[16, 16, 3]] * 8
    assert data.element_spec["op"].shape.as_list() == [8, 2]
    assert len(recipe.settings.pairs) == 28  # all 56 ordered pairs, as in the authors' PyTorch code


def test_plain_views_are_the_crops_and_flips():
    recipe = Recipe(
        ViewSettings(image_size=20, crop="full", view_strategies=("plain", "plain"), flip=0.5)
    )
    source = image(3, 20, 20)
    flips = []
    for i in range(40):
        made = recipe(tf.constant(source), tf.constant([1, i], tf.int64))
        for view, flipped in zip(made["views"], made["flipped"].numpy()):
            np.testing.assert_array_equal(view, source[:, ::-1] if flipped else source)
            flips.append(flipped)
    assert 20 < sum(flips) < 60  # 80 fair coins; both ways outside of 4.4 standard deviations


def test_views_share_crops_when_asked_to():
    settings = ViewSettings(
        image_size=16, view_strategies=("plain",) * 4, distinct_crops=2, flip=0.0
    )
    made = Recipe(settings)(tf.constant(image(4)), tf.constant([2, 2], tf.int64))
    boxes = made["rectangles"].numpy()
    np.testing.assert_array_equal(boxes[:2], boxes[2:])
    assert (boxes[0] != boxes[1]).any()
    np.testing.assert_array_equal(made["views"][0], made["views"][2])


def test_rectangles_say_where_the_view_comes_from():
    source = image(5, 64, 64)
    settings = ViewSettings(image_size=16, view_strategies=("plain", "plain"), flip=0.0)
    made = Recipe(settings)(tf.constant(source), tf.constant([3, 1], tf.int64))
    for view, box in zip(made["views"], made["rectangles"].numpy()):
        top, left, bottom, right = np.rint(box * 64).astype(int)
        window = tf.image.resize(source[top:bottom, left:right], (16, 16))
        np.testing.assert_array_equal(view, tf.floor(window + 0.5))


def test_small_views_stand_behind_the_others_and_change_nothing_of_them():
    large = {"image_size": 24, "recipe": "simclr", "crop": "random_resized"}
    plain = Recipe(ViewSettings(**large))
    recipe = Recipe(ViewSettings(**large, small_views=2, small_image_size=12))
    assert recipe.strategies == ("simclr",) * 4
    data = tf.data.Dataset.from_tensors(image(11)).repeat(2).enumerate()

    def views(make):
        mapped = data.map(lambda i, x: make(x, tf.stack([i, i + 1])), num_parallel_calls=2)
        return list(mapped.as_numpy_iterator())

    for i, (made, alone) in enumerate(zip(views(recipe), views(plain))):
        assert [view.shape for view in made["views"]] == [(24, 24, 3)] * 2 + [(12, 12, 3)] * 2
        tf.nest.map_structure(np.testing.assert_array_equal, made["views"][:2], alone["views"])
        for name in ("rectangles", "flipped", "uniform", "chain"):
            assert len(made[name]) == 4
            np.testing.assert_array_equal(made[name][:2], alone[name])
        assert len({tuple(numbers) for numbers in made["uniform"]}) == 4
        again = recipe(tf.constant(image(11)), tf.constant([i, i + 1], tf.int64))
        tf.nest.map_structure(np.testing.assert_array_equal, again, made)


def test_small_crops_have_their_areas():
    recipe = Recipe(
        ViewSettings(
            image_size=16, crop="random_resized", crop_area=(0.14, 1.0),
            view_strategies=("plain", "plain"), small_views=6, small_image_size=8,
        )
    )  # fmt: skip
    source = tf.zeros([200, 200, 3], tf.uint8)
    data = tf.data.Dataset.range(200).map(lambda i: recipe(source, tf.stack([i, i])))
    made = list(data.as_numpy_iterator())
    boxes = np.stack([one["rectangles"] for one in made])
    sides = boxes[..., 2:] - boxes[..., :2]
    area, aspect = sides.prod(axis=-1), np.log(sides[..., 1] / sides[..., 0])
    # sides of 45 pixels are rounded to half a pixel
    small = area[:, 2:].ravel()
    assert small.min() > 0.05 - 0.002 and small.max() < 0.14 + 0.003
    # U[0.05, 0.14], 1,200 draws: five standard errors
    assert abs(small.mean() - 0.095) < 5 * 0.09 / np.sqrt(12 * 1200)
    assert np.abs(np.quantile(small, [0.25, 0.75]) - [0.0725, 0.1175]).max() < 0.005
    assert np.abs(aspect[:, 2:]).max() < np.log(4 / 3) + 0.05
    assert area[:, :2].min() > 0.13 and area[:, :2].mean() > 0.4
    # The place is uniform in what the size leaves free, and each has a place of its own.
    place = boxes[:, 2:, 0] / (1 - sides[:, 2:, 0])
    assert abs(place.mean() - 0.5) < 5 * 0.29 / np.sqrt(1200)
    assert np.abs(np.corrcoef(place.T)[np.triu_indices(6, 1)]).max() < 5 / np.sqrt(200)


def test_small_views_take_the_strategies_in_turn():
    settings = ViewSettings(image_size=16, recipe="byol", small_views=3, small_image_size=8)
    recipe = Recipe(settings)
    assert settings.small_strategies == ("byol_t", "byol_t_prime", "byol_t")
    assert settings.pairs == ((0, 1),)
    shown = [recipe.describe(v, 0, [], []) for v in range(5)]
    assert shown == [
        ["byol_t"], ["byol_t_prime"], ["byol_t, 8 px"], ["byol_t_prime, 8 px"], ["byol_t, 8 px"],
    ]  # fmt: skip


def test_two_views_of_an_image_are_drawn_independently():
    recipe = Recipe(
        ViewSettings(image_size=8, randaugment_ops=1, view_strategies=("randaugment",) * 2)
    )
    data = tf.data.Dataset.range(4000).map(
        lambda i: recipe(tf.zeros([8, 8, 3], tf.uint8), tf.stack([i, i + 1])), num_parallel_calls=2
    )
    ops = np.stack([made["op"][:, 0] for made in data.as_numpy_iterator()])
    same = np.mean(ops[:, 0] == ops[:, 1])
    assert abs(same - 1 / 18) < 5 * np.sqrt(1 / 18 * 17 / 18 / 4000)


def test_describe_names_the_policy_and_its_operations():
    recipe = Recipe(ViewSettings(image_size=16, view_strategies=("randaugment", "simclr")))
    assert recipe.describe(0, 0, [2, 11], [0.0, 0.27])[0] == "randaugment"
    assert recipe.describe(0, 0, [0, 0], [0.0, 0.0]) == ["randaugment"]
    assert recipe.describe(1, 0, [0, 0], [0.0, 0.0]) == ["simclr"]


def test_chain_probabilities():
    # Grey on a coloured image, everything else off: one in five.
    chain = chains.Chain(0, 0, 0, 0, additive_brightness=True, blur=0.0, jitter=0.0, grey=0.2)
    source = tf.constant(image(6, 8, 8))
    data = tf.data.Dataset.range(2000).map(
        lambda i: chain(source, tf.random.stateless_uniform([chains.DRAWS], tf.stack([i, i])))
    )
    grey = np.mean([(x[..., 0] == x[..., 1]).all() for x in data.as_numpy_iterator()])
    assert abs(grey - 0.2) < 5 * np.sqrt(0.16 / 2000)


def test_chain_without_steps_changes_nothing():
    chain = chains.Chain(0, 0, 0, 0, additive_brightness=True, blur=0.0, jitter=0.0, grey=0.0)
    np.testing.assert_array_equal(
        chain(tf.constant(image(7)[:40, :40]), tf.fill([chains.DRAWS], 0.5)), image(7)[:40, :40]
    )


@pytest.mark.parametrize("size, taps", [(224, 23), (96, 9), (32, 3), (16, 1)])
def test_blur_taps(size, taps):
    assert photometric.blur_taps(size) == taps


def test_evaluation_crop():
    small = image(8, 32, 32)
    np.testing.assert_array_equal(evaluation_crop(tf.constant(small), 32), small)
    wide = image(9, 32, 48)
    np.testing.assert_array_equal(evaluation_crop(tf.constant(wide), 32), wide[:, 8:40])
    # Above 64 pixels 7/8 of the short side are kept: 112 of 128, here without any resizing.
    large = image(10, 128, 160)
    np.testing.assert_array_equal(evaluation_crop(tf.constant(large), 112), large[8:120, 24:136])
    # Or all of it: the short side to the size.
    np.testing.assert_array_equal(
        evaluation_crop(tf.constant(large), 128, whole=True), large[:, 16:144]
    )
