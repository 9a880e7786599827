"""Normalized cuts of the graph of an image's cells: TokenCut (Wang et al. 2022), MaskCut (2023).

Cells that look alike are linked. The second eigenvector of the graph's normalized Laplacian parts
the object from the rest (Shi and Malik 2000). What is found is masked, and the rest is cut again.
"""

import numpy as np
from scipy import ndimage
from scipy.sparse import linalg

# Weight of a link below the threshold, so that the graph hangs together (TokenCut's code).
FAINT = 1e-5
# Of the eigenvector: what follows asks for signs and for the largest entry.
_TOLERANCE = 1e-4


def link_weights(similarity: np.ndarray, threshold: float, weights: str) -> np.ndarray:
    """The weights of the graph, float32 [n, n], symmetric and positive.

    Args:
        similarity: float32 [n, n], cosines of the cells.
        threshold: above it two cells are linked, below they have the weight `FAINT`.
        weights: hard, all links have weight 1 (published); soft, their cosine.
    """
    strong = np.float32(1) if weights == "hard" else similarity
    return np.where(similarity > threshold, strong, np.float32(FAINT)).astype(np.float32)


def second_vector(weights: np.ndarray) -> np.ndarray:
    """The eigenvector of the second smallest eigenvalue of (D - W) x = e D x: float64 [n].

    Equal to x = D^-1/2 y, with y the second largest eigenvector of D^-1/2 W D^-1/2. The largest is
    known, D^1/2 1, and is taken out, so that Lanczos' method finds one vector. The sign is any.

    Args:
        weights: float32 [n, n], symmetric and positive, n > 1.
    """
    degree = weights.sum(axis=1, dtype=np.float64)
    root = np.sqrt(degree)
    scale = (1 / root).astype(np.float32)
    first = root / np.linalg.norm(root)
    size = len(weights)

    def product(vector: np.ndarray) -> np.ndarray:
        vector = vector.ravel()
        walked = scale * (weights @ (scale * vector.astype(np.float32)))
        # Eigenvalues are at least -1: moved by 1, that of the vector taken out is the smallest.
        return walked + vector - (2 * (first @ vector)) * first

    if size < 3:
        # Lanczos' method needs a third dimension; beside the first vector there is one.
        other = np.array([first[1], -first[0]])
        return other / root
    operator = linalg.LinearOperator((size, size), product, dtype=np.float64)
    start = np.random.default_rng(size).standard_normal(size)
    try:
        _, vectors = linalg.eigsh(operator, 1, which="LA", v0=start, tol=_TOLERANCE)
    except linalg.ArpackNoConvergence as error:
        vectors = error.eigenvectors
        if not vectors.size:
            raise
    return vectors[:, 0] / root


def cut_objects(
    similarity: np.ndarray, shape: tuple[int, int], threshold: float, weights: str, cuts: int
) -> np.ndarray:
    """The masks of up to `cuts` objects, bool [k, h, w], in the order in which they were found.

    Args:
        similarity: float32 [n, n], cosines of the n = h w cells.
        shape: h, w.
        threshold: as in `link_weights`.
        weights: as in `link_weights`.
        cuts: largest number of objects.
    """
    graph = link_weights(similarity, threshold, weights)
    free = np.arange(len(graph))
    masks: list[np.ndarray] = []
    while len(masks) < cuts and len(free) > 1:
        inside = object_side(second_vector(graph[np.ix_(free, free)]), free, shape)
        masks.append(inside)
        # MaskCut leaves the found cells in, with faint links to all; here they leave the graph.
        free = free[~inside.ravel()[free]]
    return np.array(masks, bool).reshape(-1, *shape)


def object_side(vector: np.ndarray, cells: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """The object that an eigenvector shows, bool [h, w].

    The mean parts the cells in two. The object is on the side of the entry with the largest
    absolute value: the cells there that hang together with it.

    Args:
        vector: float [m].
        cells: int [m], the cells of its entries, numbered row by row.
        shape: h, w.
    """
    seed = int(np.abs(vector).argmax())
    side = vector > vector.mean()
    inside = np.zeros(shape, bool)
    inside.flat[cells[side == side[seed]]] = True
    labels, _ = ndimage.label(inside)
    return labels == labels.flat[cells[seed]]
