"""The layers of encoders in Keras's files: ours, and those of keras.applications."""

import re
from collections.abc import Container

from ssl_tf.weights.architecture import all_names


def of_applications(layers: Container[str]) -> bool:
    """Whether the layers of a file are those of a ResNet of keras.applications."""
    return "conv1_conv" in layers


def keras_modules(layers: Container[str]) -> dict[str, str]:
    """Layer -> torchvision's module, for the layers of a file that an encoder has."""
    modules = {name.rpartition(".")[0] for name in all_names()}
    rename = _applications_name if of_applications(layers) else _our_name
    return {layer: module for module in modules if (layer := rename(module)) in layers}


def _our_name(module: str) -> str:
    return module.replace(".", "_")


def _applications_name(module: str) -> str:
    """The layer of keras.applications: conv2_block1_0_bn for layer1.0.downsample.1."""
    module = re.sub(r"downsample\.0$", "conv0", re.sub(r"downsample\.1$", "bn0", module))
    if found := re.fullmatch(r"layer(\d)\.(\d+)\.(conv|bn)(\d)", module):
        return f"conv{int(found[1]) + 1}_block{int(found[2]) + 1}_{found[4]}_{found[3]}"
    return {"conv1": "conv1_conv", "bn1": "conv1_bn"}[module]
