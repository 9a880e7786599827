"""The check of an export: what the receiving library computes, beside the encoder itself."""

import numpy as np
import tensorflow as tf

from ssl_tf.errors import UserError
from ssl_tf.networks.normalization import normalize_images
from ssl_tf.networks.resnet import stage_outputs

# Largest difference, as a share of the largest value: float32 sums in another order.
TOLERANCE = 1e-5

Outputs = dict[str, np.ndarray]


def normalized_images(height: int, width: int, count: int = 2) -> np.ndarray:
    """Images of random pixels, as an encoder takes them: float32 [count, height, width, 3]."""
    pixels = np.random.default_rng(0).integers(0, 256, [count, height, width, 3], np.uint8)
    return normalize_images(pixels).numpy()


# An even side and two odd ones: a padding of one side only would show at one of them.
CHECKED_SIZES = ((64, 64), (65, 49))


def features_and_maps(encoder: tf.keras.Model) -> tf.keras.Model:
    """The encoder with its features and the maps C2 to C5 as named outputs."""
    return tf.keras.Model(encoder.input, {"features": encoder.output, **stage_outputs(encoder)})


def difference(expected: Outputs, got: Outputs) -> float:
    """The largest difference of any output, as a share of that output's largest value.

    Args:
        expected: outputs by name.
        got: the same of the receiving library; others than the expected are not looked at.
    """
    return max(
        float(np.abs(got[name] - value).max() / (np.abs(value).max() or 1))
        for name, value in expected.items()
    )


def check(name: str, share: float) -> None:
    """Refuses an export that differs.

    Args:
        name: what was read back, for the message.
        share: the `difference`.

    Raises:
        UserError: it is above rounding.
    """
    # Not a number is refused, too.
    if not share <= TOLERANCE:
        raise UserError(
            f"{name} differs from the encoder by {share:.2g} of the largest value; this is a "
            "defect, nothing is exported"
        )
