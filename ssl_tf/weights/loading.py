"""An encoder from the file of --init_encoder: read, recognized, checked, put into a network."""

import contextlib
import dataclasses
import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from safetensors import safe_open

from ssl_tf.errors import UserError
from ssl_tf.files import read_json
from ssl_tf.networks.encoder import build_encoder
from ssl_tf.settings import InitEncoderSettings, ModelSettings
from ssl_tf.settings.initialization import are_of_pixels
from ssl_tf.weights.encoder_images import (
    FACTS,
    REMEDY,
    EncoderImages,
    exported_images,
    exported_width,
)
from ssl_tf.weights.families import Pixels, Weights, from_keras_file, from_torch_file
from ssl_tf.weights.keras_files import read_keras
from ssl_tf.weights.torch_names import STRIDE, from_torch, torch_shape, torch_variables
from ssl_tf.weights.torch_pickles import read_pickle

# Variances of some millions occur; damaged bytes are mostly far beyond.
_LARGEST = 1e12
_PICKLES = (".pth", ".pt", ".tar", ".pkl", ".bin", ".pyth")
_KERAS = (".h5", ".hdf5", ".keras")
_COMPILED = (".onnx", ".tflite")
# Side of the images that the networks of others are made for, in pixels.
_USUAL_SIDES = {"imagenet": 224, "small": 32}


def check_file(settings: InitEncoderSettings) -> None:
    """Checks, before the work, that the file of --init_encoder is there.

    Raises:
        UserError: it is not.
    """
    path = Path(settings.init_encoder)
    if not path.exists():
        raise UserError(f"--init_encoder={path}: there is no such file; correct the name")


def read_weights(settings: InitEncoderSettings) -> Weights:
    """The weights in the file of --init_encoder; what was found and left out is told on stderr.

    Raises:
        UserError: the file is missing, damaged, needs --allow_pickle, or holds no encoder of ours;
            one line, with the tensors that are missing, unknown or of another shape.
    """
    check_file(settings)
    path = Path(settings.init_encoder)
    try:
        weights = _read(path, settings)
    except UserError as error:
        raise type(error)(f"--init_encoder={path} {error}") from None
    _check_numbers(path, weights)
    found = weights.architecture
    left_out = ", ".join(f"{name} ({count})" for name, count in weights.left_out.items())
    pixels = f", pixels {weights.pixels}" if weights.pixels else ""
    # Somebody else's stem has the tensors of ours, whatever its padding.
    stem = ", of stride 1, padding 1 and no pool" if pixels and found.stem == "small" else ""
    print(
        f"{path}: ResNet-{found.depth}, width {found.width:g}, {found.stem} stem{stem}, names of "
        f"{weights.origin}{pixels}; all {len(weights.tensors)} tensors of the encoder are read, "
        f"left out: {left_out or 'none'}",
        file=sys.stderr,
    )
    return weights


def _beside(path: Path) -> dict[str, Any]:
    """What timm's config.json beside a file tells of its network; empty without one.

    Raises:
        UserError: it is damaged.
    """
    try:
        told = json.loads(path.with_name("config.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError):
        raise UserError(
            "has a config.json beside it that is no JSON, which may tell its pixels; copy it "
            "again, or move it away"
        ) from None
    if not isinstance(told, dict):
        return {}
    inner = told.get("pretrained_cfg")
    return {**told, **inner} if isinstance(inner, dict) else told


def _check_pools(names: Sequence[str]) -> None:
    """Refuses timm's ResNets that blur or average where they stride.

    Their pools have no tensors, so that those of the file are a plain ResNet's, of which no figure
    would be theirs. Names tell them.

    Args:
        names: of the file, and of its network.

    Raises:
        UserError: it is one.
    """
    for name in names:
        if re.search(r"resnet(aa|blur)", name):
            raise UserError(
                f"is {name}, whose strides are in pools that ours has not; give a plain ResNet"
            )


def _pixels(settings: InitEncoderSettings, told: Mapping[str, Any]) -> Pixels | None:
    """The pixels by the flags, else by config.json; None if neither tells them, or they are ours.

    Raises:
        UserError: config.json has no three numbers.
    """
    found = Pixels()
    for name in ("mean", "std"):
        values = getattr(settings, f"init_{name}") or told.get(name)
        if values is None:
            continue
        try:
            values = tuple(map(float, values))
        except (TypeError, ValueError):
            values = ()
        if not are_of_pixels(name, values):
            raise UserError(
                f"has a config.json beside it whose {name} is not of three numbers from 0 to 1; "
                f"give --init_{name}"
            )
        found = dataclasses.replace(found, **{name: values})
    return None if found == Pixels() else found


def _read(path: Path, settings: InitEncoderSettings) -> Weights:
    convention = settings.init_convention
    if path.is_dir() or path.suffix in _KERAS:
        with _reading():
            if path.is_dir():
                variables, own_stride = _read_saved_model(path), _exported_stride(path)
            else:
                variables, own_stride = read_keras(path)
        # Those of ImageNet, too, are other ones than the names tell.
        is_given = settings.init_mean or settings.init_std
        given = (_pixels(settings, {}) or Pixels()) if is_given else None
        return from_keras_file(variables, convention, own_stride, given)
    if path.suffix == ".json":
        raise UserError("holds no weights; give the directory that it lies in, or a file beside it")
    if path.suffix in _COMPILED:
        raise UserError(
            f"is a network for use alone ({path.suffix}); give the SavedModel, the .keras file or "
            "the weights of the same export"
        )
    told = _beside(path)
    _check_pools([path.name, str(told.get("architecture"))])
    pixels = _pixels(settings, told)
    if _is_pickle(path):
        if not settings.allow_pickle:
            raise UserError(
                "is a pickle; give --allow_pickle to read its tensors (nothing else in it is run), "
                "or save them as safetensors"
            )
        with _reading():
            tensors = read_pickle(path)
        return from_torch_file(tensors, convention, pixels=pixels)
    with _reading(), safe_open(path, framework="np") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}
        own_stride = (file.metadata() or {}).get(STRIDE)
    own_stride = own_stride and own_stride == str(True)
    return from_torch_file(tensors, convention, own_stride, pixels)


def _is_pickle(path: Path) -> bool:
    """Whether a file is a pickle of torch, by its name, or by its first bytes.

    VISSL calls them .torch, Lightning .ckpt. They are zip files, or begin with their protocol. A
    safetensors file begins with eight bytes of a length and a brace.
    """
    if path.suffix in (*_PICKLES, ".safetensors"):
        return path.suffix in _PICKLES
    with _reading(), path.open("rb") as file:
        start = file.read(9)
    return start[8:] != b"{" and start.startswith((b"PK", b"\x80"))


@contextlib.contextmanager
def _reading() -> Iterator[None]:
    """Turns what a library says of a file that it cannot read into one line."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # a damaged file fails in any way
        cause = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise UserError(
            f"cannot be read ({cause}); it is damaged or of another kind, copy it again"
        ) from None


def _exported_stride(path: Path) -> bool:
    """Where the bottlenecks of an exported encoder have their stride; older ones: in the 3x3."""
    return read_json(path / FACTS, dict, REMEDY).get(STRIDE, False) is True


def _read_saved_model(path: Path) -> dict[str, np.ndarray]:
    """The variables of a SavedModel of `ssl_tf.export`, as LAYER/KIND."""
    if not (path / "saved_model.pb").is_file():
        raise UserError("is a directory without a SavedModel; give a file, or --checkpoint=RUN")
    encoder = getattr(tf.saved_model.load(str(path)), "encoder", None)
    if encoder is None:
        raise UserError("is no SavedModel of ssl_tf.export")
    return {variable.name.partition(":")[0]: variable.numpy() for variable in encoder.variables}


def _check_numbers(path: Path, weights: Weights) -> None:
    """Refuses what no training leaves: infinite or huge numbers, negative variances.

    Raises:
        UserError: names the first such tensor.
    """
    for name, value in weights.tensors.items():
        largest = np.abs(value).max(initial=0)
        if not np.isfinite(largest):
            raise UserError(f"--init_encoder={path}: {name} holds numbers that are not finite")
        if largest > _LARGEST:
            raise UserError(
                f"--init_encoder={path}: {name} holds a number beyond {_LARGEST:g}; the file is "
                "damaged, copy it again"
            )
        if name.endswith(".running_var") and value.min() < 0:
            raise UserError(f"--init_encoder={path}: {name} holds negative variances")


def load_init_encoder(
    settings: InitEncoderSettings,
) -> tuple[tf.keras.Model, ModelSettings, EncoderImages]:
    """The encoder of --init_encoder, the settings of its network, and what its images are.

    Their side is that of export.json in or beside an export, else the usual one of the stem.

    Raises:
        UserError: as `read_weights`, or export.json is damaged.
    """
    weights = read_weights(settings)
    found, path = weights.architecture, Path(settings.init_encoder)
    model = ModelSettings(
        depth=found.depth,
        width=exported_width(path, found.width),
        stem=found.stem,
        stride_in_1x1=weights.stride_in_1x1,
    )
    encoder = build_encoder(model, seed=0)
    assign(encoder, weights)
    images = exported_images(path, model.network_flags)
    side = images.image_size or _USUAL_SIDES[model.stem]
    return encoder, model, dataclasses.replace(images, image_size=side)


def check_encoder(encoder: tf.keras.Model, weights: Weights, settings: InitEncoderSettings) -> None:
    """Checks that the encoder of a run is the network of the weights.

    Raises:
        UserError: it is another; the message has the flags of the weights.
    """
    found = weights.architecture
    shapes = {name: torch_shape(v.shape) for name, v in torch_variables(encoder).items()}
    # Nothing else of a network tells where its strides are.
    strided = found.has_bottlenecks and shapes == found.shapes()
    strided = strided and encoder.get_layer("layer2_0_conv1").strides[0] == 2
    if shapes != found.shapes() or strided != weights.stride_in_1x1:
        stride = f" --{'' if weights.stride_in_1x1 else 'no'}stride_in_1x1"
        raise UserError(
            f"--init_encoder={settings.init_encoder} is of another network; give {found}"
            f"{stride if found.has_bottlenecks else ''}"
        )


def assign(encoder: tf.keras.Model, weights: Weights) -> None:
    """Sets all variables of an encoder, which must be of the weights' architecture."""
    for name, variable in torch_variables(encoder).items():
        variable.assign(from_torch(weights.tensors[name]))
