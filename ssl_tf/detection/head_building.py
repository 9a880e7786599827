"""The layers of a detector, made for an encoder."""

import tensorflow as tf

from ssl_tf.detection.dense_head import DenseHead
from ssl_tf.detection.detector_head import Maps
from ssl_tf.detection.head_normalization import normalized_by
from ssl_tf.detection.region_head import RegionHead
from ssl_tf.networks.initialization import layer_seed
from ssl_tf.networks.resnet import stage_outputs
from ssl_tf.settings import DetectorSettings


def build_head(
    encoder: tf.keras.Model,
    settings: DetectorSettings,
    num_classes: int,
    seed: int,
    batch_norm: str,
) -> RegionHead | DenseHead:
    """New layers for a detector on an encoder.

    Args:
        encoder: of `build_resnet`.
        settings: of the detector.
        num_classes: C, without the background.
        seed: of the weights, which depend on it and the layers' names alone.
        batch_norm: as in `normalized_by`.
    """
    kind = RegionHead if settings.detector == "faster_rcnn" else DenseHead
    channels = {name: maps.shape[-1] for name, maps in maps_by_level(encoder).items()}
    with normalized_by(batch_norm):
        head = kind(channels, settings, num_classes)
        head.build_heads()
    for layer in head._flatten_layers(include_self=False):
        initializer = getattr(layer, "kernel_initializer", None)
        if initializer is not None:
            drawn = type(initializer).from_config(
                {**initializer.get_config(), "seed": layer_seed(seed, layer.name)}
            )
            layer.kernel.assign(drawn(layer.kernel.shape, layer.kernel.dtype))
    return head


def maps_by_level(encoder: tf.keras.Model) -> Maps:
    """Level -> last map of that stride in an encoder; a level is the logarithm of the stride."""
    stride = 1
    for layer in encoder.layers:
        if layer.name in ("conv1", "pool1"):
            stride *= layer.strides[0]
    first = stride.bit_length() - 1
    outputs = stage_outputs(encoder)
    return {str(first + n): output for n, output in enumerate(outputs.values())}
