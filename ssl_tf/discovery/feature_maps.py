"""Feature maps of a frozen encoder: from a run, a SavedModel or Keras weights."""

import dataclasses
import math
from collections.abc import Callable, Iterable
from pathlib import Path

import tensorflow as tf

from ssl_tf.errors import SettingsError, UserError
from ssl_tf.networks.digest import digest, saved_model_digest
from ssl_tf.networks.dilation import dilated
from ssl_tf.networks.normalization import normalize_images
from ssl_tf.networks.resnet import stage_outputs
from ssl_tf.settings import FeatureSettings
from ssl_tf.training.encoders import load_dense_head, load_encoder
from ssl_tf.weights.loading import load_init_encoder
from ssl_tf.weights.saved_model_loading import load_saved_model

Maps = Callable[[tf.Tensor], list[tf.Tensor]]

# Module and class of Keras, and the layers of strides 8 and 16 after their ReLU; for VGG16 relu4_3
# and relu5_3, as in LOD.
_KERAS = {
    "vgg16": ("vgg16", "VGG16", ("block4_conv3", "block5_conv3")),
    "vgg19": ("vgg19", "VGG19", ("block4_conv4", "block5_conv4")),
    "resnet50": ("resnet50", "ResNet50", ("conv3_block4_out", "conv4_block6_out")),
}
_KERAS_FILES = (".h5", ".hdf5", ".keras")
_RESNET_LAYERS = ("C3", "C4")
# What DenseCL compares: its dense head on C5.
DENSE_KEYS = "dense_keys"
# Sizes that strides and patches of 32, 16, 14 and 8 pixels divide, in which a map's axes are told.
_PROBES = ((224, 448), (448, 224))
# Largest number of a ViT's tokens that are of no patch: the class and registers.
_PREFIX_TOKENS = 8


@dataclasses.dataclass(frozen=True)
class Encoder:
    """Functions from images to features.

    Attributes:
        maps: uint8 [N, H, W, 3] -> float32 [N, h, w, D], one a layer.
        describe: uint8 [N, S, S, 3] -> float32 [N, D], for the comparison of images.
        layers: names of the maps' layers.
        least_side: smallest side of an image that has a map, in pixels.
        patch: side of the square patches of a ViT, in pixels, a multiple of which an image's sides
            must be; 0: any sides.
        fixed_size: (height, width) of the only images that it takes; None: any.
        sha256: of all weights and batch statistics.
        origin: where it comes from, in words.
    """

    maps: Maps
    describe: Callable[[tf.Tensor], tf.Tensor]
    layers: tuple[str, ...]
    least_side: int = 1
    patch: int = 0
    fixed_size: tuple[int, int] | None = None
    sha256: str = ""
    origin: str = ""


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
        return _exported_encoder(path, settings.layers)
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
    layers = settings.layers or _RESNET_LAYERS
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


def _exported_encoder(path: Path, layers: tuple[str, ...]) -> Encoder:
    """The encoder of a SavedModel with a signature from normalized images to maps.

    Maps are [N, h, w, D], or [N, t, D]: the tokens of a ViT's square patches, row by row.
    """
    loaded = load_saved_model(path)
    spatial = {name: _spatial(signature) for name, signature in loaded.signatures.items()}
    chosen = next((name for name, keys in spatial.items() if keys), None)
    if chosen is None:
        available = [
            f"{n}: {', '.join(candidate.structured_outputs)}"
            for n, candidate in loaded.signatures.items()
        ]
        raise UserError(
            f"--encoder={path} has no spatial map ({'; '.join(available) or 'no signatures'}); "
            "give the run directory, or a SavedModel with a signature from images alone to maps, "
            "as ssl_tf.export writes it"
        )
    names = layers or tuple(n for n in _RESNET_LAYERS if n in spatial[chosen])
    names = names or tuple(spatial[chosen][-1:])
    missing = [name for name in names if name not in spatial[chosen]]
    if missing:
        raise SettingsError(
            f"--layers={','.join(missing)}: {path} has the maps {', '.join(spatial[chosen])}"
        )
    signature = loaded.signatures[chosen]
    (argument,) = signature.structured_input_signature[1]

    def run(images: tf.Tensor) -> dict[str, tf.Tensor]:
        return signature(**{argument: normalize_images(images)})

    def maps(images: tf.Tensor) -> list[tf.Tensor]:
        outputs = run(images)
        size = tuple(images.shape[1:3])
        return [as_map(tf.cast(outputs[name], tf.float32), size) for name in names]

    def describe(images: tf.Tensor) -> tf.Tensor:
        last = tf.cast(run(images)[spatial[chosen][-1]], tf.float32)
        return tf.reduce_mean(last, axis=list(range(1, last.shape.rank - 1)))

    taken = signature.structured_input_signature[1][argument].shape
    fixed = tuple(taken[1:3]) if taken.rank == 4 and None not in taken[1:3] else None
    _check_axes(path, run, fixed, dict.fromkeys([*names, spatial[chosen][-1]]))
    size = fixed or _PROBES[0]
    outputs = run(tf.zeros([1, *size, 3], tf.uint8))
    tokens = [outputs[name].shape[1] for name in names if outputs[name].shape.rank == 3]
    patch = max((_patches(count, size)[0] for count in tokens), default=0)
    # Keeps the variables alive.
    maps.loaded = loaded
    sha256 = saved_model_digest(path, signature)
    return Encoder(
        maps,
        describe,
        names,
        patch=patch,
        fixed_size=fixed,
        sha256=sha256,
        origin=f"SavedModel {path}",
    )


def _spatial(signature: Callable[..., dict[str, tf.Tensor]]) -> list[str]:
    """The outputs that may be maps or tokens, of a signature of one input."""
    if len(signature.structured_input_signature[1]) != 1:
        return []
    outputs = signature.structured_outputs.items()
    return sorted(key for key, spec in outputs if spec.shape.rank in (3, 4))


def _check_axes(
    path: Path,
    run: Callable[[tf.Tensor], dict[str, tf.Tensor]],
    fixed: tuple[int, int] | None,
    names: Iterable[str],
) -> None:
    """Checks, before the work, that a SavedModel takes images, and that its maps are [N, h, w, D].

    Cells are square, so h : w is height : width of the image to within a cell. Of channels before
    the axes of the image that cannot hold for a wide and for a high image.

    Args:
        path: of the SavedModel.
        run: uint8 [N, H, W, 3] -> all outputs.
        fixed: (height, width) of its images, if it takes no other.
        names: outputs that are read. What is no map of rank 4 is tokens, see `as_map`.

    Raises:
        UserError: it does not, or they are not.
    """
    for height, width in [fixed] if fixed else _PROBES:
        try:
            outputs = run(tf.zeros([1, height, width, 3], tf.uint8))
        except Exception as error:  # whatever the model's own operations raise
            cause = " ".join(str(error).split())[:200]
            raise UserError(
                f"--encoder={path} takes no images [N, {height}, {width}, 3] ({cause}); give a "
                "SavedModel of channels last (NHWC)"
            ) from None
        for name in names:
            shape = outputs[name].shape
            if len(shape) == 4 and abs(shape[1] * width - shape[2] * height) > max(height, width):
                raise UserError(
                    f"--encoder={path}: of an image of {height}x{width} pixels its output {name} "
                    f"is {'x'.join(map(str, shape[1:]))}, which is no map [h, w, D] of it; give a "
                    "SavedModel of channels last (NHWC), or other --layers"
                )


def as_map(features: tf.Tensor, size: tuple[int, int]) -> tf.Tensor:
    """A map [N, h, w, D] as it is, or from the tokens [N, t, D] of square patches.

    Tokens before those of the patches, of the class and registers, are left out.

    Args:
        features: [N, h, w, D] or [N, t, D].
        size: (height, width) of the images in pixels.

    Raises:
        UserError: no patch size divides the image into so many patches.
    """
    if features.shape.rank == 4:
        return features
    patch, first = _patches(features.shape[1], size)
    return tf.reshape(
        features[:, first:], [-1, size[0] // patch, size[1] // patch, features.shape[2]]
    )


def _patches(tokens: int, size: tuple[int, int]) -> tuple[int, int]:
    """The side of the square patches in pixels, and the number of tokens before theirs.

    Raises:
        UserError: no patch size divides the image into so many patches.
    """
    height, width = size
    for first in range(min(_PREFIX_TOKENS, tokens - 1) + 1):
        patch = math.sqrt(height * width / (tokens - first))
        if patch.is_integer() and height % patch == width % patch == 0:
            return int(patch), first
    raise UserError(
        f"--encoder: its {tokens} tokens are no square patches of {height}x{width} pixels; give a "
        "ViT of square patches, whose tokens come last, and --scales of which they keep whole ones"
    )
