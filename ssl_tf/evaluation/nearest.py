"""The nearest images of some images, by the cosine of their features."""

import numpy as np

from ssl_tf.evaluation.knn import NeighbourSearch


def nearest(
    queries: np.ndarray, bank: np.ndarray, count: int, own: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The nearest rows of a bank for each query, exact, the nearest first.

    Of equal cosines the earlier row comes first. A row of zeros has the cosine 0 with all rows.

    Args:
        queries: [Q, D] real, rows of any norm.
        bank: [N, D] real, rows of any norm.
        count: number of neighbours of a query.
        own: [Q] integer, the row of the bank that is the query itself and that is left out; -1: of
            this query none. None: of no query.

    Returns:
        indices: int64 [Q, K], rows of the bank. K is `count`, or fewer where the bank is smaller.
        cosines: float32 [Q, K], in [-1, 1].
    """
    # One more than asked for, so that enough are left without the query itself.
    search = NeighbourSearch(queries, count if own is None else count + 1)
    search.add(bank)
    cosines, indices = search.neighbours()
    if own is not None:
        is_own = indices == np.asarray(own)[:, None]
        # Its own row goes to the end, which is cut off; a query without one loses its last.
        others = np.argsort(is_own, axis=1, kind="stable")[:, : min(count, len(bank) - 1)]
        cosines, indices = (np.take_along_axis(x, others, axis=1) for x in (cosines, indices))
    # Rounding of a product in float32.
    return indices.astype(np.int64), np.clip(cosines, -1, 1).astype(np.float32)
