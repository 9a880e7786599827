"""Sinkhorn's codes by plain loops."""

import numpy as np


def slow_codes(scores, epsilon, iterations):
    """As SwAV's code has it: a matrix of prototypes by examples, normalized in place."""
    q = np.exp(scores.T / epsilon)
    prototypes, count = q.shape
    q /= q.sum()
    for _ in range(iterations):
        for k in range(prototypes):
            q[k] /= q[k].sum() * prototypes
        for b in range(count):
            q[:, b] /= q[:, b].sum() * count
    return q.T * count
