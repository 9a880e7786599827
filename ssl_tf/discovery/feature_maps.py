"""Feature maps of a frozen encoder: from a run, a SavedModel or Keras weights."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import tensorflow as tf

from ssl_tf.errors import SettingsError, UserError
from ssl_tf.networks.normalization import normalize_images
from ssl_tf.networks.resnet import stage_outputs
from ssl_tf.settings import FeatureSettings
from ssl_tf.training.encoders import load_encoder
from ssl_tf.weights.loading import load_init_encoder

Maps = Callable[[tf.Tensor], list[tf.Tensor]]

# Module and class of Keras, and the layers of strides 8 and 16 after their ReLU; for VGG16 relu4_3
# and relu5_3, as in LOD.
_KERAS = {
    "vgg16": ("vgg16", "VGG16", ("block4_conv3", "block5_conv3")),
    "vgg19": ("vgg19", "VGG19", ("block4_conv4", "block5_conv4")),
    "resnet50": ("resnet50", "ResNet50", ("conv3_block4_out", "conv4_block6_out")),
}
_RESNET_LAYERS = ("C3", "C4")


@dataclasses.dataclass(frozen=True)
class Encoder:
    """Functions from images to features.

    Attributes:
        maps: uint8 [N, H, W, 3] -> non-negative float32 [N, h, w, D], one a layer.
        describe: uint8 [N, S, S, 3] -> float32 [N, D], for the comparison of images.
        layers: names of the maps' layers.
    """

    maps: Maps
    describe: Callable[[tf.Tensor], tf.Tensor]
    layers: tuple[str, ...]


def open_encoder(settings: FeatureSettings) -> Encoder:
    """The encoder of the settings.

    Raises:
        UserError: there is no encoder, or it lacks a spatial map or a layer of --layers.
    """
    path = Path(settings.encoder)
    if settings.encoder in _KERAS:
        return _keras_encoder(settings)
    if settings.init.init_encoder:
        model, _ = load_init_encoder(settings.init)
    elif (path / "saved_model.pb").is_file():
        return _exported_encoder(path, settings.layers)
    else:
        model, _, _ = load_encoder(path, settings.step)
    layers = settings.layers or _RESNET_LAYERS
    outputs = [_layer_output(model, name, stage_outputs(model)) for name in layers]
    return _from_model(model.input, outputs, model.output, layers, normalize_images)


def _keras_encoder(settings: FeatureSettings) -> Encoder:
    module, name, layers = _KERAS[settings.encoder]
    layers = settings.layers or layers
    module = getattr(tf.keras.applications, module)
    model = getattr(module, name)(include_top=False, weights=None, input_shape=(None, None, 3))
    if not settings.encoder_weights:
        raise SettingsError(
            f"--encoder={settings.encoder}: give its Keras weights file (without the classifier) "
            "by --encoder_weights"
        )
    try:
        model.load_weights(settings.encoder_weights)
    except (OSError, ValueError, ImportError) as error:
        raise UserError(
            f"--encoder_weights={settings.encoder_weights} are no {settings.encoder} weights "
            f"without the classifier: {' '.join(str(error).split())[:200]}"
        ) from None
    outputs = [_layer_output(model, layer, {}) for layer in layers]
    # LOD compares images by OBoW's network, here by the mean of the last map.
    pooled = tf.reduce_mean(outputs[-1], axis=[1, 2])

    def normalize(images: tf.Tensor) -> tf.Tensor:
        return module.preprocess_input(tf.cast(images, tf.float32))

    return _from_model(model.input, outputs, pooled, layers, normalize)


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
        return [tf.nn.relu(tf.cast(m, tf.float32)) for m in tf.nest.flatten(values)]

    @tf.function(input_signature=[images], autograph=False)
    def describe(images: tf.Tensor) -> tf.Tensor:
        return tf.cast(pooled_model(normalize(images), training=False), tf.float32)

    return Encoder(maps, describe, layers)


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


def _exported_encoder(path: Path, layers: tuple[str, ...]) -> Encoder:
    """The encoder of a SavedModel with a signature from normalized images to maps [N, h, w, D]."""
    loaded = tf.saved_model.load(str(path))
    signatures = loaded.signatures
    spatial = {
        name: sorted(
            key for key, spec in candidate.structured_outputs.items() if len(spec.shape) == 4
        )
        for name, candidate in signatures.items()
    }
    chosen = next((name for name, keys in spatial.items() if keys), None)
    if chosen is None:
        available = [
            f"{n}: {', '.join(candidate.structured_outputs)}" for n, candidate in signatures.items()
        ]
        raise UserError(
            f"--encoder={path} has no spatial map ({'; '.join(available) or 'no signatures'}); "
            "give the run directory, or a SavedModel with a signature of maps, as ssl_tf.export "
            "writes it"
        )
    names = layers or tuple(n for n in _RESNET_LAYERS if n in spatial[chosen])
    names = names or tuple(spatial[chosen][-1:])
    missing = [name for name in names if name not in spatial[chosen]]
    if missing:
        raise SettingsError(
            f"--layers={','.join(missing)}: {path} has the maps {', '.join(spatial[chosen])}"
        )
    signature = signatures[chosen]
    (argument,) = signature.structured_input_signature[1]

    def run(images: tf.Tensor) -> dict[str, tf.Tensor]:
        return signature(**{argument: normalize_images(images)})

    def maps(images: tf.Tensor) -> list[tf.Tensor]:
        outputs = run(images)
        return [tf.nn.relu(tf.cast(outputs[name], tf.float32)) for name in names]

    def describe(images: tf.Tensor) -> tf.Tensor:
        last = run(images)[spatial[chosen][-1]]
        return tf.reduce_mean(tf.cast(last, tf.float32), axis=[1, 2])

    # Keeps the variables alive.
    maps.loaded = loaded
    return Encoder(maps, describe, names)
