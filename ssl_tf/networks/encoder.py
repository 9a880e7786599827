"""The encoder that the settings of a run describe."""

import tensorflow as tf

from ssl_tf.networks.resnet import build_resnet, scaled_widths
from ssl_tf.settings import ModelSettings


def build_encoder(model: ModelSettings, seed: int, synchronized: bool = False) -> tf.keras.Model:
    """A new encoder: normalized float images [N, H, W, 3] -> features [N, D].

    Args:
        model: depth, width, stem and place of the stride.
        seed: seed of the initial weights.
        synchronized: use the batch statistics of all replicas.
    """
    return build_resnet(
        model.depth,
        model.width,
        model.stem,
        synchronized=synchronized,
        seed=seed,
        stride_in_1x1=model.stride_in_1x1,
    )


def is_same_network(first: ModelSettings, other: ModelSettings) -> bool:
    """Whether two encoders are of one network. Widths of equal channels are one."""
    ours, theirs = (
        {**model.network_flags, "width": scaled_widths(model.width)} for model in (first, other)
    )
    return ours == theirs
