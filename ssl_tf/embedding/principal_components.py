"""The principal components of features."""

import numpy as np

# Rows from which the directions are computed, evenly spaced if there are more.
_FITTED = 20_000


def principal_components(features: np.ndarray, count: int) -> np.ndarray:
    """The coordinates of rows along the directions in which they vary most.

    Args:
        features: float32 [N, D], N at least 1.
        count: number of directions; fewer if D is less.

    Returns:
        float32 [N, count], centred on the mean of all rows. Of either sign of a direction the one
        is taken whose largest entry is positive.
    """
    mean = features.mean(axis=0, dtype=np.float64)
    step = -(-len(features) // _FITTED)
    fitted = features[::step] - mean
    _, vectors = np.linalg.eigh(fitted.T @ fitted)
    directions = vectors[:, ::-1][:, :count]
    largest = np.abs(directions).argmax(axis=0)
    directions = directions * np.sign(directions[largest, range(directions.shape[1])])
    return (features @ directions.astype(np.float32) - mean @ directions).astype(np.float32)
