"""Whether another library computes what the encoder computes."""

import dataclasses
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from ssl_tf.errors import UserError
from ssl_tf.exporters.exported import Exported
from ssl_tf.networks.resnet import stage_outputs

Outputs = dict[str, np.ndarray]

# A share of the largest value of an output.
TOLERANCE = 1e-5
# Even and odd sides, in pixels: padding that is not symmetric shows at one of them.
_SIDES = {"imagenet": (64, 97), "small": (32, 41)}


@dataclasses.dataclass(frozen=True)
class Difference:
    """The largest difference of the outputs, as a share of the largest value of that output."""

    share: float
    sides: tuple[int, ...]
    outputs: str

    def __str__(self) -> str:
        sides = " and ".join(map(str, self.sides))
        return f"{self.outputs} at {sides} pixels within {self.share:.1g} of the largest value"


def features_and_maps(encoder: tf.keras.Model) -> tf.keras.Model:
    """An encoder with its features and the maps "C2" to "C5" as outputs, by name."""
    return tf.keras.Model(encoder.input, {"features": encoder.output, **stage_outputs(encoder)})


def largest_difference(found: np.ndarray, expected: np.ndarray) -> float:
    """The largest difference of an output, as a share of its largest value.

    Args:
        found: of another library, of any shape.
        expected: of our encoder.

    Raises:
        UserError: the encoder has collapsed or diverged, so that there is nothing to compare.
    """
    largest = np.abs(expected).max()
    if not 0 < largest < np.inf:
        told = "are all 0" if largest == 0 else "are not finite"
        raise UserError(
            f"features of random images {told}: the encoder has collapsed or diverged, and nothing "
            "is exported; give an earlier --step"
        )
    return float(np.abs(found - expected).max() / largest)


def compare(
    exported: Exported, run: Callable[[np.ndarray], Outputs], name: str, names: tuple[str, ...] = ()
) -> Difference:
    """Runs an exported encoder and ours on the same random images.

    Args:
        exported: ours.
        run: float32 [N, H, W, 3] -> "features" [N, D] and the maps "C2" to "C5" [N, h, w, C].
        name: of the library, for the message.
        names: the outputs to compare; empty: all of them.

    Raises:
        UserError: an output differs by more than TOLERANCE; nothing may be exported then.
    """
    ours = features_and_maps(exported.encoder)
    sides, random, worst = _SIDES[exported.model.stem], np.random.default_rng(0), 0.0
    for side in sides:
        images = random.normal(size=[2, side, side, 3]).astype(np.float32)
        found = run(images)
        for output, expected in ours(images, training=False).items():
            if names and output not in names:
                continue
            share = largest_difference(found[output], expected.numpy())
            if not share <= TOLERANCE:
                raise UserError(
                    f"{output} of {name} differs from the encoder's by {share:.2g} of its largest "
                    f"value at {side} pixels; this is a defect, nothing is exported"
                )
            worst = max(worst, share)
    outputs = "features" if names == ("features",) else "features and maps"
    return Difference(worst, sides, outputs)
