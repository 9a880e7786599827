"""Images of which TensorFlow's decoder makes a wrong one, or not the same in every version.

They are BMP of a palette, PNG of 12 bits, and WebP, which TensorFlow 2.15 cannot read and 2.21 can.
"""

import io

import numpy as np
import tensorflow as tf
from PIL import Image

# The place of the bits a pixel in a BMP and of the bits a sample in a PNG; each is one byte.
_BMP_BITS, _PNG_BITS = 28, 24
# RE2's \C is any byte.
_PALETTE_BMP = rf"BM\C{{{_BMP_BITS - 2}}}[\x01\x02\x04\x08]"
_DEEP_PNG = rf"\CPNG\C{{{_PNG_BITS - 4}}}\x10\C{{{_BMP_BITS - _PNG_BITS}}}"
_WEBP = r"RIFF\C{4}WEBP\C*"
_LOW_BITS = 12


def is_unusual(encoded: tf.Tensor) -> tf.Tensor:
    """Whether a file (string scalar) must be decoded by `decode`: bool scalar, from its header."""
    header = tf.strings.substr(encoded, 0, _BMP_BITS + 1)
    return tf.strings.regex_full_match(header, f"{_PALETTE_BMP}|{_DEEP_PNG}|{_WEBP}")


def decode(encoded: bytes | np.ndarray) -> tuple[np.ndarray, bool]:
    """Decodes an unusual file.

    Returns:
        image: uint8 [H, W, 3].
        plain: TensorFlow's decoder gives the same.

    Raises:
        ValueError: the upper bits of a PNG of 16 bits are empty, or the file is a WebP.
        OSError: the file is damaged.
    """
    # As an array of bytes it would lose the zeros at its end.
    encoded = np.asarray(encoded, object).item()
    if encoded.startswith(b"BM"):
        # TensorFlow takes the indices of the palette for grey levels.
        with Image.open(io.BytesIO(encoded)) as image:
            return np.array(image.convert("RGB")), False
    if encoded.startswith(b"RIFF"):
        raise ValueError("it is a WebP; convert it to JPEG or PNG")
    deep = tf.io.decode_png(encoded, channels=3, dtype=tf.uint16).numpy()
    if 0 < deep.max() < 2**_LOW_BITS:
        raise ValueError(
            f"it has 16 bits a sample but uses the lower {_LOW_BITS} alone; scale it to all bits"
        )
    return (deep >> 8).astype(np.uint8), True


def refusal(encoded: bytes) -> str:
    """The reason why `decode` refuses a file; empty if that is not why it is unreadable."""
    if not is_unusual(encoded):
        return ""
    try:
        decode(encoded)
    except ValueError as error:
        return str(error)
    except Exception:  # damaged, as Pillow or TensorFlow say in their own ways
        pass
    return ""
