"""The lines of Python that build an exported encoder in torch, and what they need."""

from ssl_tf.networks.resnet import DEPTHS, scaled_widths
from ssl_tf.settings import ModelSettings

_HEAD = '''"""Builds the encoder: images [N, 3, H, W], normalized as in export.json, to features."""

from pathlib import Path

{imports}
from safetensors.torch import load_file

WEIGHTS = Path(__file__).with_name("{weights}")


def build(norm_layer=torch.nn.BatchNorm2d):
    """The encoder; a norm_layer that is frozen, as detectors take it, keeps its statistics."""
'''
_TAIL = """    model.load_state_dict(load_file(WEIGHTS), strict=True)
    return model.eval()
"""


def torchvision_lines(model: ModelSettings, weights: str) -> str:
    """A module whose `build` gives the encoder as a ResNet of torchvision."""
    blocks, is_bottleneck = DEPTHS[model.depth]
    if model.width == 1 and model.depth < 200:
        body = [f"model = torchvision.models.resnet{model.depth}(norm_layer=norm_layer)"]
    else:
        # torchvision's ResNet takes no widths, so its stem and stages are built anew.
        block = "Bottleneck" if is_bottleneck else "BasicBlock"
        widths = scaled_widths(model.width)
        body = [
            f"block = torchvision.models.resnet.{block}",
            f"model = torchvision.models.ResNet(block, {[*blocks]}, norm_layer=norm_layer)",
            f"model.inplanes = {widths[0]}",
            f"model.conv1 = torch.nn.Conv2d(3, {widths[0]}, 7, 2, 3, bias=False)",
            f"model.bn1 = norm_layer({widths[0]})",
            *(
                f"model.layer{stage} = model._make_layer(block, {width}, {count}"
                f"{', stride=2' if stage > 1 else ''})"
                for stage, (width, count) in enumerate(zip(widths, blocks), start=1)
            ),
        ]
    body += [*_variant(model), "model.fc = torch.nn.Identity()"]
    lines = "".join(f"    {line}\n" for line in body)
    imports = "import torch\nimport torchvision"
    return _HEAD.format(weights=weights, imports=imports) + lines + _TAIL


def timm_lines(model: ModelSettings, weights: str) -> str:
    """A module whose `build` gives the encoder as a ResNet of timm."""
    options = "num_classes=0, norm_layer=norm_layer"
    body = [f'model = timm.create_model("{timm_name(model)}", {options})', *_variant(model)]
    lines = "".join(f"    {line}\n" for line in body)
    imports = "import timm\nimport torch"
    return _HEAD.format(weights=weights, imports=imports) + lines + _TAIL


def timm_name(model: ModelSettings) -> str:
    """The name by which timm builds the network, before a small stem takes its place."""
    return f"resnet{model.depth}"


def timm_refusal(model: ModelSettings) -> str:
    """Why timm cannot build the network, as the end of a sentence; empty if it can."""
    if model.width == 1:
        return ""
    return (
        f"timm builds no ResNet whose stem and stages are {model.width:g} times as wide; give "
        "--format=torchvision, whose lines build it"
    )


def _variant(model: ModelSettings) -> list[str]:
    """Lines for what differs from the network that the library builds by name."""
    channels = scaled_widths(model.width)[0]
    lines = []
    if model.stem == "small":
        lines += [
            f"model.conv1 = torch.nn.Conv2d(3, {channels}, 3, 1, 1, bias=False)",
            "model.maxpool = torch.nn.Identity()",
        ]
    if model.stride_in_1x1:
        lines += [
            "for stage in (model.layer2, model.layer3, model.layer4):",
            "    stage[0].conv1.stride, stage[0].conv2.stride = (2, 2), (1, 1)",
        ]
    return lines
