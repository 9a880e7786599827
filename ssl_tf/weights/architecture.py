"""Which ResNet a set of tensors is: the rule of names and shapes, forwards and backwards."""

import dataclasses
import re
from collections.abc import Mapping

from ssl_tf.errors import UserError
from ssl_tf.networks.resnet import BOTTLENECK_EXPANSION, DEPTHS, STAGE_WIDTHS, scaled_widths

Shape = tuple[int, ...]

_KERNELS = {"imagenet": 7, "small": 3}
_LISTED = 3
# Names of torchvision and of Detectron2 that only an encoder's tensors have.
_TRUNK = re.compile(r"(?:conv|bn)\d\.|(?:layer|res)\d\.|stem\.conv")
# Torch's count of the batches that a normalization has seen, which nothing reads.
COUNTER = ".num_batches_tracked"


@dataclasses.dataclass(frozen=True)
class Architecture:
    """A ResNet as tensors show it; the place of a bottleneck's stride is not in them."""

    depth: int
    width: float
    stem: str

    def __str__(self) -> str:
        return f"--depth={self.depth} --width={self.width:g} --stem={self.stem}"

    @property
    def has_bottlenecks(self) -> bool:
        """Whether a block is a 1x1, a 3x3 and a 1x1 convolution, and not two of 3x3."""
        return DEPTHS[self.depth][1]

    def shapes(self) -> dict[str, Shape]:
        """Torchvision's name of each tensor -> its shape in torch.

        This is written down from the definition of the network, not read from one of ours, so that
        it can tell whether ours are right.
        """
        blocks, is_bottleneck = DEPTHS[self.depth]
        widths = scaled_widths(self.width)
        kernel, channels = _KERNELS[self.stem], widths[0]
        shapes = _convolution("conv1", "bn1", channels, 3, kernel)
        for stage, (count, width) in enumerate(zip(blocks, widths), start=1):
            expansion = BOTTLENECK_EXPANSION if is_bottleneck else 1
            sides = (1, 3, 1) if is_bottleneck else (3, 3)
            for block in range(count):
                name, before = f"layer{stage}.{block}", channels
                for number, side in enumerate(sides, start=1):
                    output = width * (expansion if number == len(sides) else 1)
                    conv, norm = f"{name}.conv{number}", f"{name}.bn{number}"
                    shapes |= _convolution(conv, norm, output, before, side)
                    before = output
                if channels != before or (stage > 1 and block == 0):
                    conv, norm = f"{name}.downsample.0", f"{name}.downsample.1"
                    shapes |= _convolution(conv, norm, before, channels, 1)
                channels = before
        return shapes


def _convolution(conv: str, norm: str, output: int, channels: int, side: int) -> dict[str, Shape]:
    kinds = ("weight", "bias", "running_mean", "running_var")
    return {
        f"{conv}.weight": (output, channels, side, side),
        **{f"{norm}.{kind}": (output,) for kind in kinds},
    }


def all_names() -> set[str]:
    """Torchvision's names of the tensors of all ResNets."""
    return {name for depth in DEPTHS for name in Architecture(depth, 1.0, "imagenet").shapes()}


def recognize(shapes: Mapping[str, Shape]) -> Architecture:
    """The ResNet that these tensors, by torchvision's names, are.

    Tensors that are no part of a ResNet's stem and stages may be among them.

    Raises:
        UserError: they are none of `DEPTHS`, or tensors are missing, of another shape or too many;
            the message names them, as the end of a sentence.
    """
    blocks = tuple(
        len({found[1] for name in shapes if (found := re.match(rf"layer{stage}\.(\d+)\.", name))})
        for stage in (1, 2, 3, 4)
    )
    is_bottleneck = "layer1.0.conv3.weight" in shapes
    depth = next((d for d, kind in DEPTHS.items() if kind == (blocks, is_bottleneck)), None)
    if depth is None:
        kind = "bottlenecks" if is_bottleneck else "basic blocks"
        known = ", ".join(map(str, DEPTHS))
        raise UserError(f"has {blocks} {kind}, which is no ResNet of depth {known}")
    stem = next((s for s, k in _KERNELS.items() if shapes["conv1.weight"][2:] == (k, k)), None)
    if stem is None:
        kernel = "x".join(map(str, shapes["conv1.weight"][2:]))
        raise UserError(f"has a stem of {kernel}, which is neither the ImageNet stem nor the small")
    found = Architecture(depth, _width(shapes), stem)
    differing = differences(found.shapes(), shapes)
    if differing:
        raise UserError(f"is no ResNet-{depth} of width {found.width:g}: {differing}")
    return found


def _width(shapes: Mapping[str, Shape]) -> float:
    """The width whose stages have these channels; if there is none, that of the stem.

    Where channels were rounded, many widths have the same; the shortest decimal is taken.
    """
    channels = tuple(shapes.get(f"layer{stage}.0.conv1.weight", (0,))[0] for stage in (1, 2, 3, 4))
    width = shapes["conv1.weight"][0] / STAGE_WIDTHS[0]
    if scaled_widths(width) != channels:
        # The channels of all stages together are the least rounded.
        near = (channels[-1] / STAGE_WIDTHS[-1], sum(channels) / sum(STAGE_WIDTHS))
        for candidate in (round(value, digits) for digits in range(1, 8) for value in near):
            if scaled_widths(candidate) == channels:
                return candidate
    return width


def differences(expected: Mapping[str, Shape], found: Mapping[str, Shape]) -> str:
    """How tensors differ from the expected ones, in words; empty if they do not.

    Tensors of other parts, such as a classifier, may be among those found.
    """
    parts = {
        "missing": [name for name in expected if name not in found],
        "of another shape": [
            f"{name} {list(found[name])} for {list(shape)}"
            for name, shape in expected.items()
            if name in found and found[name] != shape
        ],
        "unknown": [
            name
            for name in found
            if _TRUNK.match(name) and name not in expected and not name.endswith(COUNTER)
        ],
    }
    return "; ".join(
        f"{title} {', '.join(names[:_LISTED])}"
        + (f" and {len(names) - _LISTED} more" if len(names) > _LISTED else "")
        for title, names in parts.items()
        if names
    )
