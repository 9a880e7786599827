"""Policies against the published lists and value tables, and the statistics of their draws."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from ssl_tf.settings import STRATEGIES, ViewSettings
from ssl_tf.views.chains import CHAINS
from ssl_tf.views.level_rules import Level
from ssl_tf.views.ops import OP_INDEX, OPS
from ssl_tf.views.policies import (
    EXTENDED_RANDAUGMENT,
    POLICIES,
    PolicySpace,
    autoaugment,
    autoaugment_torchvision,
    fast_autoaugment,
    randaugment,
    randaugment_torchvision,
)
from ssl_tf.views.recipe import Recipe


def level(op, at, meaning="tf", translate=0.45):
    return OPS[OP_INDEX[op]].value_range(Level(at, meaning, translate))


@pytest.mark.parametrize("name, subpolicies", [("imagenet", 498), ("cifar10", 493), ("svhn", 497)])
def test_the_published_lists_are_whole(name, subpolicies):
    fast, auto = fast_autoaugment(name), autoaugment(name)
    assert (fast.choices, auto.choices) == (subpolicies, 25)
    assert (len(fast.rows), len(auto.rows)) == (2 * subpolicies, 50)


def test_list_statistics_of_the_imagenet_policies():
    # Mean probability and counts of operations as published with the lists.
    fast = fast_autoaugment("imagenet").rows
    assert np.mean([row.probability for row in fast]) == pytest.approx(0.4616, abs=5e-5)
    counts = {op: sum(row.op == op for row in fast) for op in ("Sharpness", "Cutout", "Invert")}
    assert counts == {"Sharpness": 105, "Cutout": 76, "Invert": 33}
    auto = autoaugment("imagenet").rows
    assert sum(row.op == "Equalize" for row in auto) == 17
    assert auto[0].op == "Posterize" and auto[0].low == 3.0  # level 8, TF meaning: int(3.2) bits
    assert autoaugment("imagenet", "pil").rows[0].low == 1.0  # 4 - 3 bits


def test_fast_autoaugment_values_follow_its_ranges():
    first, second = fast_autoaugment("imagenet").rows[:2]
    assert (first.op, first.signed, first.fill) == ("ShearY", True, 0)
    assert first.low == pytest.approx(-0.3 + 0.6 * 0.513124791615952)
    assert second.low == pytest.approx(0.1 + 1.8 * 0.9788406212603302)


@pytest.mark.parametrize(
    "op, at, expected",
    [  # the value table of the published extended RandAugment, level denominator 10
        ("Posterize", 1, 0), ("Posterize", 3, 1), ("Posterize", 5, 2), ("Posterize", 9, 3),
        ("Posterize", 10, 4), ("Solarize", 1, 25), ("Solarize", 3, 76), ("Solarize", 4, 102),
        ("Solarize", 7, 179), ("Solarize", 9, 230), ("Solarize", 10, 256), ("SolarizeAdd", 3, 33),
        ("SolarizeAdd", 9, 99), ("Color", 5, 1.0), ("Sharpness", 9, 1.72), ("Color", 10, 1.9),
        ("ShearX", 9, 0.27), ("ShearY", 10, 0.3), ("Rotate", 9, 27.0),
    ],
)  # fmt: skip
def test_values_at_level(op, at, expected):
    assert level(op, at) == pytest.approx((expected, expected))


@pytest.mark.parametrize(
    "op, at, low, high",
    [
        ("rand_brightness", 9, -0.72, 0.72), ("rand_contrast", 3, 0.76, 1.24),
        ("rand_saturation", 10, 0.2, 1.8), ("rand_hue", 4, -0.4, 0.4), ("rand_hue", 5, -0.5, 0.5),
        ("rand_blur", 1, 0.1, 2.0), ("rand_blur", 10, 0.1, 2.0),
    ],
)  # fmt: skip
def test_drawn_ranges_at_level(op, at, low, high):
    assert level(op, at) == pytest.approx((low, high))


def test_levels_beyond_the_published_defects():
    assert level("rand_hue", 9) == (-0.5, 0.5)  # no fall back to 0.1
    assert level("rand_contrast", 20)[0] == 0.0  # no negative factor
    assert level("rand_brightness", 0) == (0.0, 0.0)  # level 0 is no change
    assert level("Posterize", 30) == (8.0, 8.0)
    assert level("Solarize", 30) == (256.0, 256.0)


@pytest.mark.parametrize("op", OPS, ids=lambda op: op.name)
def test_every_operation_has_a_level_rule(op):
    # Level 30 is the end of the grid of the RandAugment paper.
    for at, meaning in itertools.product(np.arange(0, 30.5, 0.5), ("tf", "pil")):
        low, high = op.value_range(Level(float(at), meaning))
        assert isinstance(low, float) and isinstance(high, float)
        assert np.isfinite([low, high]).all() and low <= high
        assert not op.signed or low == high >= 0.0


def test_operations_without_levels():
    published = OPS[: OP_INDEX["color_drop"] + 1]
    without = {op.name for op in published if not op.has_levels}
    assert without == {
        "Identity", "AutoContrast", "Equalize", "Invert", "color_drop", "rand_blur",
    }  # fmt: skip
    assert {level(name, 7) for name in without} == {(0.0, 0.0), (0.1, 2.0)}


def test_operations_with_a_sign():
    published = OPS[: OP_INDEX["color_drop"] + 1]
    signed = {op.name for op in published if op.signed}
    assert signed == {"ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate"}
    assert {row.op for row in autoaugment("imagenet").rows if row.signed} == {"ShearX", "Rotate"}


def magnitudes(rows):
    """Operation -> values, with both signs where policies draw the sign."""
    found = {}
    for row in rows:
        assert row.low == row.high and not (row.signed and row.fill)
        signs = (1, -1) if row.signed else (1,)
        found.setdefault(row.op, set()).update(round(sign * row.low, 6) for sign in signs)
    return found


def test_randaugment_of_torchvision_has_its_magnitudes():
    # RandAugment(2, 9)._augmentation_space(31, (224, 224)) of torchvision; shifts over 224.
    strong, weak, shift = 1.27, 0.73, round(150 / 331 * 0.3, 6)
    assert magnitudes(randaugment_torchvision(2, 9.0).rows) == {
        "Identity": {0.0}, "AutoContrast": {0.0}, "Equalize": {0.0}, "Posterize": {7.0},
        "ShearX": {0.09, -0.09}, "ShearY": {0.09, -0.09}, "Rotate": {9.0, -9.0},
        "TranslateX": {shift, -shift}, "TranslateY": {shift, -shift}, "Solarize": {178.5},
        **dict.fromkeys(("Brightness", "Color", "Contrast", "Sharpness"), {strong, weak}),
    }  # fmt: skip


def test_autoaugment_of_torchvision_has_its_magnitudes():
    policy, published = autoaugment_torchvision("imagenet"), autoaugment("imagenet")
    assert policy.choices == 4 * published.choices == 100
    # Each published sub-policy with the four pairs of signs.
    for index in range(25):
        of_both = policy.rows[8 * index : 8 * index + 8]
        for slot in (0, 1):
            wanted = published.rows[2 * index + slot]
            assert {(r.op, r.probability) for r in of_both[slot::2]} == {
                (wanted.op, wanted.probability)
            }
    # AutoAugment's _augmentation_space(10, (224, 224)) of torchvision, at the levels of the list.
    found = magnitudes(policy.rows)
    assert found["Posterize"] == {6.0, 5.0, 4.0}  # 5, 6 and 7, 8
    for op, levels, level in (
        ("Solarize", [3, 4, 5, 7, 8], lambda value: 9 - 9 * value / 255),
        ("Rotate", [3, 8, 9], lambda value: 9 * abs(value) / 30),
        ("ShearX", [5], lambda value: 9 * abs(value) / 0.3),
        ("Color", [0, 2, 4, 8], lambda value: 9 * abs(value - 1) / 0.9),
    ):
        assert sorted({round(level(value), 4) for value in found[op]}) == levels, op
    assert found["Contrast"] == {1.8, 0.2} and found["Sharpness"] == {1.7, 0.3}
    assert not found.keys() & {"Brightness", "TranslateX"}


def test_scale_30_spreads_the_same_range():
    for at in range(11):
        on_ten, on_thirty = (randaugment(1, s * at, 10 * s).rows for s in (1, 3))
        for ten, thirty in zip(on_ten, on_thirty, strict=True):
            assert (thirty.op, thirty.signed) == (ten.op, ten.signed)
            assert (thirty.low, thirty.high) == pytest.approx((ten.low, ten.high), abs=1e-9)


def test_every_strategy_has_a_builder():
    for strategy, policies in STRATEGIES.items():
        recipe = Recipe(ViewSettings(image_size=16, view_strategies=(strategy,)))
        built = [policy.name for policy in recipe.spaces[strategy].policies] if policies else []
        assert built == list(policies)
        chained = strategy in recipe.chains
        assert [strategy == "plain", chained, bool(policies)].count(True) == 1
    # And every builder has a strategy.
    assert CHAINS.keys() <= STRATEGIES.keys()
    assert POLICIES.keys() == {name for policies in STRATEGIES.values() for name in policies}


@pytest.mark.parametrize("op", ("Posterize", "Solarize"))
def test_pil_meaning_is_the_mirror(op):
    full = {"Posterize": 4, "Solarize": 256}[op]
    for at in range(11):
        assert level(op, at, meaning="pil")[0] == full - level(op, at)[0]


def draws(space, count, seed):
    uniform = tf.random.stateless_uniform([count, space.draws], seed)
    return tf.nest.map_structure(lambda t: t.numpy(), tf.vectorized_map(space.draw, uniform))


def test_randaugment_draws_its_operations_evenly_and_independently():
    space = PolicySpace([randaugment(2, 9.0)])
    ops = draws(space, 40_000, [1, 2])["op"]
    expected = [OP_INDEX[op] for op in EXTENDED_RANDAUGMENT]
    for slot in range(2):
        share = np.bincount(ops[:, slot], minlength=max(expected) + 1)[expected] / len(ops)
        # five standard deviations of a share of 1/18 over 40,000 draws
        assert np.abs(share - 1 / 18).max() < 5 * np.sqrt(1 / 18 * 17 / 18 / len(ops))
    same = np.mean(ops[:, 0] == ops[:, 1])
    assert abs(same - 1 / 18) < 5 * np.sqrt(1 / 18 * 17 / 18 / len(ops))


def test_subpolicies_are_drawn_whole_with_their_probabilities():
    policy = autoaugment("imagenet")
    space = PolicySpace([policy])
    drawn = draws(space, 50_000, [3, 4])
    pairs = [tuple(OP_INDEX[policy.rows[2 * i + j].op] for j in range(2)) for i in range(25)]
    allowed = {(a, b) for pair in pairs for a in (0, pair[0]) for b in (0, pair[1])}
    assert {tuple(row) for row in drawn["op"]} <= allowed
    # Rotate stands in 6 sub-policies; its share is the sum of their probabilities over 25.
    rotate = sum(r.probability for r in policy.rows if r.op == "Rotate") / 25
    seen = (drawn["op"] == OP_INDEX["Rotate"]).sum() / len(drawn["op"])
    assert abs(seen - rotate) < 5 * np.sqrt(rotate / len(drawn["op"]))
    # Half of the applied rotations turn the other way.
    values = drawn["value"][drawn["op"] == OP_INDEX["Rotate"]]
    assert abs(np.mean(values < 0) - 0.5) < 5 * 0.5 / np.sqrt(len(values))
    neither = np.mean((drawn["op"] == 0).all(axis=1))
    expected = np.mean(
        [
            (1 - policy.rows[2 * i].probability) * (1 - policy.rows[2 * i + 1].probability)
            for i in range(25)
        ]
    )
    assert abs(neither - expected) < 5 * np.sqrt(expected / len(drawn["op"]))


def test_the_integrated_space_draws_each_policy_a_third_of_the_time():
    space = PolicySpace(
        [autoaugment("imagenet"), fast_autoaugment("imagenet"), randaugment(1, 9.0)]
    )
    drawn = draws(space, 30_000, [5, 6])
    share = np.bincount(drawn["policy"]) / 30_000
    assert np.abs(share - 1 / 3).max() < 5 * np.sqrt(2 / 9 / 30_000)
    # One operation of RandAugment leaves its second slot to the identity.
    assert (drawn["op"][drawn["policy"] == 2][:, 1] == 0).all()
    assert (drawn["op"][drawn["policy"] == 2][:, 0] != 0).all()
    # Empty pixels: black only in Fast AutoAugment.
    applied = drawn["op"] != 0
    fast = (drawn["policy"] == 1)[:, None] & applied
    assert (drawn["fill"][fast] == 0).all()
    assert (drawn["fill"][applied & ~fast] == 128).all()


def test_slots_beyond_those_of_a_list_are_free():
    # The list comes last, so that the free slot of its last sub-policy lies behind the table.
    space = PolicySpace([randaugment(3, 9.0), fast_autoaugment("cifar10")])
    drawn = draws(space, 20_000, [7, 8])
    of_list = drawn["policy"] == 1
    assert (drawn["op"][of_list][:, 2] == 0).all() and (drawn["op"][~of_list] != 0).all()
    last = tf.fill([1, space.draws], 1.0 - 2.0**-23)
    assert space.draw(last)["op"].numpy()[0, 2] == 0
