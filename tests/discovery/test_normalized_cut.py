"""Normalized cuts against a slow transcription of the papers, and on maps with known objects."""

import numpy as np
import pytest
import scipy.linalg

from ssl_tf.discovery import normalized_cut
from ssl_tf.discovery.cells import joined_cells


def slow_cuts(cells, threshold, objects):
    """TokenCut's algorithm, cell by cell, with dense eigenvectors of (D - E, D).

    The cells of an object that was found are not there any more when the next one is looked for.
    """
    height, width, _ = cells.shape
    free = list(range(height * width))
    masks = []
    while len(masks) < objects:
        graph = np.zeros([len(free), len(free)])
        for i, one in enumerate(free):
            for j, other in enumerate(free):
                first = cells[one // width, one % width].astype(float)
                second = cells[other // width, other % width].astype(float)
                cosine = first @ second / np.linalg.norm(first) / np.linalg.norm(second)
                graph[i, j] = 1.0 if cosine > threshold else 1e-5
        degree = np.diag(graph.sum(axis=1))
        _, vectors = scipy.linalg.eigh(degree - graph, degree, subset_by_index=[1, 1])
        vector = vectors[:, 0]
        seed = max(range(len(free)), key=lambda n: abs(vector[n]))
        above = vector > vector.mean()
        side = {cell for n, cell in enumerate(free) if above[n] == above[seed]}
        reached, border = {free[seed]}, [free[seed]]
        while border:
            row, column = divmod(border.pop(), width)
            for r, c in (
                (row - 1, column),
                (row + 1, column),
                (row, column - 1),
                (row, column + 1),
            ):
                if 0 <= c < width and r * width + c in side - reached:
                    reached.add(r * width + c)
                    border.append(r * width + c)
        mask = np.zeros(height * width, bool)
        mask[list(reached)] = True
        masks.append(mask)
        free = [cell for cell in free if cell not in reached]
    return np.array(masks).reshape(-1, height, width)


def planted(height, width, boxes, noise=0.2, seed=0):
    """A map of one feature for the background and one for each box of cells, with noise."""
    random = np.random.default_rng(seed)
    features = np.eye(len(boxes) + 1, 8)
    cells = np.tile(features[0], (height, width, 1))
    for number, (top, left, bottom, right) in enumerate(boxes, 1):
        cells[top:bottom, left:right] = features[number]
    return (cells + noise * random.standard_normal(cells.shape)).astype(np.float32)


def cut(maps, threshold, objects, weights="hard"):
    cells = joined_cells([maps], "none")
    vectors = cells.reshape(-1, cells.shape[-1])
    similarity = vectors @ vectors.T
    return normalized_cut.cut_objects(similarity, cells.shape[:2], threshold, weights, objects)


@pytest.mark.parametrize("seed", range(4))
def test_cuts_equal_those_of_the_slow_transcription(seed):
    random = np.random.default_rng(seed)
    maps = planted(7, 9, [(1, 1, 4, 4), (3, 5, 7, 8)], noise=0.25, seed=seed)
    threshold = random.uniform(0.3, 0.5)
    expected = slow_cuts(maps, threshold, 3)
    np.testing.assert_array_equal(cut(maps, threshold, 3), expected)


@pytest.mark.parametrize("weights", ["hard", "soft"])
def test_planted_objects_are_found_one_after_the_other(weights):
    boxes = [(2, 2, 9, 8), (11, 9, 16, 15)]
    masks = cut(planted(18, 16, boxes), 0.5, 2, weights)
    expected = np.zeros([2, 18, 16], bool)
    for mask, (top, left, bottom, right) in zip(expected, boxes):
        mask[top:bottom, left:right] = True
    assert {mask.tobytes() for mask in masks} == {mask.tobytes() for mask in expected}


@pytest.mark.parametrize("count", [2, 3, 40])
def test_the_vector_is_the_second_of_the_generalized_problem(count):
    random = np.random.default_rng(count)
    weights = random.random((count, count)).astype(np.float32)
    weights = weights + weights.T
    degree = np.diag(weights.sum(axis=1))
    _, vectors = scipy.linalg.eigh(degree - weights, degree, subset_by_index=[1, 1])
    found, expected = normalized_cut.second_vector(weights), vectors[:, 0]
    found = found / np.linalg.norm(found) * np.sign(found @ expected)
    np.testing.assert_allclose(found, expected / np.linalg.norm(expected), atol=1e-3)


def test_soft_links_weigh_their_cosine_and_faint_ones_hold_the_graph_together():
    similarity = np.array([[1, 0.6, 0.1], [0.6, 1, -0.5], [0.1, -0.5, 1]], np.float32)
    faint = np.float32(1e-5)
    soft = [[1, 0.6, faint], [0.6, 1, faint], [faint, faint, 1]]
    np.testing.assert_array_equal(
        normalized_cut.link_weights(similarity, 0.2, "soft"), np.array(soft, np.float32)
    )
    hard = [[1, 1, faint], [1, 1, faint], [faint, faint, 1]]
    np.testing.assert_array_equal(
        normalized_cut.link_weights(similarity, 0.2, "hard"), np.array(hard, np.float32)
    )
