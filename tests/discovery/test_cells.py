import numpy as np
import pytest

from ssl_tf.discovery import cells


def test_joined_cells_have_the_mean_cosine_of_the_maps():
    random = np.random.default_rng(0)
    maps = [random.random((4, 6, 5)).astype(np.float32), random.random((4, 6, 3))]
    found = cells.joined_cells(maps, "none").reshape(24, -1)
    expected = np.zeros([24, 24])
    for of_layer in maps:
        rows = of_layer.reshape(24, -1)
        rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        expected += rows @ rows.T / 2
    np.testing.assert_allclose(found @ found.T, expected, atol=1e-6)


def test_a_coarse_map_is_brought_to_the_grid_of_the_finest():
    coarse = np.array([[[1.0, 0.0], [0.0, 1.0]]], np.float32)
    fine = np.ones([2, 4, 3], np.float32)
    found = cells.joined_cells([coarse, fine], "none")
    assert found.shape == (2, 4, 5)
    np.testing.assert_allclose(np.linalg.norm(found, axis=2), 1, atol=1e-6)
    # bilinear: the outer cells are those of the coarse map, the inner ones three quarters of them
    inner = np.array([0.75, 0.25]) / np.hypot(0.75, 0.25)
    np.testing.assert_allclose(found[0, :2, :2] * np.sqrt(2), [[1, 0], inner], atol=1e-6)


def test_centred_cells_forget_what_all_share_and_whitened_ones_how_it_is_scaled():
    random = np.random.default_rng(1)
    maps = random.standard_normal((8, 9, 4)).astype(np.float32)
    centred = cells.normalized(maps, "centre")
    np.testing.assert_allclose(cells.normalized(maps + 7, "centre"), centred, atol=1e-4)
    rows = maps.reshape(-1, 4) - maps.reshape(-1, 4).mean(axis=0)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    np.testing.assert_allclose(centred.reshape(-1, 4), rows, atol=1e-5)
    # the shrinkage is a tenth of the mean variance: by hand
    data = (maps * [4, 1, 1, 1]).reshape(-1, 4).astype(np.float32)
    data -= data.mean(axis=0)
    covariance = data.T @ data / len(data)
    precision = np.linalg.inv(covariance + 0.1 * np.trace(covariance) / 4 * np.eye(4))
    expected = data @ precision @ data.T
    scale = np.sqrt(np.diag(expected))
    found = cells.normalized(maps * np.float32([4, 1, 1, 1]), "whiten").reshape(-1, 4)
    np.testing.assert_allclose(found @ found.T, expected / np.outer(scale, scale), atol=1e-4)


GOOD = np.random.default_rng(2).random((5, 4, 3)).astype(np.float32)


@pytest.mark.parametrize(
    "maps, told",
    [
        ([GOOD], ""),
        ([GOOD[:1, :1]], "a map of one cell"),
        ([np.ones([5, 4, 3])], "the same features everywhere"),
        ([np.zeros([5, 4, 3])], "the same features everywhere"),
        ([np.where(np.arange(3) == 1, np.nan, GOOD)], "features that are no finite numbers"),
        ([GOOD, GOOD * np.inf], "features that are no finite numbers"),
        ([np.tile(GOOD, (3, 3, 1))], "a map of more than --max_cells"),
        ([np.ones([5, 4, 3]), GOOD], ""),
    ],
)
def test_maps_without_objects_are_told_in_a_few_words(maps, told):
    assert cells.trouble_of(maps, max_cells=100) == told
