"""Finer last maps of a trained ResNet: strides become dilations, the weights stay (DeepLab)."""

import tensorflow as tf

from ssl_tf.errors import SettingsError
from ssl_tf.networks.resnet import STAGE_WIDTHS


def dilated(model: tf.keras.Model, output_stride: int) -> tf.keras.Model:
    """A `build_resnet` whose stages have at most this stride, with a copy of the weights.

    A stage that would exceed it loses its stride, and what follows reads neighbours as far away as
    before. So every cell of the original map is a cell of the finer one, with the same value.

    Args:
        model: of `build_resnet`.
        output_stride: largest stride of a map, in pixels.

    Raises:
        SettingsError: the stem alone has a larger one, which it keeps.
    """
    stem = [layer for layer in model.layers if layer.name in ("conv1", "pool1")]
    stride, rate = 1, 1
    for layer in stem:
        stride *= layer.strides[0]
    if output_stride < stride:
        raise SettingsError(
            f"--output_stride={output_stride}: the encoder's stem alone has a stride of {stride}; "
            "give that or more"
        )
    # Stage -> dilation of the convolution that had the stride, and of those behind it.
    rates = {1: (1, 1)}
    for stage in range(2, len(STAGE_WIDTHS) + 1):
        before = rate
        if 2 * stride > output_stride:
            rate *= 2
        else:
            stride *= 2
        rates[stage] = before, rate
    changes: dict[str, dict] = {}
    for layer in model.layers:
        if not isinstance(layer, tf.keras.layers.Conv2D) or layer.name in ("conv1",):
            continue
        before, after = rates[int(layer.name[5])]
        if layer.strides[0] > 1 and before != after:
            changes[layer.name] = {"strides": 1, "padding": "same", "dilation_rate": before}
            changes[f"{layer.name}_pad"] = {"padding": 0}
        elif layer.strides[0] == 1 and layer.kernel_size[0] > 1:
            changes[layer.name] = {"dilation_rate": after}

    def changed(layer: tf.keras.layers.Layer) -> tf.keras.layers.Layer:
        return layer.__class__.from_config({**layer.get_config(), **changes.get(layer.name, {})})

    finer = tf.keras.models.clone_model(model, clone_function=changed)
    finer.set_weights(model.get_weights())
    return finer
