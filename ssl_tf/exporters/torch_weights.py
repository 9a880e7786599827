"""The encoder for torchvision and timm: safetensors with their names, and lines that build it."""

import importlib.util
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save

from ssl_tf.errors import UserError
from ssl_tf.exporters.equality import Outputs, compare
from ssl_tf.exporters.exported import Exported, Written
from ssl_tf.exporters.packages import install_line, obstacle
from ssl_tf.exporters.torch_models import timm_lines, timm_name, torchvision_lines
from ssl_tf.files import write_text
from ssl_tf.settings import ModelSettings
from ssl_tf.weights.architecture import COUNTER, Architecture, Shape
from ssl_tf.weights.torch_names import STRIDE, to_torch, torch_variables


def write_torchvision(exported: Exported, directory: Path) -> Written:
    """Writes torchvision.safetensors and torchvision_model.py, and checks both.

    Raises:
        UserError: names, shapes or outputs are not those of the encoder.
    """
    written = _write(exported, directory, "torchvision", torchvision_lines)
    norm = "torch.nn.BatchNorm2d with eps 1e-5; build() takes another norm_layer"
    return Written({"torchvision": {**written.entries, "norm_layer": norm}}, written.report)


def write_timm(exported: Exported, directory: Path) -> Written:
    """Writes timm.safetensors and timm_model.py, and checks both.

    Raises:
        UserError: as `write_torchvision`.
    """
    written = _write(exported, directory, "timm", timm_lines)
    entries = {**written.entries, "model": timm_name(exported.model)}
    return Written({"timm": entries}, written.report)


def _write(
    exported: Exported, directory: Path, library: str, lines: Callable[[ModelSettings, str], str]
) -> Written:
    weights, module = directory / f"{library}.safetensors", directory / f"{library}_model.py"
    tensors = torch_tensors(exported)
    for name in [name for name in tensors if name.endswith(".running_mean")]:
        tensors[name.removesuffix(".running_mean") + COUNTER] = np.array(0, np.int64)
    weights.write_bytes(save(tensors, metadata(exported)))  # save_file lets nobody else read it
    write_text(module, lines(exported.model, weights.name))
    told = check_names(exported, weights, lambda name: name)
    missing, largest = obstacle("torch", library), None
    if missing:
        told += f"; outputs are not compared, because {missing} ({install_line('torch')})"
    else:
        difference = compare(exported, _torch_outputs(module), library)
        largest = difference.share
        told = f"read back by {library} {version(library)}, {difference}"
    entries = {"weights": weights.name, "lines": module.name, "largest_difference": largest}
    return Written(entries, (f"{weights.name}, {module.name}: {told}",))


def metadata(exported: Exported) -> dict[str, str]:
    """The metadata of a file of safetensors: by `STRIDE` --init_encoder knows ours.

    It is one entry, because safetensors writes several in any order, so that bytes would differ.
    """
    return {STRIDE: str(exported.model.stride_in_1x1)}


def torch_tensors(exported: Exported) -> dict[str, np.ndarray]:
    """The variables of the encoder by torchvision's names, in torch's layout."""
    return {n: to_torch(v.numpy()) for n, v in torch_variables(exported.encoder).items()}


def check_names(exported: Exported, weights: Path, rename: Callable[[str], str]) -> str:
    """Compares a file with the rule of names and shapes, and tells so.

    Args:
        exported: the encoder.
        weights: safetensors.
        rename: torchvision's name of a tensor -> that in the file.

    Raises:
        UserError: it differs.
    """
    model = exported.model
    shapes = Architecture(model.depth, model.width, model.stem).shapes()
    expected = {rename(name): shape for name, shape in shapes.items()}
    found = read_shapes(weights)
    if found != expected:
        wrong = sorted(found.items() ^ expected.items())[:3]
        raise UserError(
            f"{weights.name} has not the names and shapes of its library ({wrong}); this is a "
            "defect, nothing is exported"
        )
    return f"its {len(expected)} names and shapes are those of the written rule"


def read_shapes(weights: Path) -> dict[str, Shape]:
    """The names and shapes in a file of safetensors, without the counters of normalizations."""
    with safe_open(weights, framework="np") as file:
        names = [name for name in file.keys() if not name.endswith(COUNTER)]
        return {name: tuple(file.get_slice(name).get_shape()) for name in names}


def _torch_outputs(module: Path) -> Callable[[np.ndarray], Outputs]:
    """The encoder that the exported lines build, as `equality.compare` runs it."""
    import torch

    spec = importlib.util.spec_from_file_location(module.stem, module)
    lines = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(lines)
    model = lines.build()
    maps: dict[str, torch.Tensor] = {}
    for stage in (1, 2, 3, 4):
        layer = getattr(model, f"layer{stage}")
        layer.register_forward_hook(
            lambda layer, inputs, output, name=f"C{stage + 1}": maps.update({name: output})
        )

    def run(images: np.ndarray) -> Outputs:
        with torch.inference_mode():
            features = model(torch.from_numpy(images.transpose(0, 3, 1, 2).copy()))
        return {
            "features": features.numpy(),
            **{name: value.numpy().transpose(0, 2, 3, 1) for name, value in maps.items()},
        }

    return run
