"""Features of a source under a frozen encoder."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from ssl_tf.data.decoding import UnreadableImages
from ssl_tf.data.pipeline import evaluation_batches
from ssl_tf.data.sources import Source


def compute_features(
    encode: Callable[[tf.Tensor], tf.Tensor],
    source: Source,
    image_size: int,
    batch_size: int,
    unreadable: UnreadableImages,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Every readable image of the source, centre-cropped, in the source's order.

    Args:
        encode: uint8 [B, S, S, 3] -> float [B, D].
        source: labelled or not.
        image_size: S.
        batch_size: B; the last batch is smaller.
        unreadable: told of images that cannot be decoded; they are left out.

    Returns:
        float32 [N, D], and the labels: int64 [N], float32 [N, C] of a multi-label source, or None.
    """
    features, labels = [], []
    for batch in evaluation_batches(source, image_size, batch_size, unreadable=unreadable):
        features.append(encode(batch["image"]).numpy())
        if "label" in batch:
            labels.append(batch["label"].numpy())
    return np.concatenate(features), np.concatenate(labels) if labels else None
