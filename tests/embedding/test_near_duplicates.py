import numpy as np
import pytest

from ssl_tf.embedding.near_duplicates import NEAR_DUPLICATES, find_pairs, write_pairs
from ssl_tf.embedding.rows import Rows


def unit_rows(count, dimension, seed=0, copies=20):
    """Random directions, the last of which are noisy copies of the first."""
    random = np.random.default_rng(seed)
    rows = random.normal(size=[count, dimension])
    noise = np.linspace(0, 0.6, copies)[:, None]
    rows[-copies:] = rows[:copies] + noise * random.normal(size=[copies, dimension])
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def slow(unit, least_cosine):
    found = [
        (float(unit[a] @ unit[b]), a, b)
        for a in range(len(unit))
        for b in range(a + 1, len(unit))
        if unit[a] @ unit[b] >= least_cosine
    ]
    return sorted(found, key=lambda pair: (-pair[0], *pair[1:]))


@pytest.mark.parametrize("dimension", [3, 100])
@pytest.mark.parametrize("block", [7, 32, 2048])
@pytest.mark.parametrize("least_cosine", [0.8, 0.9005, 0.99])
def test_pairs_are_those_of_a_slow_loop(dimension, block, least_cosine):
    unit = unit_rows(90, dimension)
    pairs = find_pairs(unit, least_cosine, block=block)
    expected = slow(unit, least_cosine)
    assert len(expected) >= 5 and pairs.total == len(expected)
    assert set(zip(pairs.first, pairs.second)) == {pair[1:] for pair in expected}
    np.testing.assert_allclose(pairs.cosine, [pair[0] for pair in expected], atol=1e-6)
    assert (pairs.first < pairs.second).all() and (np.diff(pairs.cosine) <= 0).all()


def test_the_nearest_are_listed_and_all_are_counted():
    unit = np.tile(np.float32([0.6, 0.8]), [30, 1])
    pairs = find_pairs(unit, 1.0, most=10)
    assert pairs.total == 30 * 29 // 2
    assert list(zip(pairs.first, pairs.second)) == [(0, n) for n in range(1, 11)]
    pairs = find_pairs(unit, 1.0, most=10, block=4)
    assert pairs.total == 30 * 29 // 2
    assert len(set(zip(pairs.first, pairs.second))) == 10 and (pairs.first < pairs.second).all()
    unit = unit_rows(90, 100)
    few, many = find_pairs(unit, 0.8, most=3, block=7), find_pairs(unit, 0.8)
    np.testing.assert_array_equal(few.first, many.first[:3])
    np.testing.assert_array_equal(few.second, many.second[:3])
    assert few.total == many.total > 12


def test_unlike_rows_have_no_pair():
    pairs = find_pairs(np.eye(5, dtype=np.float32), 0.5)
    assert pairs.total == 0 and len(pairs.first) == len(pairs.cosine) == 0


def test_the_list_names_both_images(tmp_path):
    unit = np.float32([[1, 0], [0, 1], [1, 0]])
    rows = Rows(
        index=np.array([4, 6, 9]),
        id=np.array(["a,b", "c", "d"]),
        features=unit,
        label=np.array([1, 0, 2]),
    )
    write_pairs(tmp_path, find_pairs(unit, 0.9), rows)
    assert (tmp_path / NEAR_DUPLICATES).read_text() == (
        'cosine,index_a,id_a,label_a,index_b,id_b,label_b\n1.000000,4,"a,b",1,9,d,2\n'
    )
