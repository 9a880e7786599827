"""Hashes of what an image shows: close where two images look alike."""

import numpy as np
import scipy.fft
from PIL import Image

# Sides of the image that is transformed, and of the block of low frequencies that is kept.
_SIDE, _KEPT = 32, 8
_COLOUR_SIDE = 4
COLOURS = 3 * _COLOUR_SIDE**2


def perceptual_hash(image: Image.Image) -> int:
    """64 bits of an RGB image: which low frequencies of its grey levels are above their median.

    Another size, format or quality of an image changes few of them. Also known as pHash.
    """
    grey = image.convert("L").resize((_SIDE, _SIDE), Image.Resampling.BOX)
    frequencies = scipy.fft.dctn(np.asarray(grey, np.float64))[:_KEPT, :_KEPT].ravel()
    # The first is the mean, which says nothing of what is shown.
    above = frequencies > np.median(frequencies[1:])
    return int.from_bytes(np.packbits(above).tobytes(), "big")


def colours(image: Image.Image) -> bytes:
    """The mean colours of 4x4 fields of an RGB image, `COLOURS` bytes.

    Plain images share hashes; their colours tell them apart.
    """
    return image.resize((_COLOUR_SIDE, _COLOUR_SIDE), Image.Resampling.BOX).tobytes()
