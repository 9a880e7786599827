"""Feature maps of a frozen encoder: from a run, a SavedModel or Keras weights."""

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path

import tensorflow as tf

from ssl_tf.discovery.exported_maps import open_exported_encoder
from ssl_tf.discovery.map_encoder import RESNET_LAYERS, Encoder, Maps
from ssl_tf.errors import SettingsError, UserError
from ssl_tf.networks.digest import digest
from ssl_tf.networks.dilation import dilated
from ssl_tf.networks.normalization import normalize_images
from ssl_tf.networks.resnet import stage_outputs
from ssl_tf.settings import FeatureSettings
from ssl_tf.training.encoders import load_dense_head, load_encoder
from ssl_tf.weights.loading import load_init_encoder

# Module and class of Keras, and the layers of strides 8 and 16 after their ReLU; for VGG16 relu4_3
# and relu5_3, as in LOD.
_KERAS = {
    "vgg16": ("vgg16", "VGG16", ("block4_conv3", "block5_conv3")),
    "vgg19": ("vgg19", "VGG19", ("block4_conv4", "block5_conv4")),
    "resnet50": ("resnet50", "ResNet50", ("conv3_block4_out", "conv4_block6_out")),
}
_KERAS_FILES = (".h5", ".hdf5", ".keras")
# What DenseCL compares: its dense head on C5.
DENSE_KEYS = "dense_keys"


def open_encoder(settings: FeatureSettings) -> Encoder:
    """The encoder of the settings.

    Raises:
        UserError: there is no encoder, or it lacks a spatial map or a layer of --layers.
    """
    encoder = _open(settings)
    if settings.scales == (1.0,) and not settings.flip_maps:
        return encoder
    maps = averaged(encoder.maps, settings.scales, settings.flip_maps)
    least_side = math.ceil(encoder.least_side / min(settings.scales))
    return dataclasses.replace(encoder, maps=maps, least_side=least_side)


def averaged(maps: Maps, scales: tuple[float, ...], flip: bool) -> Maps:
    """The mean of the maps of resized images, and of mirrored ones, on the grids of the first pass.

    Args:
        maps: uint8 [N, H, W, 3] -> float32 [N, h, w, D], one a layer.
        scales: sizes of the images, as shares of theirs.
        flip: whether mirrored images count too, their maps mirrored back.
    """

    def mean_maps(images: tf.Tensor) -> list[tf.Tensor]:
        passes = []
        for scale in scales:
            scaled = _rescaled(images, scale)
            passes.append(maps(scaled))
            if flip:
                passes.append([layer[:, :, ::-1] for layer in maps(scaled[:, :, ::-1])])
        grids = [layer.shape[1:3] for layer in passes[0]]
        return [
            tf.add_n([tf.image.resize(layer, grid) for layer in of_layer]) / len(passes)
            for grid, of_layer in zip(grids, zip(*passes))
        ]

    return mean_maps


def _rescaled(images: tf.Tensor, scale: float) -> tf.Tensor:
    if scale == 1:
        return tf.convert_to_tensor(images)
    size = [max(1, round(scale * side)) for side in images.shape[1:3]]
    values = tf.image.resize(images, size, antialias=True)
    return tf.cast(tf.round(values), tf.uint8)


def _open(settings: FeatureSettings) -> Encoder:
    path = Path(settings.encoder)
    if settings.encoder in _KERAS:
        return _keras_encoder(settings)
    if not settings.init.init_encoder and (path / "saved_model.pb").is_file():
        if settings.output_stride:
            raise SettingsError(
                f"--output_stride={settings.output_stride}: a SavedModel keeps its strides; give "
                "the run directory"
            )
        if settings.step:
            raise SettingsError(
                f"--step={settings.step}: {path} is a SavedModel, which has no steps"
            )
        return open_exported_encoder(path, settings.layers)
    dense_head = None
    if settings.init.init_encoder:
        model, *_ = load_init_encoder(settings.init)
        origin = settings.init.init_encoder
    else:
        model, run, step = load_encoder(path, settings.step)
        origin = f"step {step} of {path}"
        if DENSE_KEYS in settings.layers:
            dense_head = load_dense_head(path, run, step)
    if settings.output_stride:
        model = dilated(model, settings.output_stride)
    layers = settings.layers or RESNET_LAYERS
    stages = stage_outputs(model)
    if dense_head is not None:
        stages[DENSE_KEYS] = dense_head(stages["C5"])
    outputs = [_layer_output(model, name, stages) for name in layers]
    encoder = _from_model(model.input, outputs, model.output, layers, normalize_images)
    return dataclasses.replace(encoder, origin=origin)


def _keras_encoder(settings: FeatureSettings) -> Encoder:
    module, name, layers = _KERAS[settings.encoder]
    layers = settings.layers or layers
    module = getattr(tf.keras.applications, module)
    path = Path(settings.encoder_weights)
    if not settings.encoder_weights:
        raise SettingsError(
            f"--encoder={settings.encoder}: give its Keras weights file (without the classifier) "
            "by --encoder_weights"
        )
    if path.suffix not in _KERAS_FILES:
        # Of a checkpoint of TensorFlow a part is enough for Keras: the rest would stay random.
        raise SettingsError(
            f"--encoder_weights={path} is no Keras weights file; give one that ends in "
            f"{' or '.join(_KERAS_FILES)}"
        )
    if not path.is_file():
        raise SettingsError(f"--encoder_weights={path}: there is no such file; correct the name")
    model = getattr(module, name)(include_top=False, weights=None, input_shape=(None, None, 3))
    try:
        model.load_weights(path)
    except Exception as error:  # a damaged file fails in any way
        raise UserError(
            f"--encoder_weights={settings.encoder_weights} are no {settings.encoder} weights "
            f"without the classifier: {' '.join(str(error).split())[:200]}"
        ) from None
    outputs = [_layer_output(model, layer, {}) for layer in layers]
    # LOD compares images by OBoW's network, here by the mean of the last map.
    pooled = tf.reduce_mean(outputs[-1], axis=[1, 2])

    def normalize(images: tf.Tensor) -> tf.Tensor:
        return module.preprocess_input(tf.cast(images, tf.float32))

    encoder = _from_model(model.input, outputs, pooled, layers, normalize)
    # The VGGs halve without padding, four times before their last block.
    least_side = 16 if settings.encoder.startswith("vgg") else 1
    return dataclasses.replace(encoder, least_side=least_side, origin=settings.encoder_weights)


def _from_model(
    inputs: tf.Tensor,
    outputs: list[tf.Tensor],
    pooled: tf.Tensor,
    layers: tuple[str, ...],
    normalize: Callable[[tf.Tensor], tf.Tensor],
) -> Encoder:
    maps_model = tf.keras.Model(inputs, outputs)
    pooled_model = tf.keras.Model(inputs, pooled)
    images = tf.TensorSpec([None, None, None, 3], tf.uint8)

    @tf.function(input_signature=[images], autograph=False)
    def maps(images: tf.Tensor) -> list[tf.Tensor]:
        values = maps_model(normalize(images), training=False)
        return [tf.cast(layer, tf.float32) for layer in tf.nest.flatten(values)]

    @tf.function(input_signature=[images], autograph=False)
    def describe(images: tf.Tensor) -> tf.Tensor:
        return tf.cast(pooled_model(normalize(images), training=False), tf.float32)

    sha256 = digest(tf.keras.Model(inputs, [*outputs, pooled]))
    return Encoder(maps, describe, layers, sha256=sha256)


def _layer_output(model: tf.keras.Model, name: str, stages: dict[str, tf.Tensor]) -> tf.Tensor:
    if name in stages:
        return stages[name]
    known = {layer.name: layer.output for layer in model.layers}
    if name not in known:
        others = [*stages, *(n for n, out in known.items() if len(out.shape) == 4)]
        raise SettingsError(f"--layers={name}: the encoder has {', '.join(others[:12])}, ...")
    if len(known[name].shape) != 4:
        raise SettingsError(f"--layers={name}: its output is no spatial map")
    return known[name]
