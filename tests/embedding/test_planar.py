import numpy as np
from sklearn.decomposition import PCA

from ssl_tf.embedding.planar import cluster, place
from ssl_tf.embedding.principal_components import principal_components


def blobs(sizes=(30, 20, 10), dimension=64, seed=0):
    """Rows of norm 1 around as many directions, and the number of the direction of each."""
    random = np.random.default_rng(seed)
    group = random.permutation(np.repeat(np.arange(len(sizes)), sizes))
    centres = random.normal(size=[len(sizes), dimension])
    rows = centres[group] + 0.1 * random.normal(size=[len(group), dimension])
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32), group


def test_components_are_those_of_scikit_learn():
    rows = np.random.default_rng(0).normal(size=[50, 7]) * np.arange(1, 8) + 3
    rows = rows.astype(np.float32)
    ours, theirs = principal_components(rows, 4), PCA(4).fit_transform(rows)
    signs = np.sign((ours * theirs).sum(axis=0))
    np.testing.assert_allclose(ours, theirs * signs, atol=1e-4)
    assert principal_components(rows, 20).shape == (50, 7)
    # All of them keep every distance.
    kept = principal_components(rows, 7)
    np.testing.assert_allclose(
        np.linalg.norm(kept[0] - kept[1:], axis=1),
        np.linalg.norm(rows[0] - rows[1:], axis=1),
        rtol=1e-5,
    )


def test_the_map_keeps_the_neighbours_of_planted_groups():
    unit, group = blobs()
    for projection in ("tsne", "pca"):
        points, used = place(unit, projection)
        assert used == projection
        assert points.shape == (60, 2) and points.dtype == np.float32
        distances = np.linalg.norm(points[:, None] - points[None], axis=2)
        np.fill_diagonal(distances, np.inf)
        np.testing.assert_array_equal(group[distances.argmin(axis=1)], group)


def test_a_map_of_few_or_equal_rows_is_finite():
    for unit in (np.ones([1, 1]), np.ones([1, 5]), np.eye(4), np.tile([[0.6, 0.8]], [40, 1])):
        points, used = place(unit.astype(np.float32), "tsne")
        assert used == "pca"
        assert points.shape == (len(unit), 2) and np.isfinite(points).all()


def test_clusters_are_the_planted_groups_the_largest_first():
    # More groups than there can be clusters would be split at random.
    unit, group = blobs(sizes=(12, 11, 10, 9, 8, 7, 6, 5, 4, 3), seed=1)
    found = cluster(unit)
    sizes = np.bincount(found)
    assert (np.diff(sizes) <= 0).all()
    together = found[:, None] == found[None]
    planted = group[:, None] == group[None]
    # k-means may join two groups and split another; most pairs are as planted.
    assert (together == planted).mean() > 0.95


def test_equal_rows_are_one_cluster():
    np.testing.assert_array_equal(cluster(np.ones([15, 3], np.float32)), np.zeros(15))
    assert cluster(np.ones([1, 3], np.float32)).tolist() == [0]
