"""Raw pixels as PPM files (Netpbm P6) with a header of fixed length, which graphs cut off quickly.

A comment fills the header, so every program that reads PPM reads these files.
"""

import numpy as np

# What such a file begins with: no PPM file of another program does.
MAGIC = b"P6\n#ssl_tf"
HEADER_BYTES = 64
# Places of width and height, five digits each.
WIDTH, HEIGHT, DIGITS = 48, 54, 5
_LARGEST_SIDE = 10**DIGITS - 1


def encode(pixels: np.ndarray) -> bytes:
    """The file of a uint8 [H, W, 3] image.

    Raises:
        ValueError: a side is too long for the header.
    """
    height, width = pixels.shape[:2]
    if max(height, width) > _LARGEST_SIDE:
        raise ValueError(f"{width}x{height} is too large for raw pixels")
    header = b"%s\n%05d %05d\n255\n" % (MAGIC.ljust(WIDTH - 1), width, height)
    return header + pixels.tobytes()
