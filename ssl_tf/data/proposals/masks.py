"""Masks of proposals as run lengths, in the order of COCO: column by column, zeros first."""

import numpy as np


def encode_mask(mask: np.ndarray) -> str:
    """The lengths of a mask's runs, separated by blanks; bool [H, W].

    They are the `counts` of COCO's uncompressed `{"size": [H, W], "counts": [...]}`.
    """
    pixels = np.asarray(mask, bool).ravel(order="F")
    changes = np.flatnonzero(pixels[1:] != pixels[:-1]) + 1
    ends = np.concatenate([[0] if pixels[:1].any() else [], changes, [pixels.size]]).astype(int)
    return " ".join(map(str, np.diff(ends, prepend=0)))


def decode_mask(counts: str, height: int, width: int) -> np.ndarray:
    """The mask of `encode_mask`, bool [height, width].

    Raises:
        ValueError: the runs are of another size.
    """
    lengths = np.array(counts.split(), int)
    values = np.repeat(np.arange(len(lengths)) % 2 == 1, lengths)
    return values.reshape(height, width, order="F")
