"""Points of the plane for features, and their groups."""

import numpy as np
from scipy.cluster.vq import kmeans2

from ssl_tf.embedding.principal_components import principal_components

# Coordinates from which t-SNE and k-means start; more cost time and change little.
_COMPONENTS = 50
_CLUSTERS = 10
_PERPLEXITY = 30
# Fewer points have no neighbourhoods that t-SNE could keep.
_LEAST = 10


def place(unit: np.ndarray, projection: str) -> tuple[np.ndarray, str]:
    """Points of the plane, float32 [N, 2], and the projection that gave them.

    Near rows are near points, as far as that can be.

    Args:
        unit: float32 [N, D], rows of norm 1.
        projection: "tsne" or "pca"; of fewer than ten rows, or equal ones, always the latter.
    """
    components = principal_components(unit, _COMPONENTS)
    if projection == "tsne" and len(unit) >= _LEAST and np.ptp(components[:, 0]) > 1e-6:
        from sklearn.manifold import TSNE

        perplexity = min(_PERPLEXITY, (len(unit) - 1) / 3)
        tsne = TSNE(perplexity=perplexity, init="pca", random_state=0)
        return tsne.fit_transform(components).astype(np.float32), projection
    points = components[:, :2]
    return np.pad(points, [(0, 0), (0, 2 - points.shape[1])]), "pca"


def cluster(unit: np.ndarray) -> np.ndarray:
    """The cluster of each row by k-means, int64 [N]; 0 is the largest.

    Args:
        unit: float32 [N, D], rows of norm 1.
    """
    components = principal_components(unit, _COMPONENTS)
    distinct = len(np.unique(components.round(4), axis=0))
    _, found = kmeans2(components, min(_CLUSTERS, distinct), minit="++", seed=0)
    names, found = np.unique(found, return_inverse=True)
    by_size = np.argsort(-np.bincount(found), kind="stable")
    return np.argsort(by_size)[found]
