"""Codes that share a batch equally among the prototypes: the Sinkhorn-Knopp iterations of SwAV."""

import tensorflow as tf

from ssl_tf.networks.replicas import gather


def balanced_codes(
    scores: tf.Tensor, epsilon: float, iterations: int, log_weights: tf.Tensor | float = 0.0
) -> tf.Tensor:
    """Codes of the examples: [n, K], rows that sum to 1, no gradient (SwAV Eq. 3 to 5).

    exp(scores / epsilon) is scaled by turns so that over the global batch all prototypes have one
    sum, then so that every example sums to 1. After few iterations the prototypes' sums are equal
    only roughly, which is meant so. Called in replica context; the result is that of one replica
    with all examples.

    In logarithms, so that no epsilon makes a sum overflow or vanish, and a constant factor of a
    step, as the 1 / K of the paper, needs no thought: the step behind it takes it out again.

    Args:
        scores: float [n, K], of this replica's examples.
        epsilon: smoothness of the codes; towards 0 each is one prototype, and if large all are
            1 / K.
        iterations: pairs of steps, at least 1.
        log_weights: [n, 1] or scalar, logarithm of how much an example counts in the sums of
            prototypes; minus infinity leaves it out. Every replica needs one that counts.
    """
    log_codes = tf.stop_gradient(scores) / epsilon
    for _ in range(iterations):
        log_codes = tf.nn.log_softmax(log_codes - _log_sums(log_codes + log_weights))
    return tf.exp(log_codes)


def _log_sums(logs: tf.Tensor) -> tf.Tensor:
    """Logarithm of the sum of exp(logs) over the examples of all replicas, [K]."""
    local = tf.reduce_logsumexp(logs, axis=0, keepdims=True)
    # Sums themselves would need the largest element of all replicas, for which there is no
    # collective.
    of_replicas, _ = gather(local)
    return tf.reduce_logsumexp(of_replicas, axis=0)
