import dataclasses

import numpy as np
import pytest

from ssl_tf.discovery import graph, ranking
from ssl_tf.settings import RankingSettings

COUNTS = np.array([7, 0, 5, 9, 6, 8])
LONG = RankingSettings(iterations=200_000, stop_change=1e-15)


def random_matrix(seed=0):
    """Symmetric, sparse, zero inside images; the last region has no match."""
    random = np.random.default_rng(seed)
    image = np.repeat(np.arange(len(COUNTS)), COUNTS)
    size = len(image)
    matrix = random.random((size, size)) * (random.random((size, size)) < 0.4)
    matrix = np.triu(matrix * (image[:, None] != image), 1)
    matrix[:, -1] = 0
    # as the shards keep them
    return (matrix + matrix.T).astype(np.float32).astype(np.float64)


def write_blocks(matrix, directory, images_of_a_shard):
    starts = np.append(0, np.cumsum(COUNTS))
    paths = []
    for number, first in enumerate(range(0, len(COUNTS), images_of_a_shard)):
        last = min(first + images_of_a_shard, len(COUNTS))
        start, stop = starts[first], starts[last]
        rows, columns = np.nonzero(matrix[start:stop])
        rows += start
        # each pair once: by the parity of the sum, as the images share theirs
        mine = ((rows + columns) % 2 == 0) == (rows < columns)
        rows, columns = rows[mine], columns[mine]
        block = graph.make_block(start, stop - start, rows, columns, matrix[rows, columns])
        paths.append(directory / f"{images_of_a_shard}_{number}.npz")
        graph.write_block(paths[-1], block)
    return paths


@pytest.mark.parametrize("column, dtype", [(2**31 - 1, np.int32), (2**31 + 5, np.int64)])
def test_numbers_of_regions_do_not_wrap(column, dtype, tmp_path):
    first = 2**31 - 9
    rows, columns = np.array([first + 1, first + 1]), np.array([7, column])
    graph.write_block(tmp_path / "block.npz", graph.make_block(first, 2, rows, columns, [1.0, 2.0]))
    block = graph.read_block(tmp_path / "block.npz")
    assert block.start == first and block.columns.tolist() == [7, column]
    # Nearly all files keep the half of the bytes.
    assert block.columns.dtype == dtype and block.bytes == 16 * 2 + 2 * dtype().nbytes + 8 * 3


def test_shards_multiply_like_the_matrix_with_and_without_memory(tmp_path):
    matrix = random_matrix()
    vector = np.random.default_rng(1).random(len(matrix))
    for images in (1, 2, 6):
        kept = graph.Graph(write_blocks(matrix, tmp_path, images), len(matrix), memory_mib=10)
        streamed = graph.Graph(kept._paths, len(matrix), memory_mib=0)
        assert streamed.blocks_in_memory == 0 and kept.blocks_in_memory == len(kept._paths)
        assert kept.entries == streamed.entries == np.count_nonzero(matrix)
        np.testing.assert_allclose(kept.degree, matrix.sum(axis=1), rtol=1e-12)
        for one in (kept, streamed):
            np.testing.assert_allclose(one.product(vector), matrix @ vector, rtol=1e-12)
        for name in ("q", "pagerank", "lod"):
            settings = RankingSettings()
            ranks = [
                ranking.rank_regions(name, one.product, one.degree, COUNTS, settings)
                for one in (kept, streamed)
            ]
            np.testing.assert_array_equal(ranks[0], ranks[1])
            dense = ranking.rank_regions(
                name, lambda v: matrix @ v, matrix.sum(axis=1), COUNTS, settings
            )
            np.testing.assert_allclose(ranks[0], dense, rtol=1e-9, atol=1e-15)


def test_q_is_the_dominant_eigenvector():
    matrix = random_matrix()
    degree = matrix.sum(axis=1)
    linked = degree > 0
    assert linked.sum() == len(matrix) - 1
    settings = dataclasses.replace(LONG, damping=0.05)
    found = ranking.quadratic(lambda v: matrix @ v, degree, settings)
    damped = 0.95 * matrix + 0.05 / linked.sum() * np.outer(linked, linked)
    values, vectors = np.linalg.eigh(damped)
    np.testing.assert_allclose(found, np.abs(vectors[:, -1]), atol=1e-12)
    assert found @ damped @ found == pytest.approx(values[-1], rel=1e-12)
    # with the published damping and steps it is as close as the gap of the eigenvalues lets it
    published = ranking.quadratic(lambda v: matrix @ v, degree, RankingSettings())
    np.testing.assert_allclose(published, np.abs(np.linalg.eigh(matrix)[1][:, -1]), atol=1e-3)


def test_page_rank_solves_its_linear_system():
    matrix = random_matrix()
    degree = matrix.sum(axis=1)
    linked = degree > 0
    walk = np.divide(matrix, degree, where=linked, out=np.zeros_like(matrix))
    settings = dataclasses.replace(LONG, teleport=0.1, damping=0.2)
    uniform = linked / linked.sum()
    expected = np.linalg.solve(np.eye(len(matrix)) - 0.9 * walk, 0.1 * uniform)
    found = ranking.page_rank(lambda v: matrix @ v, degree, settings)
    np.testing.assert_allclose(found, expected, atol=1e-13)
    restart = np.zeros(len(matrix))
    restart[[3, 9]] = 0.5
    # v = (1 - t) ((1 - c) W/d v + c u) + t r
    expected = np.linalg.solve(
        np.eye(len(matrix)) - 0.9 * 0.8 * walk, 0.9 * 0.2 * uniform + 0.1 * restart
    )
    found = ranking.page_rank(lambda v: matrix @ v, degree, settings, restart)
    np.testing.assert_allclose(found, expected, atol=1e-13)


def test_a_long_walk_without_restart_forgets_all_but_the_degree():
    matrix = random_matrix()
    degree = matrix.sum(axis=1)
    settings = dataclasses.replace(LONG, teleport=0.0, damping=0.0)
    restart = np.zeros(len(matrix))
    restart[4] = 1.0
    found = ranking.page_rank(lambda v: matrix @ v, degree, settings, restart)
    np.testing.assert_allclose(found, degree / degree.sum(), atol=1e-12)


def test_seeds_are_the_best_regions_of_the_best_images():
    counts = np.array([3, 0, 2, 4])
    worth = np.array([0.1, 0.5, 0.2, 0.9, 0.3, 0.4, 0.4, 0.1, 0.0])
    degree = np.ones(9)
    # 0.5 of 4 images: images 2 (region 3) and 0 (region 1)
    expected = np.zeros(9)
    expected[[1, 3]] = 0.5
    np.testing.assert_array_equal(ranking.seeds(worth, degree, counts, 0.5), expected)
    # without matches there, every region that has one
    degree[[1, 3]] = 0
    np.testing.assert_allclose(ranking.seeds(worth, degree, counts, 0.5), degree / 7)


def test_the_stop_is_the_published_one_or_relative_to_the_vector():
    steps = {}
    matrix = random_matrix()
    for measure in ("absolute", "relative"):
        seen = []
        settings = RankingSettings(stop_measure=measure, stop_change=1e-2)
        ranking.page_rank(
            lambda v: matrix @ v,
            matrix.sum(axis=1),
            settings,
            on_iteration=lambda _, n: seen.append(n),
        )
        steps[measure] = len(seen)
    assert steps["absolute"] < steps["relative"] < 100
    assert steps["relative"] > 2


def test_without_any_match_all_are_worth_nothing():
    zeros = np.zeros(5)
    for name in ("lod", "q", "pagerank", "degree"):
        worth = ranking.rank_regions(
            name, lambda v: 0 * v, zeros, np.array([2, 3]), RankingSettings()
        )
        np.testing.assert_array_equal(worth, zeros)
