"""What a region is worth in the graph of all matches: four readings of one sparse matrix.

W [R, R] is symmetric and non-negative; it is known only by its products with vectors. c = damping,
t = teleport, d = W 1, E marks the regions with d > 0.

Two things about these numbers decide what they mean. W is symmetric, so that the walk of PageRank
and of LOD would end proportional to d: the start vector and the published stop after 100 steps are
part of the method, and d itself (`degree`) is the cheap comparison. And the published stop is an
absolute change of vectors whose entries shrink as 1/R; `stop_measure` takes it relative to them.
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
    """The worth of every region, float64 [R].

    Args:
        name: lod, q, pagerank or degree.
        product: v -> W v.
        degree: float64 [R], W 1.
        counts: int [N], regions of each image; their regions lie one after the other.
        settings: damping, teleport, iterations and the stop.
        on_iteration: called with a name and a number before each iteration.
    """
    if name == "degree":
        return degree
    if name == "pagerank":
        return page_rank(product, degree, settings, on_iteration=on_iteration)
    worth = quadratic(product, degree, settings, on_iteration)
    if name == "q":
        return worth
    restart = seeds(worth, degree, counts, settings.seed_share)
    return page_rank(product, degree, settings, restart, on_iteration)


def quadratic(
    product: Product,
    degree: np.ndarray,
    settings: RankingSettings,
    on_iteration: Callable[[str, int], None] = lambda stage, step: None,
) -> np.ndarray:
    """Q: the unit vector y >= 0 that maximizes y' W y (damped), its dominant eigenvector."""
    linked = degree > 0
    count = max(1, linked.sum())
    damping = settings.damping
    vector = linked / np.sqrt(count)
    for step in range(settings.iterations):
        on_iteration("q", step)
        following = (1 - damping) * product(vector) + damping * vector.sum() / count * linked
        following /= max(np.linalg.norm(following), np.finfo(float).tiny)
        done = _stopped(following, vector, settings)
        vector = following
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
    """Where a walk along the matches is after it started from `restart`.

    Args:
        restart: float64 [R] that sums to 1, where the walk begins and begins anew; with it the walk
            is LOD's, whose steps jump anywhere with probability `damping`. None: anywhere.
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
        following = (1 - teleport) * walked + teleport * restart
        done = _stopped(following, vector, settings)
        vector = following
        if done:
            break
    return vector


def seeds(worth: np.ndarray, degree: np.ndarray, counts: np.ndarray, share: float) -> np.ndarray:
    """LOD's restart: uniform over the best regions of the best images, float64 [R].

    Of every image the best region; of those, the best of `share` of all images. Regions without a
    match are no seeds; where none is left, all that have one are.
    """
    full = np.flatnonzero(counts)
    starts = (np.cumsum(counts) - counts)[full]
    best = [start + worth[start : start + counts[i]].argmax() for start, i in zip(starts, full)]
    best = np.array(best, int)
    # Halves up, as MATLAB rounds.
    kept = max(1, int(np.floor(share * len(counts) + 0.5)))
    chosen = best[np.argsort(-worth[best], kind="stable")][:kept]
    chosen = chosen[degree[chosen] > 0]
    restart = np.zeros_like(degree)
    restart[chosen if chosen.size else np.flatnonzero(degree > 0)] = 1.0
    return restart / max(1.0, restart.sum())


def _stopped(following: np.ndarray, vector: np.ndarray, settings: RankingSettings) -> bool:
    change = np.linalg.norm(following - vector)
    if settings.stop_measure == "relative":
        change /= max(np.linalg.norm(vector), np.finfo(float).tiny)
    return change < settings.stop_change
