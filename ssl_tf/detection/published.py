"""Published figures of detection, for the table beside ours."""

import dataclasses
from collections.abc import Mapping

_BOX = ("box_ap", "box_ap50", "box_ap75")
_MASK = ("mask_ap", "mask_ap50", "mask_ap75")
_VOC = ("voc_ap", "voc_ap50", "voc_ap75")
_TABLE_1 = "OAC, Table 1: pre-trained for as long as 100 epochs of ImageNet; R50-C4"
_TABLE_5 = "OAC, Table 5: pre-trained on COCO; Mask R-CNN R50-FPN, 90k"
_TABLE_6 = "OAC, Table 6: pre-trained on OHMS; R50-C4"
_TABLE_7 = "OAC, Table 7: pre-trained on OpenImages for 75 epochs"
_MOCO = "MoCo's code: R50-C4, 24k, mean of 5"


@dataclasses.dataclass(frozen=True)
class Published:
    """A row of a paper's table.

    Attributes:
        name: of the encoder.
        figures: name -> figure, in percent.
        source: paper, table and protocol.
    """

    name: str
    figures: Mapping[str, float]
    source: str


def _row(name: str, source: str, columns: tuple[str, ...], *figures: float) -> Published:
    return Published(name, dict(zip(columns, figures)), source)


# The headings of the last three columns of Tables 5 and 7 are of sizes; the figures are of masks.
COCO = (
    _row("random", _TABLE_5, _BOX, 32.8),
    _row("supervised, ImageNet", _TABLE_5, _BOX, 39.7),
    _row("MoCo-v2", _TABLE_5, (*_BOX[:1], *_MASK), 38.2, 34.8, 55.3, 37.8),
    _row("MoCo-v2, object crops", _TABLE_5, ("box_ap", "mask_ap"), 39.7, 36.0),
    _row("MoCo-v2, object crops, all losses", _TABLE_5, ("box_ap", "mask_ap"), 40.7, 36.9),
    _row("BYOL", _TABLE_5, _BOX, 38.8),
    _row("BYOL, object crops, all losses", _TABLE_5, _BOX, 41.1),
    _row("DenseCL", _TABLE_5, (*_BOX, *_MASK), 39.6, 59.3, 43.3, 35.7, 56.5, 38.4),
    _row("DenseCL, object crops", _TABLE_5, _BOX, 40.4),
    _row("DenseCL, object crops, all losses", _TABLE_5, _BOX, 41.4),
    _row("MoCo-v2", _TABLE_7, _BOX, 38.2),
    _row("MoCo-v2, object crops", _TABLE_7, _BOX, 41.3),
)
VOC = (
    _row("MoCo-v2, ImageNet", _TABLE_1, _VOC, 50.67),
    _row("MoCo-v2, object crops, ImageNet", _TABLE_1, _VOC, 53.96),
    _row("MoCo-v2, OHMS", _TABLE_1, _VOC, 54.74),
    _row("MoCo-v2, object crops, OHMS", _TABLE_1, _VOC, 57.13),
    _row("supervised, ImageNet", _TABLE_6, _VOC, 56.8),
    _row("MoCo-v2", _TABLE_6, _VOC, 51.5),
    _row("MoCo-v2, object and dilated crops", _TABLE_6, _VOC, 53.4),
    _row("the same and rotation", _TABLE_6, _VOC, 53.8),
    _row("the same and localization", _TABLE_6, _VOC, 54.1),
    _row("MoCo-v2, object crops, all losses", _TABLE_6, _VOC, 54.6, 81.0, 60.6),
    _row("MoCo-v2", _TABLE_7, _VOC, 56.1),
    _row("MoCo-v2, object crops", _TABLE_7, _VOC, 58.8),
    _row("supervised, ImageNet", _MOCO, _VOC, 53.5, 81.3, 58.8),
    _row("MoCo-v2, 200 epochs, ImageNet", _MOCO, _VOC, 57.0, 82.4, 63.6),
    _row("MoCo-v2, 800 epochs, ImageNet", _MOCO, _VOC, 57.4, 82.5, 64.0),
)
