"""The losses of detectors over the global batch; all but RetinaNet's are Detectron2's.

Each is the sum over this replica's part divided by a number of the global batch, so that the sum
over replicas, and over parts of a batch, is the loss.
"""

import tensorflow as tf

from ssl_tf.networks.replicas import replica_sum

# Focal loss of RetinaNet (Lin et al. 2017, section 5.1).
_ALPHA, _GAMMA = 0.25, 2.0


def over_replicas(count: tf.Tensor) -> tf.Tensor:
    """A number of positives, summed over replicas; at least 1."""
    return tf.maximum(replica_sum(count), 1)


def objectness_loss(logits: tf.Tensor, positive: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """Sum of the binary cross-entropies of drawn anchors.

    Args:
        logits: float [B, K].
        positive: bool [B, K].
        weights: float [B, K]; 0 for places without an anchor.
    """
    targets = tf.cast(positive, logits.dtype)
    losses = tf.nn.sigmoid_cross_entropy_with_logits(labels=targets, logits=logits)
    return tf.reduce_sum(losses * weights)


def box_loss(boxes: tf.Tensor, targets: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """Sum of the absolute differences of encoded boxes [..., 4], weighted by [...]."""
    differences = tf.abs(boxes - tf.cast(targets, boxes.dtype))
    return tf.reduce_sum(differences * weights[..., tf.newaxis])


def class_loss(logits: tf.Tensor, classes: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """Sum of the cross-entropies of regions, background being class 0.

    Args:
        logits: float [B, R, C + 1].
        classes: int [B, R].
        weights: float [B, R].
    """
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=classes, logits=logits)
    return tf.reduce_sum(losses * weights)


def mask_loss(logits: tf.Tensor, masks: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """Sum over regions of the mean binary cross-entropy of the pixels of their masks.

    Args:
        logits: float [B, R, S, S], of the class of each region.
        masks: bool [B, R, S, S].
        weights: float [B, R].
    """
    targets = tf.cast(masks, logits.dtype)
    losses = tf.nn.sigmoid_cross_entropy_with_logits(labels=targets, logits=logits)
    return tf.reduce_sum(tf.reduce_mean(losses, [-2, -1]) * weights)


def focal_loss(logits: tf.Tensor, classes: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """Sum of the focal losses of all anchors and classes.

    Args:
        logits: float [B, N, C + 1]; the column of the background, 0, is not used.
        classes: int [B, N]; 0 for background.
        weights: float [B, N]; 0 for anchors that count for nothing.
    """
    targets = tf.one_hot(classes, logits.shape[-1], dtype=logits.dtype)[..., 1:]
    logits = logits[..., 1:]
    entropies = tf.nn.sigmoid_cross_entropy_with_logits(labels=targets, logits=logits)
    probabilities = tf.sigmoid(logits)
    wrong = targets * (1 - probabilities) + (1 - targets) * probabilities
    balance = targets * _ALPHA + (1 - targets) * (1 - _ALPHA)
    losses = balance * wrong**_GAMMA * entropies
    return tf.reduce_sum(losses * weights[..., tf.newaxis])
