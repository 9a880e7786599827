"""The encoder as a file of Keras that needs nothing but TensorFlow, and trains."""

from pathlib import Path

import numpy as np
import tensorflow as tf

from ssl_tf.exporters.equality import Outputs, compare, features_and_maps
from ssl_tf.exporters.exported import Exported, Written
from ssl_tf.networks.resnet import PaddedConv2D, PointwiseConv2D
from ssl_tf.weights.keras_files import POOL

KERAS_FILE = "encoder.keras"
# Below as many input channels the gradient of a strided 1x1 Conv2D is faulty: see PointwiseConv2D.
_SAFE_CHANNELS = 16


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
    loaded = features_and_maps(tf.keras.models.load_model(path))

    def run(images: np.ndarray) -> Outputs:
        return {name: value.numpy() for name, value in loaded(images, training=False).items()}

    difference = compare(exported, run, KERAS_FILE)
    entries = {"file": KERAS_FILE, "largest_difference": difference.share}
    return Written({"keras": entries}, (f"{KERAS_FILE}: read back by Keras, {difference}",))


def plain_layers(encoder: tf.keras.Model) -> tf.keras.Model:
    """The same encoder, with its own copy of the weights, of layers that Keras has."""
    made: dict[str, tf.Tensor] = {}
    for layer in encoder.layers:
        if isinstance(layer, tf.keras.layers.InputLayer):
            made[layer.name] = inputs = tf.keras.Input(layer.input_shape[0][1:], name=layer.name)
            continue
        parents = tf.nest.flatten(layer.inbound_nodes[0].inbound_layers)
        values = [made[parent.name] for parent in parents]
        made[layer.name] = _plain(layer, values if len(values) > 1 else values[0])
    copied = tf.keras.Model(inputs, made[encoder.layers[-1].name], name=encoder.name)
    copied.set_weights(encoder.get_weights())
    return copied


def _plain(layer: tf.keras.layers.Layer, inputs: tf.Tensor | list[tf.Tensor]) -> tf.Tensor:
    """The output of a new layer like one of an encoder."""
    config = layer.get_config()
    if not isinstance(layer, (PaddedConv2D, PointwiseConv2D)):
        return type(layer).from_config(config)(inputs)
    if isinstance(layer, PointwiseConv2D) and inputs.shape[-1] < _SAFE_CHANNELS:
        # The maximum of one pixel is that pixel: it takes every stride-th, as ours does.
        inputs = tf.keras.layers.MaxPooling2D(1, layer.strides, name=f"{layer.name}{POOL}")(inputs)
        config["strides"] = (1, 1)
    return tf.keras.layers.Conv2D.from_config(config)(inputs)
