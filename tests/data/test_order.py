import numpy as np
import pytest
import tensorflow as tf

from ssl_tf.data.order import epoch_seed, example_seed, shuffled_index


def run_order(size: int, epochs: int, seed: int) -> np.ndarray:
    """The indices of whole epochs, [epochs, size]."""
    indices = tf.data.Dataset.range(epochs * size).map(
        lambda counter: shuffled_index(counter, size, seed)
    )
    return np.array(list(indices.as_numpy_iterator())).reshape(epochs, size)


@pytest.mark.parametrize("size", [1, 2, 3, 16, 17, 257])
def test_each_epoch_is_a_permutation(size):
    for epoch in run_order(size, 4, seed=3):
        assert sorted(epoch) == list(range(size))


def test_epochs_and_seeds_differ():
    first, second = run_order(100, 2, seed=3)
    other = run_order(100, 1, seed=4)[0]
    for a, b in ((first, second), (first, other), (second, other)):
        assert np.mean(a == b) < 0.1


def test_orders_are_uniform():
    # Each example is equally often at each place, and each ordered pair of neighbours is equally
    # frequent: chi-square per degree of freedom near 1 (it is 33 for TensorFlow's own 4 rounds).
    size, epochs = 10, 1000
    orders = run_order(size, epochs, seed=0)
    places = np.stack([(orders == index).sum(axis=0) for index in range(size)])
    expected = epochs / size
    assert ((places - expected) ** 2 / expected).sum() / (size - 1) ** 2 < 1.5
    pairs = np.zeros((size, size))
    np.add.at(pairs, (orders[:, :-1], orders[:, 1:]), 1)
    expected = epochs / size
    off_diagonal = pairs[~np.eye(size, dtype=bool)]
    assert ((off_diagonal - expected) ** 2 / expected).sum() / (size * (size - 1) - 1) < 1.5
    assert len({tuple(order) for order in orders}) > 0.99 * epochs


def test_following_epochs_are_uncorrelated():
    orders = run_order(400, 12, seed=1)
    correlations = np.corrcoef(orders)[~np.eye(12, dtype=bool)]
    # 1/sqrt(n) is the standard deviation for independent orders.
    assert np.sqrt(np.mean(correlations**2)) * np.sqrt(400) < 1.3


def test_example_seeds_are_distinct_and_pure():
    seeds = {}
    for seed in range(4):
        for epoch in range(5):
            for index in range(6):
                seeds[seed, epoch, index] = tuple(example_seed(seed, epoch, index).numpy())
    assert len(set(seeds.values())) == 4 * 5 * 6
    assert epoch_seed(1, 2).numpy().tolist() not in [list(value) for value in seeds.values()]
    in_graph = tf.data.Dataset.range(6).map(lambda index: example_seed(3, tf.constant(2), index))
    assert [tuple(value) for value in in_graph.as_numpy_iterator()] == [
        seeds[3, 2, index] for index in range(6)
    ]


@pytest.mark.parametrize("varied", [0, 1, 2])
def test_example_seeds_make_independent_streams(varied):
    def draw(number):
        arguments = [7, 7, 7]
        arguments[varied] = number
        return tf.random.stateless_uniform([8], example_seed(*arguments))

    draws = np.stack(list(tf.data.Dataset.range(500).map(draw).as_numpy_iterator()))
    assert abs(draws.mean() - 0.5) < 0.02
    # Neither within a stream nor between neighbouring streams: 0.045 is one standard deviation.
    correlations = np.corrcoef(draws, rowvar=False)[~np.eye(8, dtype=bool)]
    assert np.sqrt(np.mean(correlations**2)) < 0.07
    assert abs(np.corrcoef(draws[:-1].ravel(), draws[1:].ravel())[0, 1]) < 0.06
