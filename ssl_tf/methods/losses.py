"""Losses as pure functions of predictions and targets, one number an example.

Here stand those that several methods share or that grew up with the first ones; the loss of a new
method can stand in the method's own file.

Half precision inputs are raised to float32 first; nothing is averaged, so that a caller under a
strategy can divide by the global batch. Targets receive no gradient.
"""

from collections.abc import Iterable

import tensorflow as tf

from ssl_tf.networks.precision import full_precision

# The total of a pair of views when predictions and targets point in independent directions,
# which have a mean cosine of 0. Collapsed networks reach the minimum, 0 and -1, all the same.
BYOL_CHANCE = 4.0
MA_SSRL_CHANCE = 0.0


def cosine_similarity(p: tf.Tensor, z: tf.Tensor) -> tf.Tensor:
    """Cosine between the rows of [N, D] and [N, D]: [N] float32, in [-1, 1].

    A squared length below 1e-12 counts as 1e-12 (BYOL's code), so zero vectors give 0.
    """
    return tf.reduce_sum(unit_rows(p) * unit_rows(z), axis=-1)


def byol_loss(p: tf.Tensor, z: tf.Tensor) -> tf.Tensor:
    """Squared distance of normalized prediction and target, 2 - 2 cos: [N], in [0, 4].

    BYOL Eq. 2, one direction. p: online predictions [N, D]; z: target projections [N, D].
    """
    return 2.0 - 2.0 * cosine_similarity(p, tf.stop_gradient(z))


def ma_ssrl_loss(p: tf.Tensor, z: tf.Tensor) -> tf.Tensor:
    """Negative cosine of prediction and target: [N], in [-1, 1].

    MA-SSRL Eq. 2, one direction. p: online predictions [N, D]; z: target projections [N, D].
    """
    return -cosine_similarity(p, tf.stop_gradient(z))


def byol_pair_loss(p1: tf.Tensor, p2: tf.Tensor, z1: tf.Tensor, z2: tf.Tensor) -> tf.Tensor:
    """Sum of both directions of views 1 and 2: [N], in [0, 8] (BYOL section 3.1)."""
    return byol_loss(p1, z2) + byol_loss(p2, z1)


def ma_ssrl_pair_loss(p1: tf.Tensor, p2: tf.Tensor, z1: tf.Tensor, z2: tf.Tensor) -> tf.Tensor:
    """Half of each direction of views 1 and 2: [N], in [-1, 1] (MA-SSRL Eq. 3).

    Equals (byol_pair_loss - 4) / 4: the gradient is four times smaller. LARS does not see that
    in the weights that it adapts; biases and normalization parameters do.
    """
    return 0.5 * ma_ssrl_loss(p1, z2) + 0.5 * ma_ssrl_loss(p2, z1)


def info_nce(
    queries: tf.Tensor, keys: tf.Tensor, queue: tf.Tensor, temperature: float
) -> tf.Tensor:
    """Cross-entropy of telling the key of a query from the queue: [...], at least 0.

    -log(exp(q.k / T) / (exp(q.k / T) + sum_j exp(q.n_j / T))) (MoCo Eq. 1). For independent
    directions about log(K + 1) + 1 / (2 D T^2).

    Args:
        queries, keys: [..., D], each query with its own key; their length does not matter.
        queue: K negatives [K, D], rows of length 1.
        temperature: T.
    """
    queries, keys = unit_rows(queries), tf.stop_gradient(unit_rows(keys))
    queue = tf.stop_gradient(tf.cast(queue, queries.dtype))
    positives = tf.reduce_sum(queries * keys, axis=-1) / temperature
    negatives = tf.tensordot(queries, queue, [[-1], [-1]]) / temperature
    # -log(e^p / (e^p + e^n)) = log(1 + e^(n - p)), with no copy of the long row
    return tf.math.softplus(tf.reduce_logsumexp(negatives, axis=-1) - positives)


def nt_xent(
    queries: tf.Tensor,
    positives: tf.Tensor,
    candidates: tf.Tensor,
    own: tf.Tensor,
    temperature: float,
) -> tf.Tensor:
    """Cross-entropy of telling the positive of a query from all other candidates: [N], at least 0.

    -log(exp(q.p / T) / sum_{k != own} exp(q.c_k / T)) (SimCLR Eq. 1, NT-Xent), with gradients to
    all three. Where all are equal log(M - 1); for independent directions 1 / (2 D T^2) more.

    Args:
        queries, positives: [N, D], each query with its own positive; lengths do not matter here
            nor below.
        candidates: [M, D], among them all queries and positives.
        own: int [N], the row of each query among the candidates, which is left out.
        temperature: T.
    """
    queries, positives, candidates = map(unit_rows, (queries, positives, candidates))
    positive = tf.reduce_sum(queries * positives, axis=-1) / temperature
    logits = tf.matmul(queries, candidates, transpose_b=True) / temperature
    itself = tf.range(tf.shape(candidates)[0]) == own[:, None]
    logits = tf.where(itself, logits.dtype.min, logits)
    return tf.reduce_logsumexp(logits, axis=-1) - positive


def match_positions(query_map: tf.Tensor, key_map: tf.Tensor) -> tf.Tensor:
    """For every position of one map the most similar one of the other: int32 [N, P], no gradient.

    DenseCL's correspondence: the largest cosine between backbone features.

    Args:
        query_map, key_map: features [N, P, C] at P positions.
    """
    cosine = tf.matmul(unit_rows(query_map), unit_rows(key_map), transpose_b=True)
    return tf.argmax(cosine, axis=-1, output_type=tf.int32)


def dense_info_nce(
    queries: tf.Tensor,
    keys: tf.Tensor,
    matches: tf.Tensor,
    queue: tf.Tensor,
    temperature: float,
) -> tf.Tensor:
    """InfoNCE at every position of a map, mean over positions: [N] (DenseCL).

    Args:
        queries, keys: dense embeddings [N, P, D].
        matches: position of each query's key, int [N, P].
        queue: K negatives [K, D], rows of length 1.
        temperature: T.
    """
    keys = tf.gather(keys, matches, batch_dims=1)
    return tf.reduce_mean(info_nce(queries, keys, queue, temperature), axis=-1)


def classification_loss(scores: tf.Tensor, labels: tf.Tensor, smoothing: float = 0.0) -> tf.Tensor:
    """Cross-entropy of scores and labels: [N], at least 0.

    One label an image: softmax, -sum_c t_c log p_c with t = (1 - smoothing) onehot + smoothing / C
    (Szegedy et al. 2016, section 7). Several: sigmoid, mean over classes of the binary
    cross-entropy, with t = (1 - smoothing) label + smoothing / 2.

    Args:
        scores: logits [N, C].
        labels: int [N] in [0, C), or float [N, C] of 0 and 1.
        smoothing: in [0, 1].
    """
    scores = full_precision(scores)
    classes = scores.shape[-1]
    if labels.shape.rank == 1:
        target = tf.one_hot(labels, classes, 1 - smoothing, 0.0, dtype=scores.dtype)
        return tf.nn.softmax_cross_entropy_with_logits(target + smoothing / classes, scores)
    target = (1 - smoothing) * tf.cast(labels, scores.dtype) + smoothing / 2
    return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(target, scores), axis=-1)


def code_cross_entropy(scores: tf.Tensor, codes: tf.Tensor, temperature: float) -> tf.Tensor:
    """Cross-entropy of predicting a code by a softmax over prototypes: [N], at least 0.

    -sum_k q_k log(exp(s_k / T) / sum_j exp(s_j / T)) (SwAV Eq. 2). Equal scores give ln K.

    Args:
        scores: inner products with K prototypes [N, K].
        codes: q [N, K], rows that sum to 1.
        temperature: T.
    """
    predictions = tf.nn.log_softmax(full_precision(scores) / temperature)
    return -tf.reduce_sum(tf.stop_gradient(codes) * predictions, axis=-1)


def unit_rows(x: tf.Tensor) -> tf.Tensor:
    """[..., D] with every row at length 1, float32 at least; a row of zeros stays."""
    return tf.math.l2_normalize(full_precision(x), axis=-1, epsilon=1e-12)


def summed(terms: Iterable[tf.Tensor]) -> tf.Tensor:
    """Sum of tensors of one shape, always in the same order, so that a run repeats bit for bit.

    `tf.add_n` starts with whichever tensor's memory it may reuse, which depends on the timing of
    threads, and three terms round differently in another order. TensorFlow makes it of a chain of
    plus signs, too.
    """
    return tf.reduce_sum(tf.stack(list(terms)), axis=0)
