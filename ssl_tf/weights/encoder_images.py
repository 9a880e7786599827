"""The images that an exported encoder learned from, as its export.json tells them."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ssl_tf.files import read_json
from ssl_tf.networks.resnet import scaled_widths

FACTS, REMEDY = "export.json", "export the encoder again"


@dataclasses.dataclass(frozen=True)
class EncoderImages:
    """The images that an encoder is made for.

    Attributes:
        image_size: their side, in pixels; 0: nothing tells.
        orient: they were turned upright, as EXIF says; False where nothing tells.
    """

    image_size: int = 0
    orient: bool = False


def exported_width(path: Path, width: float) -> float:
    """The width that an export tells, if its channels are those of this one; else this one.

    Args:
        path: as in `exported_images`.
        width: by the channels of the tensors, which are rounded.

    Raises:
        UserError: export.json is damaged.
    """
    told = _facts(path).get("width")
    is_number = isinstance(told, (int, float)) and 0 < told <= 2 * width
    return told if is_number and scaled_widths(told) == scaled_widths(width) else width


def exported_images(path: Path, network: Mapping[str, Any] | None = None) -> EncoderImages:
    """The images of an encoder of `ssl_tf.export`.

    Args:
        path: of an export or of a file in it; of others nothing is known.
        network: flags of the encoder's network: of another one that lies beside an export nothing
            is known; None: it is not known.

    Raises:
        UserError: export.json is damaged.
    """
    found = _facts(path)
    if network and any(found.get(name, value) != value for name, value in network.items()):
        found = {}
    size = found.get("image_size")
    return EncoderImages(size if isinstance(size, int) else 0, found.get("orient") is True)


def _facts(path: Path) -> dict[str, Any]:
    """What export.json tells in or beside a path; empty without one."""
    facts = (path if path.is_dir() else path.parent) / FACTS
    # "vgg16" is no file of the directory where the command is started.
    return read_json(facts, dict, REMEDY) if path.exists() and facts.is_file() else {}
