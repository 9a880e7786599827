"""The images that an exported encoder learned from, as its export.json tells them."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ssl_tf.files import read_json

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


def exported_images(path: Path, network: Mapping[str, Any] | None = None) -> EncoderImages:
    """The images of an encoder of `ssl_tf.export`.

    Args:
        path: of an export or of a file in it; of others nothing is known.
        network: flags of the encoder's network: of another one that lies beside an export nothing
            is known; None: it is not known.

    Raises:
        UserError: export.json is damaged.
    """
    facts = (path if path.is_dir() else path.parent) / FACTS
    # "vgg16" is no file of the directory where the command is started.
    is_export = path.exists() and facts.is_file()
    found = read_json(facts, dict, REMEDY) if is_export else {}
    if network and any(found.get(name, value) != value for name, value in network.items()):
        found = {}
    size = found.get("image_size")
    return EncoderImages(size if isinstance(size, int) else 0, found.get("orient") is True)
