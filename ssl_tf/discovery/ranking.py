"""Scores of regions in the graph of all matches, by four rankers.

W [R, R] is symmetric and non-negative, and only its products with vectors are computed. d = W 1 is
the degree; a region with d > 0 is linked.

W is symmetric, so that the walks of PageRank and LOD would converge to a multiple of d. The start
vector and the published stop after 100 steps are therefore part of the method, and d itself
(`degree`) is the cheap baseline. The published stop is an absolute change of vectors whose entries
shrink as 1/R; `stop_measure` can make it relative.
"""

from collections.abc import Callable

import numpy as np

from ssl_tf.settings import RankingSettings

Product = Callable[[np.ndarray], np.ndarray]


def rank_regions(
    name: str,
    product: Product,
    degree: np.ndarray,
    counts: np.ndarray,
    settings: RankingSettings,
    on_iteration: Callable[[str, int], None] = lambda stage, step: None,
) -> np.ndarray:
    """The score of every region, float64 [R].

    Args:
        name: lod, q, pagerank or degree.
        product: v -> W v.
        degree: float64 [R], W 1.
        counts: int [N], number of regions of each image, in the order of the regions.
        settings: damping, teleport, iterations and the stop.
        on_iteration: called before each iteration with the name of the ranker and the step.
    """
    if name == "degree":
        return degree
    if name == "pagerank":
        return page_rank(product, degree, settings, on_iteration=on_iteration)
    scores = quadratic(product, degree, settings, on_iteration)
    if name == "q":
        return scores
    restart = seeds(scores, degree, counts, settings.seed_share)
    return page_rank(product, degree, settings, restart, on_iteration)


def quadratic(
    product: Product,
    degree: np.ndarray,
    settings: RankingSettings,
    on_iteration: Callable[[str, int], None] = lambda stage, step: None,
) -> np.ndarray:
    """Q: the unit vector y >= 0 that maximizes y' W y, the dominant eigenvector of the damped W."""
    linked = degree > 0
    count = max(1, linked.sum())
    damping = settings.damping
    vector = linked / np.sqrt(count)
    for step in range(settings.iterations):
        on_iteration("q", step)
        next_vector = (1 - damping) * product(vector) + damping * vector.sum() / count * linked
        next_vector /= max(np.linalg.norm(next_vector), np.finfo(float).tiny)
        done = _converged(next_vector, vector, settings)
        vector = next_vector
        if done:
            break
    return vector


def page_rank(
    product: Product,
    degree: np.ndarray,
    settings: RankingSettings,
    restart: np.ndarray | None = None,
    on_iteration: Callable[[str, int], None] = lambda stage, step: None,
) -> np.ndarray:
    """The distribution of a random walk along the matches, float64 [R].

    Args:
        product: v -> W v.
        degree: float64 [R], W 1.
        settings: damping, teleport, iterations and the stop.
        restart: float64 [R] that sums to 1, distribution of the start and of restarts. With it the
            walk is LOD's, which jumps to any linked region with probability `damping`. None:
            uniform over the linked regions.
        on_iteration: as in `rank_regions`.
    """
    linked = degree > 0
    anywhere = linked / max(1, linked.sum())
    damping = 0.0 if restart is None else settings.damping
    restart = anywhere if restart is None else restart
    teleport = settings.teleport
    inverse = np.divide(1.0, degree, where=linked, out=np.zeros_like(degree))
    vector = restart
    for step in range(settings.iterations):
        on_iteration("pagerank", step)
        walked = (1 - damping) * product(vector * inverse) + damping * anywhere
        next_vector = (1 - teleport) * walked + teleport * restart
        done = _converged(next_vector, vector, settings)
        vector = next_vector
        if done:
            break
    return vector


def seeds(scores: np.ndarray, degree: np.ndarray, counts: np.ndarray, share: float) -> np.ndarray:
    """LOD's restart distribution, uniform over the best regions of the best images: float64 [R].

    The best region of every image is a candidate. The best candidates, a `share` of the number of
    images, are the seeds. Regions without a match are left out; if no seed remains, all regions
    with a match are seeds.
    """
    full = np.flatnonzero(counts)
    starts = (np.cumsum(counts) - counts)[full]
    best = [start + scores[start : start + counts[i]].argmax() for start, i in zip(starts, full)]
    best = np.array(best, int)
    # Halves up, as MATLAB rounds.
    seed_count = max(1, int(np.floor(share * len(counts) + 0.5)))
    chosen = best[np.argsort(-scores[best], kind="stable")][:seed_count]
    chosen = chosen[degree[chosen] > 0]
    restart = np.zeros_like(degree)
    restart[chosen if chosen.size else np.flatnonzero(degree > 0)] = 1.0
    return restart / max(1.0, restart.sum())


def _converged(next_vector: np.ndarray, vector: np.ndarray, settings: RankingSettings) -> bool:
    change = np.linalg.norm(next_vector - vector)
    if settings.stop_measure == "relative":
        change /= max(np.linalg.norm(vector), np.finfo(float).tiny)
    return change < settings.stop_change
