"""The encoder as a file of Keras that needs nothing but TensorFlow, and trains."""

from pathlib import Path

import tensorflow as tf

from ssl_tf.exporters.equality import (
    CHECKED_SIZES,
    check,
    difference,
    features_and_maps,
    normalized_images,
)
from ssl_tf.exporters.exported import Exported, Written
from ssl_tf.networks.resnet import PointwiseConv2D

KERAS_FILE = "encoder.keras"


def write_keras_file(exported: Exported, directory: Path) -> Written:
    """Writes `encoder.keras`, reads it and checks its features and maps.

    Args:
        exported: the encoder.
        directory: of the file.

    Raises:
        UserError: what was read differs by more than rounding.
    """
    path = directory / KERAS_FILE
    plain_layers(exported.encoder).save(path)
    encoder = features_and_maps(exported.encoder)
    loaded = features_and_maps(tf.keras.models.load_model(path))
    largest = 0.0
    for size in CHECKED_SIZES:
        images = normalized_images(*size)
        outputs = {name: value.numpy() for name, value in loaded(images, training=False).items()}
        expected = {name: value.numpy() for name, value in encoder(images, training=False).items()}
        largest = max(largest, difference(expected, outputs))
    check(f"{KERAS_FILE}, read by Keras,", largest)
    report = f"{KERAS_FILE}, read by Keras: largest difference {largest:.1g} of the largest value"
    return Written({"keras": {"file": KERAS_FILE, "largest_difference": largest}}, (report,))


def plain_layers(encoder: tf.keras.Model) -> tf.keras.Model:
    """The same encoder, with its own copy of the weights, of layers that Keras has.

    A strided 1x1 convolution becomes a pool of one pixel, which takes every stride-th one, and a
    convolution. Keras's own would be one layer, but see `PointwiseConv2D` for its gradient.
    """

    def plain(layer: tf.keras.layers.Layer) -> tf.keras.layers.Layer:
        config = layer.get_config()
        if not isinstance(layer, PointwiseConv2D):
            return type(layer).from_config(config)
        convolution = tf.keras.layers.Conv2D.from_config({**config, "strides": (1, 1)})
        pool = tf.keras.layers.MaxPooling2D(1, layer.strides, name=f"{layer.name}_stride")
        return tf.keras.Sequential([pool, convolution], name=layer.name)

    copied = tf.keras.models.clone_model(encoder, clone_function=plain)
    copied.set_weights(encoder.get_weights())
    return copied
