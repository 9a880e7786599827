"""Nearest neighbours against a slow loop and against scikit-learn."""

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from ssl_tf.evaluation import knn
from ssl_tf.evaluation.nearest import nearest


def features(count, seed, dimension=7):
    rng = np.random.default_rng(seed)
    # Rows of all lengths: only directions may count.
    return rng.normal(size=(count, dimension)) * rng.uniform(0.1, 9, (count, 1))


def test_the_nearest_are_those_of_scikit_learn():
    queries, bank = features(9, 0), features(50, 1)
    distances, expected = (
        NearestNeighbors(n_neighbors=6, metric="cosine").fit(bank).kneighbors(queries)
    )
    indices, cosines = nearest(queries, bank, 6)
    assert (indices.dtype, cosines.dtype) == (np.int64, np.float32)
    np.testing.assert_array_equal(indices, expected)
    np.testing.assert_allclose(cosines, 1 - distances, atol=1e-6)


def test_blocks_change_nothing(monkeypatch):
    queries, bank = features(9, 0), features(2500, 1)
    indices, cosines = nearest(queries, bank, 5)
    unit = bank / np.linalg.norm(bank, axis=1, keepdims=True)
    for query, found, values in zip(queries, indices, cosines):
        similarity = unit @ query / np.linalg.norm(query)
        np.testing.assert_array_equal(found, np.argsort(-similarity)[:5])
        np.testing.assert_allclose(values, np.sort(similarity)[::-1][:5], atol=1e-6)
    assert len(bank) > 2 * knn.BLOCK


def test_an_image_is_not_its_own_neighbour():
    bank = features(30, 2)
    own = np.array([4, 17, -1])
    queries = bank[[4, 17, 9]]
    indices, cosines = nearest(queries, bank, 5, own=own)
    everything, all_cosines = nearest(queries, bank, 6)
    np.testing.assert_array_equal(everything[:, 0], [4, 17, 9])
    np.testing.assert_array_equal(indices[:2], everything[:2, 1:])
    np.testing.assert_array_equal(cosines[:2], all_cosines[:2, 1:])
    # The last one is not excluded, so it is found.
    np.testing.assert_array_equal(indices[2], everything[2, :5])


def test_equal_rows_do_not_take_the_place_of_the_excluded_one():
    bank = np.tile([[1.0, 2.0]], [6, 1])
    indices, cosines = nearest(bank[:3], bank, 2, own=np.arange(3))
    np.testing.assert_array_equal(indices, [[1, 2], [0, 2], [0, 1]])
    np.testing.assert_allclose(cosines, 1, atol=1e-6)
    # The own row is not among the first three of six equal ones.
    indices, _ = nearest(bank[5:], bank, 2, own=np.array([5]))
    np.testing.assert_array_equal(indices, [[0, 1]])


@pytest.mark.parametrize("own, expected", [(None, 3), (np.array([1]), 2)])
def test_a_small_bank_gives_all_it_has(own, expected):
    bank = features(3, 3)
    indices, cosines = nearest(bank[1:2], bank, 10, own=own)
    assert indices.shape == cosines.shape == (1, expected)
    assert set(indices[0]) == ({0, 1, 2} if own is None else {0, 2})


def test_zeros_have_the_cosine_zero():
    indices, cosines = nearest(np.zeros([1, 3]), np.eye(3), 3)
    np.testing.assert_array_equal(indices, [[0, 1, 2]])
    np.testing.assert_array_equal(cosines, [[0, 0, 0]])
