"""Batch normalization in the pyramid and the heads, which Model Garden builds."""

import contextlib
from collections.abc import Iterator

import tensorflow as tf

from ssl_tf.networks.batch_normalization import BatchNormalization


@contextlib.contextmanager
def normalized_by(kind: str) -> Iterator[None]:
    """Layers of Model Garden that are built inside have our batch normalization.

    Their modules name Keras's layers when they build, and have no argument for another. With
    "frozen" there is none, as where Detectron2 freezes that of the encoder.

    Args:
        kind: "frozen", "replica" (batch statistics of a replica) or "synchronized" (of all).
    """

    def layer(name: str | None = None, **options: object) -> tf.keras.layers.Layer:
        if kind == "frozen":
            return tf.keras.layers.Activation("linear", name=name)
        return BatchNormalization(kind == "synchronized", name=name)

    places = (
        (tf.keras.layers, "BatchNormalization"),
        (tf.keras.layers.experimental, "SyncBatchNormalization"),
    )
    before = [getattr(module, name) for module, name in places]
    try:
        for module, name in places:
            setattr(module, name, layer)
        yield
    finally:
        for (module, name), kept in zip(places, before):
            setattr(module, name, kept)
