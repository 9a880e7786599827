"""The weights in Keras's files (.h5, .keras) by layer, read without building the model in them."""

import io
import json
import re
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np

from ssl_tf.errors import UserError
from ssl_tf.weights.keras_graph import check_graph
from ssl_tf.weights.keras_names import keras_modules

# Variables of the layers of a ResNet in the order in which a .keras file numbers them.
_ORDER = {
    "Conv2D": ("kernel", "bias"),
    "PaddedConv2D": ("kernel", "bias"),
    "PointwiseConv2D": ("kernel", "bias"),
    "BatchNormalization": ("gamma", "beta", "moving_mean", "moving_variance"),
    "Dense": ("kernel", "bias"),
}
_WEIGHTS = "model.weights.h5"
# Of an encoder of ours, which has its stride here or in the convolution behind it.
_STRIDED = "layer2_0_conv1"
# `ssl_tf.export` may write a strided 1x1 convolution as a pool of one pixel, whose name ends in
# this, and a convolution without a stride.
POOL = "_stride"


def read_keras(path: Path) -> tuple[dict[str, np.ndarray], bool | None]:
    """The variables of a file as LAYER/KIND, such as conv1_conv/kernel.

    Returns:
        variables: of all layers of a ResNet.
        stride_in_1x1: of an encoder of ours, whether its first strided block has the stride in its
            first convolution; None where the file does not tell, or is of others.

    Raises:
        UserError: the file does not name its layers, or has some inside the encoder that ours has
            not; as the end of a sentence.
        OSError, ValueError, KeyError: it is damaged or of another kind.
    """
    if zipfile.is_zipfile(path):
        return _read_archive(path)
    with h5py.File(path, "r") as file:
        # Of a whole model; weights alone have none.
        config = json.loads(file.attrs.get("model_config", "{}")).get("config", {})
        root = file["model_weights"] if "model_weights" in file else file
        if "layer_names" not in root.attrs:
            raise UserError(
                "names no layers; save the whole model as a .keras file, or its weights as an .h5 "
                "file whose name does not end in .weights.h5"
            )
        variables, layers = dict(_read_legacy(root)), config.get("layers", [])
        if layers:
            return variables, _checked_stride(layers)
        _check_order([*dict.fromkeys(name.rpartition("/")[0] for name in variables)])
        return variables, None


def _read_legacy(root: h5py.Group) -> Iterator[tuple[str, np.ndarray]]:
    """The variables of an .h5 file, which has a group a layer."""
    for layer in map(_text, root.attrs["layer_names"]):
        for name in map(_text, root[layer].attrs["weight_names"]):
            kind = name.rpartition("/")[2].partition(":")[0]
            yield f"{layer}/{kind}", root[layer][name][()]


def _text(name: bytes | str) -> str:
    return name.decode() if isinstance(name, bytes) else name


def _read_archive(path: Path) -> tuple[dict[str, np.ndarray], bool | None]:
    """`read_keras` of a .keras file, which numbers the layers of each class in their order."""
    variables: dict[str, np.ndarray] = {}
    with zipfile.ZipFile(path) as archive:
        layers = json.loads(archive.read("config.json"))["config"]["layers"]
        with h5py.File(io.BytesIO(archive.read(_WEIGHTS)), "r") as file:
            root = file["layers" if "layers" in file else "_layer_checkpoint_dependencies"]
            seen: Counter[str] = Counter()
            for layer in layers:
                kind, name = layer["class_name"].rpartition(">")[2], layer["config"]["name"]
                group = _snake_case(kind) + (f"_{seen[kind]}" if seen[kind] else "")
                seen[kind] += 1
                # Nested models have none of their own.
                values = root[group].get("vars", {}) if group in root else {}
                known = _ORDER.get(kind, ())
                for number in range(len(values)):
                    variable = known[number] if number < len(known) else str(number)
                    variables[f"{name}/{variable}"] = values[str(number)][()]
    return variables, _checked_stride(layers)


def _check_order(layers: list[str]) -> None:
    """Refuses what lies between the layers of an encoder in a file of weights alone.

    Args:
        layers: that have weights, in the order of the file.

    Raises:
        UserError: there is such a layer.
    """
    known = keras_modules(layers)
    places = [place for place, name in enumerate(layers) if name in known] or [0]
    for name in layers[places[0] : places[-1]]:
        if name not in known:
            raise UserError(
                f"has {name} between layers of the encoder, which ours has not; give a plain "
                "ResNet, or the whole model as a .keras file where it is beside the encoder"
            )


def _checked_stride(layers: list[dict]) -> bool | None:
    """`_stride_in_1x1`, of an encoder that has no other layers than ours."""
    strided = _stride_in_1x1(layers)
    # None is of keras.applications, which has the stride in the first.
    check_graph(layers, strided_in_first=strided is not False)
    return strided


def _stride_in_1x1(layers: list[dict]) -> bool | None:
    """Whether the first convolution of an encoder of ours has its stride, by Keras's config."""
    places = [
        layer["config"]["strides"][0]
        for layer in layers
        if layer["config"].get("name") in (_STRIDED, f"{_STRIDED}{POOL}")
    ]
    return 2 in places if places else None


def _snake_case(name: str) -> str:
    """The name of a class as Keras writes it: conv2d for Conv2D."""
    name = re.sub(r"\W+", "", name)
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()
