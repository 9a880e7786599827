"""Images of which TensorFlow's decoder makes a wrong one, or not the same in every version.

They are BMP of a palette, PNG of 12 bits, and WebP, which TensorFlow 2.15 cannot read and 2.21 can.
"""

import io
from collections.abc import Callable

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
    return _is(f"{_PALETTE_BMP}|{_DEEP_PNG}|{_WEBP}", encoded)


def is_plain(encoded: tf.Tensor) -> tf.Tensor:
    """Whether TensorFlow makes the same of an unusual file that `decode` reads: bool scalar."""
    return ~_is(_PALETTE_BMP, encoded)


def _is(pattern: str, encoded: tf.Tensor) -> tf.Tensor:
    header = tf.strings.substr(encoded, 0, _BMP_BITS + 1)
    return tf.strings.regex_full_match(header, pattern)


def palette_bmp(encoded: tf.Tensor) -> tf.Tensor:
    """The uint8 [H, W, 3] image of a BMP with a palette (string scalar).

    TensorFlow takes the indices of a palette for grey levels. Fails if the file is damaged.
    """
    return tf.numpy_function(_with_pillow, [encoded], tf.uint8, stateful=False)


def _with_pillow(encoded: bytes | np.ndarray) -> np.ndarray:
    # As an array of bytes it would lose the zeros at its end.
    with Image.open(io.BytesIO(np.asarray(encoded, object).item())) as image:
        return np.array(image.convert("RGB"))


def decode(
    encoded: tf.Tensor, palette_bmp: Callable[[tf.Tensor], tf.Tensor] = palette_bmp
) -> tf.Tensor:
    """Decodes an unusual file, in graph mode.

    All but `palette_bmp` is TensorFlow's: a call from Python into TensorFlow, in a thread of which
    TensorFlow waits for the result, may end in threads that wait for each other.

    Args:
        encoded: string scalar.
        palette_bmp: gives the uint8 [H, W, 3] image of a BMP of a palette.

    Returns:
        uint8 [H, W, 3]. It fails if the file is damaged, if it is a WebP, or if the upper bits of
        a PNG of 16 bits are empty.
    """

    def deep_png() -> tf.Tensor:
        samples = _samples(encoded)
        refused = ~_is(_DEEP_PNG, encoded) | _uses_low_bits_alone(samples)
        with tf.control_dependencies([tf.debugging.assert_equal(refused, False)]):
            return tf.cast(samples // 256, tf.uint8)

    return tf.cond(_is(_PALETTE_BMP, encoded), lambda: palette_bmp(encoded), deep_png)


def refusal(encoded: tf.Tensor) -> tf.Tensor:
    """The reason why `decode` refuses a file that is not damaged: string scalar, else empty.

    It fails for a damaged PNG of 16 bits.
    """
    low = tf.cond(
        _is(_DEEP_PNG, encoded),
        lambda: _uses_low_bits_alone(_samples(encoded)),
        lambda: tf.constant(False),
    )
    too_dark = f"it has 16 bits a sample but uses the lower {_LOW_BITS} alone; scale it to all bits"
    reason = tf.where(low, too_dark, "")
    return tf.where(_is(_WEBP, encoded), "it is a WebP; convert it to JPEG or PNG", reason)


def _samples(encoded: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.io.decode_png(encoded, channels=3, dtype=tf.uint16), tf.int32)


def _uses_low_bits_alone(samples: tf.Tensor) -> tf.Tensor:
    largest = tf.reduce_max(samples)
    return (largest > 0) & (largest < 2**_LOW_BITS)
