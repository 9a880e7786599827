"""Losses as pure functions of predictions and targets, one number an example.

Half precision inputs are raised to float32 first; nothing is averaged, so that a caller under a
strategy can divide by the global batch. Targets receive no gradient.
"""

import tensorflow as tf

# The total of a pair of views when predictions and targets point in independent directions,
# which have a mean cosine of 0. Collapsed networks reach the minimum, 0 and -1, all the same.
BYOL_CHANCE = 4.0
MA_SSRL_CHANCE = 0.0


def cosine_similarity(p: tf.Tensor, z: tf.Tensor) -> tf.Tensor:
    """Cosine between the rows of [N, D] and [N, D]: [N] float32, in [-1, 1].

    A squared length below 1e-12 counts as 1e-12 (BYOL's code), so zero vectors give 0.
    """
    p = tf.math.l2_normalize(_full_precision(p), axis=-1, epsilon=1e-12)
    z = tf.math.l2_normalize(_full_precision(z), axis=-1, epsilon=1e-12)
    return tf.reduce_sum(p * z, axis=-1)


def byol_loss(p: tf.Tensor, z: tf.Tensor) -> tf.Tensor:
    """Squared distance of normalized prediction and target, 2 - 2 cos: [N], in [0, 4].

    BYOL Eq. 2, one direction. p: online predictions [N, D]; z: target projections [N, D].
    """
    return 2.0 - 2.0 * cosine_similarity(p, tf.stop_gradient(z))


def ma_ssrl_loss(p: tf.Tensor, z: tf.Tensor) -> tf.Tensor:
    """Negative cosine of prediction and target: [N], in [-1, 1].

    MA-SSRL Eq. 1, one direction. p: online predictions [N, D]; z: target projections [N, D].
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


def _full_precision(x: tf.Tensor) -> tf.Tensor:
    x = tf.convert_to_tensor(x)
    return x if x.dtype == tf.float64 else tf.cast(x, tf.float32)
