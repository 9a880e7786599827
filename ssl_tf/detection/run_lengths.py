"""Masks as COCO's run lengths, by pycocotools."""

import numpy as np
from pycocotools import mask as coco_mask

# {"size": [height, width], "counts": compressed text}.
RunLengths = dict[str, list[int] | str]


def encode_mask(mask: np.ndarray) -> RunLengths:
    """The run lengths of a mask [height, width] of 0 and 1, as a json holds them."""
    encoded = coco_mask.encode(np.asfortranarray(mask, np.uint8))
    return {"size": list(map(int, encoded["size"])), "counts": encoded["counts"].decode()}


def decode_mask(encoded: RunLengths) -> np.ndarray:
    """The mask of run lengths: bool [height, width]."""
    return coco_mask.decode(encoded).astype(bool)
