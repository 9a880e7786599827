"""Feature maps of a SavedModel, or its tokens as maps."""

import math
from collections.abc import Callable, Iterable
from pathlib import Path

import tensorflow as tf

from ssl_tf.discovery.map_encoder import RESNET_LAYERS, Encoder
from ssl_tf.errors import SettingsError, UserError
from ssl_tf.networks.digest import saved_model_digest
from ssl_tf.networks.normalization import normalize_images
from ssl_tf.weights.saved_model_loading import load_saved_model

# Sizes that strides and patches of 32, 16, 14 and 8 pixels divide, in which a map's axes are told.
_PROBES = ((224, 448), (448, 224))
# Largest number of a ViT's tokens that are of no patch: the class and registers.
_PREFIX_TOKENS = 8


def open_exported_encoder(path: Path, layers: tuple[str, ...]) -> Encoder:
    """The encoder of a SavedModel with a signature from normalized images to maps.

    Maps are [N, h, w, D], or [N, t, D]: the tokens of a ViT's square patches, row by row.

    Args:
        path: of the SavedModel.
        layers: names of its outputs; none: those of `RESNET_LAYERS` that it has, or its last map.

    Raises:
        UserError: it is damaged, has no such signature, or maps of other axes.
        SettingsError: it lacks one of the layers.
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
    names = layers or tuple(n for n in RESNET_LAYERS if n in spatial[chosen])
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
