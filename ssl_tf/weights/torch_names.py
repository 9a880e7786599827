"""The one map between the tensors of our encoders and those of torch and Detectron2.

Our layers have torchvision's module names with `_` for `.`, so its name of a tensor follows from
that of a variable. timm has torchvision's names. Detectron2's follow from torchvision's.
"""

import re

import numpy as np
import tensorflow as tf

# Entry of export.json and of the metadata of safetensors that we write: names do not tell it.
STRIDE = "stride_in_1x1"
# The last part of the name of a variable -> that of torch.
KINDS = {
    "kernel": "weight",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}
# How Detectron2 renames modules of torchvision, in this order.
_DETECTRON2 = (
    (re.compile(r"^(?=conv1|bn1)"), "stem."),
    (re.compile(r"^layer(\d)"), lambda found: f"res{int(found[1]) + 1}"),
    (re.compile(r"\bbn(\d)"), r"conv\1.norm"),
    (re.compile(r"\bdownsample\.0"), "shortcut"),
    (re.compile(r"\bdownsample\.1"), "shortcut.norm"),
)


def torch_variables(encoder: tf.keras.Model) -> dict[str, tf.Variable]:
    """The variables of a `build_resnet` by torchvision's names, in the order of the layers."""
    return {
        torch_name(layer.name, variable.name.rpartition("/")[2].partition(":")[0]): variable
        for layer in encoder.layers
        for variable in layer.weights
    }


def torch_name(layer: str, kind: str) -> str:
    """Torchvision's name of a variable, such as ("layer1_0_bn1", "gamma").

    Raises:
        KeyError: a ResNet has no variable of the kind.
    """
    return f"{layer.replace('_', '.')}.{KINDS[kind]}"


def detectron2_name(name: str) -> str:
    """Detectron2's name of a tensor: stem.conv1.norm.weight for torchvision's bn1.weight."""
    for pattern, replacement in _DETECTRON2:
        name = pattern.sub(replacement, name)
    return name


def to_torch(array: np.ndarray) -> np.ndarray:
    """A tensor in torch's layout: kernels HWIO to OIHW."""
    return np.ascontiguousarray(array.transpose(3, 2, 0, 1)) if array.ndim == 4 else array


def from_torch(array: np.ndarray) -> np.ndarray:
    """A tensor in our layout: kernels OIHW to HWIO."""
    return np.ascontiguousarray(array.transpose(2, 3, 1, 0)) if array.ndim == 4 else array


def torch_shape(shape: tf.TensorShape) -> tuple[int, ...]:
    """The shape of a variable in torch's layout."""
    return tuple(shape[axis] for axis in (3, 2, 0, 1)) if len(shape) == 4 else tuple(shape)
