"""The EXIF orientation of images: read from a file, and undone in a graph."""

import numpy as np
import tensorflow as tf
from PIL import Image

TAG = 0x0112
# EXIF stands in one of the first segments of a JPEG, whose length is at most this.
HEAD_BYTES = 2**16
MARK = b"Exif\0\0"
# From here on, rows and columns change places (EXIF 2.3, section 4.6.4).
TRANSPOSED = 5


def of(encoded: tf.Tensor) -> tf.Tensor:
    """The EXIF orientation of a JPEG (string scalar): int32 scalar, 1 to 8; 1 without EXIF."""
    head = tf.strings.substr(encoded, 0, HEAD_BYTES)
    found = tf.numpy_function(lambda head: np.int32(in_head(head)), [head], tf.int32, False)
    return tf.ensure_shape(found, [])


def in_file(path: bytes) -> int:
    """The EXIF orientation of a file; 1 if it cannot be read."""
    try:
        with open(path, "rb") as file:
            return in_head(file.read(HEAD_BYTES))
    except OSError:
        return 1


def in_head(head: bytes | np.ndarray) -> int:
    """The EXIF orientation of a JPEG, from its first bytes."""
    head = np.asarray(head).item()
    start = head.find(MARK) if head.startswith(b"\xff\xd8") else -1
    if start < 0:
        return 1
    exif = Image.Exif()
    try:
        exif.load(head[start:])
        turn = exif.get(TAG, 1)
    except Exception:  # damaged, as Pillow says in many ways
        return 1
    return turn if turn in range(1, 9) else 1


def upright(image: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    """An image, uint8 [H, W, 3], as its orientation (int32 scalar) wants it seen."""

    def turned() -> tf.Tensor:
        flipped = tf.cond(
            orientation >= TRANSPOSED, lambda: tf.transpose(image, [1, 0, 2]), lambda: image
        )
        sideways = tf.reduce_any(orientation == [2, 3, 6, 7])
        upwards = tf.reduce_any(orientation == [3, 4, 7, 8])
        flipped = tf.cond(sideways, lambda: tf.reverse(flipped, [1]), lambda: flipped)
        return tf.cond(upwards, lambda: tf.reverse(flipped, [0]), lambda: flipped)

    made = tf.cond(orientation == 1, lambda: image, turned)
    made.set_shape([None, None, 3])
    return made
