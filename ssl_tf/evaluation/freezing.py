"""A guard of encoders that an evaluation must not change."""

import contextlib
from collections.abc import Iterator

import tensorflow as tf

from ssl_tf.errors import UserError
from ssl_tf.evaluation.features import Encode
from ssl_tf.networks.digest import digest
from ssl_tf.networks.normalization import normalize_images


def inference(encoder: tf.keras.Model) -> Encode:
    """The function uint8 [N, S, S, 3] -> float32 [N, D] of an encoder in inference mode."""
    return tf.function(
        lambda images: encoder(normalize_images(images), training=False), autograph=False
    )


@contextlib.contextmanager
def frozen(encoder: tf.keras.Model) -> Iterator[Encode]:
    """A context manager that gives the encoder in inference mode.

    Yields:
        The function `inference`.

    Raises:
        UserError: on leaving, the encoder has changed, so that the result is void.
    """
    before = digest(encoder)
    yield inference(encoder)
    if digest(encoder) != before:
        raise UserError("the encoder changed while it was probed; this is a defect, not a result")
