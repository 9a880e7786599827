"""The encoder for Detectron2: safetensors with its names, and the lines of its config."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save

from ssl_tf.exporters.equality import Outputs, compare
from ssl_tf.exporters.exported import Exported, Written
from ssl_tf.exporters.packages import obstacle
from ssl_tf.exporters.torch_weights import check_names, metadata, torch_tensors
from ssl_tf.files import write_text
from ssl_tf.networks.normalization import MEAN, STD
from ssl_tf.networks.resnet import BOTTLENECK_EXPANSION, DEPTHS, scaled_widths
from ssl_tf.settings import ModelSettings
from ssl_tf.weights.torch_names import detectron2_name

WEIGHTS, CONFIG, CONVERTED = "detectron2.safetensors", "detectron2.yaml", "detectron2.pth"
# Without this end of the path Detectron2 loads nothing of the file, and only warns.
_HEURISTICS = "?matching_heuristics=True"
_CONVERSION = (
    "Detectron2 reads no safetensors; where torch is installed, convert them once:",
    "    import torch",
    "    from safetensors.torch import load_file",
    f'    torch.save({{"model": load_file("{WEIGHTS}")}}, "{CONVERTED}")',
    f'    cfg.merge_from_file("{CONFIG}")  # MODEL.WEIGHTS: {CONVERTED}{_HEURISTICS}',
    "or: python scripts/convert_to_detectron2.py DIR",
)


def detectron2_refusal(model: ModelSettings) -> str:
    """Why Detectron2 cannot build the network, as the end of a sentence; empty if it can."""
    widths = scaled_widths(model.width)
    if model.stem == "small":
        return "Detectron2 has no ResNet with a 3x3 stem of stride 1; its stem is the ImageNet one"
    if model.depth == 200:
        return "Detectron2 has no ResNet-200; its depths are 18, 34, 50, 101 and 152"
    if model.width != 1 and not DEPTHS[model.depth][1]:
        return f"Detectron2 has no keys for the width of a ResNet-{model.depth}, only for depth 50+"
    if any(width != widths[0] * 2**stage for stage, width in enumerate(widths)):
        return (
            f"the stages of --width={model.width:g} have {', '.join(map(str, widths))} channels; "
            "Detectron2 has keys for the first alone and doubles it"
        )
    return ""


def write_detectron2(exported: Exported, directory: Path) -> Written:
    """Writes detectron2.safetensors and detectron2.yaml, and checks both.

    Raises:
        UserError: names, shapes or outputs are not those of the encoder.
    """
    weights, config = directory / WEIGHTS, directory / CONFIG
    tensors = {detectron2_name(n): v for n, v in torch_tensors(exported).items()}
    weights.write_bytes(save(tensors, metadata(exported)))
    write_text(config, config_lines(exported.model))
    told = check_names(exported, weights, detectron2_name)
    missing, largest = obstacle("torch", "detectron2"), None
    if missing:
        told += f"; outputs are not compared, because {missing}"
    else:
        names = ("C2", "C3", "C4", "C5")
        difference = compare(exported, _outputs(weights, config), "Detectron2", names)
        largest = difference.share
        told = f"read back by Detectron2, {difference}".replace("features and maps", "maps")
    report = (f"{WEIGHTS}, {CONFIG}: {told}", *_CONVERSION)
    entries = {"weights": WEIGHTS, "config": CONFIG, "largest_difference": largest}
    return Written({"detectron2": entries}, report)


def config_lines(model: ModelSettings) -> str:
    """The keys of Detectron2's config on which the weights depend, as YAML."""
    width = scaled_widths(model.width)[0]
    expansion = BOTTLENECK_EXPANSION if DEPTHS[model.depth][1] else 1
    return f"""\
# Of {WEIGHTS}, converted to {CONVERTED}. Detectron2's defaults are
# others: BGR, PIXEL_STD 1, STRIDE_IN_1X1 True. FrozenBN keeps the statistics; papers that fine-tune
# them give NORM: "SyncBN" and MODEL.BACKBONE.FREEZE_AT: 0.
VERSION: 2
MODEL:
  WEIGHTS: "{CONVERTED}{_HEURISTICS}"
  PIXEL_MEAN: {[round(255 * value, 3) for value in MEAN]}
  PIXEL_STD: {[round(255 * value, 3) for value in STD]}
  RESNETS:
    DEPTH: {model.depth}
    STRIDE_IN_1X1: {model.stride_in_1x1}
    NORM: "FrozenBN"
    STEM_OUT_CHANNELS: {width}
    RES2_OUT_CHANNELS: {width * expansion}
    WIDTH_PER_GROUP: {width}
INPUT:
  FORMAT: "RGB"
"""


def _outputs(weights: Path, config: Path) -> Callable[[np.ndarray], Outputs]:
    """Detectron2's ResNet of the config, with the weights that its own reader finds in the file."""
    import torch
    from detectron2.checkpoint import DetectionCheckpointer
    from detectron2.config import get_cfg
    from detectron2.layers import ShapeSpec
    from detectron2.modeling import build_resnet_backbone

    stages = {f"res{stage}": f"C{stage}" for stage in (2, 3, 4, 5)}
    cfg = get_cfg()
    cfg.merge_from_file(str(config))
    cfg.MODEL.RESNETS.OUT_FEATURES = [*stages]
    model = build_resnet_backbone(cfg, ShapeSpec(channels=3)).eval()
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / CONVERTED
        torch.save({"model": {n: torch.from_numpy(v) for n, v in load_file(weights).items()}}, path)
        DetectionCheckpointer(model).load(f"{path}{_HEURISTICS}")

    def run(images: np.ndarray) -> Outputs:
        with torch.inference_mode():
            maps = model(torch.from_numpy(images.transpose(0, 3, 1, 2).copy()))
        return {stages[name]: maps[name].numpy().transpose(0, 2, 3, 1) for name in maps}

    return run
