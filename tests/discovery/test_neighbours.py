import numpy as np

from ssl_tf.discovery import neighbours


def test_nearest_images_are_those_of_the_full_sort():
    descriptors = np.random.default_rng(0).standard_normal((23, 7)).astype(np.float32)
    neighbours._BLOCK_FLOATS, kept = 50, neighbours._BLOCK_FLOATS
    blocked = neighbours.nearest_images(descriptors, 5)
    neighbours._BLOCK_FLOATS = kept
    unit = descriptors / np.linalg.norm(descriptors, axis=1, keepdims=True)
    cosine = unit @ unit.T
    np.fill_diagonal(cosine, -np.inf)
    np.testing.assert_array_equal(blocked, np.argsort(-cosine, axis=1)[:, :5])
    np.testing.assert_array_equal(neighbours.nearest_images(descriptors, 5), blocked)
    assert neighbours.nearest_images(descriptors[:3], 5).shape == (3, 2)
    assert neighbours.nearest_images(descriptors[:1], 5).shape == (1, 0)


def test_pairs_are_joined_by_union_once_each():
    found = neighbours.unordered_pairs(np.array([[1], [0], [1], [0]]))
    assert found.tolist() == [[0, 1], [0, 3], [1, 2]]
    assert neighbours.unordered_pairs(np.zeros([1, 0], np.int64)).shape == (0, 2)


def test_pairs_are_shared_out_evenly():
    pairs = np.array([(i, j) for i in range(40) for j in range(i + 1, 40)])
    owner = neighbours.owners(pairs)
    assert ((owner == pairs[:, 0]) | (owner == pairs[:, 1])).all()
    owned = np.bincount(owner, minlength=40)
    assert owned.min() >= 19 and owned.max() <= 20
