"""What is drawn, against the law of the tables: chi-square and Kolmogorov-Smirnov, fixed seeds."""

import collections
import hashlib
import itertools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from ssl_tf.data.batches import training_batches
from ssl_tf.data.order import Steps, epoch_seed, example_seed
from ssl_tf.data.scenes.shapes import Scenes
from ssl_tf.settings import ViewSettings
from ssl_tf.views import crops
from ssl_tf.views.ops import OP_INDEX
from ssl_tf.views.policies import (
    PolicySpace,
    autoaugment,
    autoaugment_torchvision,
    fast_autoaugment,
    randaugment,
    randaugment_torchvision,
)
from ssl_tf.views.recipe import Recipe

DRAWS = 100_000
UNLIKELY = 1e-4
NOTHING = (0, 0.0)  # the identity, of whatever value


def draws(space, seed):
    uniform = tf.random.stateless_uniform([DRAWS, space.draws], [seed, 17])
    return tf.nest.map_structure(lambda t: t.numpy(), space.draw(uniform))


def row_law(row):
    """(operation, value) -> probability; of a value from a range, the quarter it lies in."""
    if row.low == row.high:
        values = [row.low, -row.low] if row.signed else [row.low]
    else:
        values = [0.0, 1.0, 2.0, 3.0]
    law = collections.Counter()
    for value in values:
        # A value of -0.0 counts as 0.0.
        law[OP_INDEX[row.op], float(np.float32(value)) + 0.0] += row.probability / len(values)
    law[NOTHING] += 1 - row.probability
    return law


def product(first, second):
    law = collections.Counter()
    for (a, p), (b, q) in itertools.product(first.items(), second.items()):
        law[a + b] += p * q
    return law


def policy_law(policy, slots):
    """(operation, value) of each of the slots -> probability, worked out row by row."""
    law = collections.Counter()
    free = collections.Counter({NOTHING: 1.0})
    if policy.grouped:
        for first, second in zip(policy.rows[::2], policy.rows[1::2]):
            for outcome, p in product(row_law(first), row_law(second)).items():
                law[outcome] += p / policy.choices
        return law
    one = collections.Counter()
    for row in policy.rows:
        for outcome, p in row_law(row).items():
            one[outcome] += p / policy.choices
    law = one
    for slot in range(1, slots):
        law = product(law, one if slot < policy.slots else free)
    return law


def outcomes(policy, ops, values):
    """The drawn operations and values of one policy, as `policy_law` names them."""
    ranged = {OP_INDEX[r.op]: r for r in policy.rows if r.low != r.high}
    columns = []
    for op, value in zip(ops.T, values.T):
        value = np.where(op == 0, 0.0, value.astype(np.float64)) + 0.0
        for index, row in ranged.items():
            quarter = np.floor(4 * (value - row.low) / (row.high - row.low))
            value = np.where(op == index, np.clip(quarter, 0, 3), value)
        columns += [op, value]
    rows, counts = np.unique(np.stack(columns, axis=1), axis=0, return_counts=True)
    return {tuple(row): count for row, count in zip(rows.tolist(), counts)}


def marginal(weights, part):
    """The weights of outcomes, summed over all that have the same `part`."""
    summed = collections.Counter()
    for outcome, weight in weights.items():
        summed[part(outcome)] += weight
    return summed


def p_value(counted, law, total):
    """Of the chi-square test; outcomes expected fewer than five times are taken together."""
    assert counted.keys() <= law.keys()
    assert sum(law.values()) == pytest.approx(1.0)
    cells, rare = [], np.zeros(2)
    for outcome, p in law.items():
        cell = np.array([counted.get(outcome, 0), p * total])
        if cell[1] < 5:
            rare += cell
        else:
            cells.append(cell)
    if rare[1] >= 5:
        cells.append(rare)
    elif rare[1]:
        cells[0] = cells[0] + rare
    observed, expected = np.array(cells).T
    return stats.chisquare(observed, expected).pvalue


SPACES = {
    "autoaugment imagenet": [autoaugment("imagenet")],
    "autoaugment cifar10": [autoaugment("cifar10")],
    "autoaugment svhn, pil": [autoaugment("svhn", "pil")],
    "fast_autoaugment": [fast_autoaugment("imagenet")],
    "randaugment 1 of 3": [randaugment(1, 3.0)],
    "randaugment 2 of 9": [randaugment(2, 9.0)],
    "randaugment 2 of 30, scale 30": [randaugment(2, 30.0, 30)],
    "torchvision's": [autoaugment_torchvision("cifar10"), randaugment_torchvision(2, 9.0)],
    "integrated": [autoaugment("imagenet"), fast_autoaugment("imagenet"), randaugment(2, 9.0)],
}


@pytest.mark.parametrize("name", SPACES)
def test_operations_values_signs_and_subpolicies_are_drawn_as_the_table_says(name):
    policies = SPACES[name]
    space = PolicySpace(policies)
    drawn = draws(space, sum(map(ord, name)))
    of_policy = np.bincount(drawn["policy"], minlength=len(policies))
    if len(policies) > 1:
        assert stats.chisquare(of_policy).pvalue > UNLIKELY
    for index, policy in enumerate(policies):
        mine = drawn["policy"] == index
        counted = outcomes(policy, drawn["op"][mine], drawn["value"][mine])
        law = policy_law(policy, space.slots)
        assert p_value(counted, law, mine.sum()) > UNLIKELY, policy.name
        # The joint law has thousands of outcomes; few outcomes show a small bias.
        for part in (lambda o: o[0::2], lambda o: o[0], lambda o: np.sign(o[1])):
            p = p_value(marginal(counted, part), marginal(law, part), mine.sum())
            assert p > UNLIKELY, policy.name


def test_a_drawn_value_is_uniform_in_its_range():
    policy = randaugment(1, 9.0)
    drawn = draws(PolicySpace([policy]), 3)
    ranged = [row for row in policy.rows if row.low != row.high]
    assert len(ranged) == 5
    for row in ranged:
        values = drawn["value"][drawn["op"] == OP_INDEX[row.op]]
        uniform = stats.uniform(row.low, row.high - row.low)
        assert stats.kstest(values, uniform.cdf).pvalue > UNLIKELY, row.op


def test_three_randaugment_operations_are_pairwise_independent():
    ops = draws(PolicySpace([randaugment(3, 9.0)]), 4)["op"]
    for a, b in ((0, 1), (0, 2), (1, 2)):
        assert contingency(ops[:, a], ops[:, b]) > UNLIKELY


def contingency(first, second):
    """p of the hypothesis that two columns of small integers are independent."""
    table = np.zeros([first.max() + 1, second.max() + 1])
    np.add.at(table, (first, second), 1)
    table = table[table.any(axis=1)][:, table.any(axis=0)]
    return stats.chi2_contingency(table).pvalue


SIDE = 10_000  # large, so that whole pixels do not show


def boxes(law, numbers, seed):
    uniform = tf.random.stateless_uniform([DRAWS, numbers], [seed, 5])
    drawn = tf.vectorized_map(lambda u: law(tf.constant(SIDE), tf.constant(SIDE), u), uniform)
    return drawn.numpy().astype(np.float64).T / SIDE


def test_the_uniform_crop_has_a_uniform_side_and_place():
    top, left, h, w = boxes(lambda *args: crops.uniform_crop(*args, (0.5, 1.0)), 3, 1)
    np.testing.assert_array_equal(h, w)
    assert stats.kstest(h, stats.uniform(0.5, 0.5).cdf).pvalue > UNLIKELY
    free = h < 0.9
    for place in (top, left):
        share = place[free] / (1 - h[free])
        assert stats.kstest(share, stats.uniform().cdf).pvalue > UNLIKELY
    assert abs(np.corrcoef(top[free] / (1 - h[free]), h[free])[0, 1]) < 5 / np.sqrt(free.sum())


def test_the_byol_crop_has_a_uniform_area_and_a_log_uniform_aspect():
    *_, h, w = boxes(lambda *args: crops.byol_crop(*args, (0.08, 1.0)), 4, 2)
    area, aspect = h * w, np.log(w / h) / np.log(4 / 3)
    # Below 3/4 no side reaches the image; what is cut keeps at least 3/4 of it.
    whole = area < 0.7499
    share = (0.7499 - 0.08) / 0.92
    assert stats.binomtest(int(whole.sum()), DRAWS, share).pvalue > UNLIKELY
    assert stats.kstest(area[whole], stats.uniform(0.08, 0.7499 - 0.08).cdf).pvalue > UNLIKELY
    assert stats.kstest(aspect[whole], stats.uniform(-1, 2).cdf).pvalue > UNLIKELY
    assert abs(np.corrcoef(area[whole], aspect[whole])[0, 1]) < 5 / np.sqrt(whole.sum())


def test_two_views_of_an_image_are_independent():
    recipe = Recipe(
        ViewSettings(image_size=8, randaugment_ops=1, view_strategies=("randaugment",) * 2)
    )
    count = 6000
    made = (
        tf.data.Dataset.range(count)
        .map(
            lambda index: recipe(tf.zeros([64, 64, 3], tf.uint8), example_seed(0, 3, index)),
            num_parallel_calls=2,
        )
        .batch(count)
        .get_single_element()
    )
    ops = made["op"].numpy()[..., 0]
    assert contingency(ops[:, 0], ops[:, 1]) > UNLIKELY
    flipped = made["flipped"].numpy().astype(int)
    assert contingency(flipped[:, 0], flipped[:, 1]) > UNLIKELY
    assert contingency(flipped[:, 0], ops[:, 0]) > UNLIKELY
    sides = made["rectangles"].numpy().reshape(count, 8)
    between = np.corrcoef(sides.T)[:4, 4:]
    assert np.abs(between).max() < 5 / np.sqrt(count)


def first_numbers(seed, epochs, indices):
    """The seeds of (epoch, index) pairs and the first four numbers of their streams."""

    def numbers(epoch, index):
        own = example_seed(seed, epoch, index)
        return own, tf.random.stateless_uniform([4], own)

    pairs = np.stack(np.meshgrid(epochs, indices, indexing="ij"), axis=-1).reshape(-1, 2)
    data = tf.data.Dataset.from_tensor_slices((pairs[:, 0], pairs[:, 1])).map(numbers)
    seeds, uniform = data.batch(len(pairs)).get_single_element()
    shape = [len(epochs), len(indices), -1]
    return seeds.numpy().reshape(shape), uniform.numpy().reshape(shape)


def test_images_epochs_and_seeds_have_streams_of_their_own():
    epochs, indices = np.arange(25), np.arange(1000)
    runs = [first_numbers(seed, epochs, indices) for seed in (0, 1, 2, 7)]
    seeds = np.stack([seeds for seeds, _ in runs])
    assert len(np.unique(seeds.reshape(-1, 2), axis=0)) == 4 * 25 * 1000
    # Nor does the order of an epoch use the stream of an image.
    orders = np.stack([epoch_seed(seed, epoch).numpy() for seed in (0, 1) for epoch in range(25)])
    assert not set(map(tuple, orders)) & set(map(tuple, seeds.reshape(-1, 2)))
    uniform = np.stack([numbers for _, numbers in runs])
    assert stats.kstest(uniform[..., 0].ravel(), stats.uniform().cdf).pvalue > UNLIKELY
    for axis in range(4):  # runs, epochs, images, and the numbers of one image
        count = uniform.shape[axis]
        first, second = (uniform.take(range(i, count - 1 + i), axis).ravel() for i in (0, 1))
        assert abs(np.corrcoef(first, second)[0, 1]) < 5 / np.sqrt(first.size), axis


def batches_of_a_run():
    """Six batches that need every kind of randomness, from the second on."""
    settings = ViewSettings(
        image_size=8, randaugment_ops=1, view_strategies=("randaugment", "byol_t_prime")
    )
    return training_batches(Scenes("train", 24, 16), Recipe(settings), Steps(11, 8, 1, 7))


def digest(batches, threads):
    """SHA-256 of all that the batches hold, made by this many threads."""
    options = tf.data.Options()
    options.threading.private_threadpool_size = threads
    found = hashlib.sha256()
    for batch in batches.with_options(options).as_numpy_iterator():
        for tensor in tf.nest.flatten(batch):
            found.update(np.ascontiguousarray(tensor).tobytes())
    return found.hexdigest()


def test_the_same_bits_with_any_number_of_threads_and_in_another_process():
    code = f"import {__name__} as t; print(t.digest(t.batches_of_a_run(), 2))"
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(root), "TF_CPP_MIN_LOG_LEVEL": "3"},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        batches = batches_of_a_run()
        here = {digest(batches, threads) for threads in (1, 2, 4)}
        there = process.communicate()[0].strip()
    assert here == {there}
