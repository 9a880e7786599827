"""The anchors and regions of a step: a balanced draw, a pure function of seeds."""

import tensorflow as tf


def balanced_sample(
    positive: tf.Tensor, negative: tf.Tensor, seeds: tf.Tensor, count: int, positive_share: float
) -> tuple[tf.Tensor, tf.Tensor]:
    """Draws candidates of each image, positives up to a share and negatives in the other places.

    Model Garden's samplers draw from a state that a resumed run does not have.

    Args:
        positive, negative: bool [B, N], no candidate in both; B and N are static.
        seeds: int64 [B, 2], one an image.
        count: number of candidates to draw.
        positive_share: largest share of positives.

    Returns:
        indices: int32 [B, K] of the drawn candidates, positives first; K is min(count, N).
        drawn: bool [B, K]; False in places for which there is no candidate.
    """
    images, candidates = positive.shape
    count = min(count, candidates)
    draws = tf.stack(
        [tf.random.stateless_uniform([candidates], seeds[image]) for image in range(images)]
    )
    most = max(1, int(count * positive_share))
    best = tf.math.top_k(tf.where(positive, draws, -1.0), most).values
    kept = positive & (draws >= best[:, -1:])
    values, indices = tf.math.top_k(
        tf.where(kept, 2.0 + draws, tf.where(negative, draws, -1.0)), count
    )
    return indices, values >= 0
