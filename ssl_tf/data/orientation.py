"""The EXIF orientation of images: read from a file, and undone in a graph."""

import io
from typing import BinaryIO

import numpy as np
import tensorflow as tf
from PIL import Image

TAG = 0x0112
# EXIF stands in one segment of a JPEG, mostly among the first, whose length is at most this.
HEAD_BYTES = 2**16
MARK = b"Exif\0\0"
# Codes of JPEG's markers (ITU-T T.81, table B.1). EXIF stands in a segment APP1, before the scan.
START, APP1, LAST = b"\xff\xd8", 0xE1, (0xD9, 0xDA)
WITHOUT_SEGMENT = (0x01, *range(0xD0, 0xD9))
# A PNG is of chunks behind this: length, kind, content, checksum. EXIF is a chunk without the mark.
PNG, PNG_EXIF, PNG_LAST = b"\x89PNG\r\n\x1a\n", b"eXIf", b"IEND"
CHUNK_HEAD, CHUNK_SUM, MOST_CHUNKS = 8, 4, 2**14
# From here on, rows and columns change places (EXIF 2.3, section 4.6.4).
TRANSPOSED = 5


def of(encoded: tf.Tensor) -> tf.Tensor:
    """The EXIF orientation of a file (string scalar): int32 scalar, 1 to 8; 1 without EXIF.

    JPEGs and PNGs may have EXIF.
    """
    # All of it: other segments, such as Photoshop's, may put EXIF anywhere.
    found = tf.numpy_function(
        lambda content: np.int32(in_head(content)), [encoded], tf.int32, False
    )
    return tf.ensure_shape(found, [])


def in_file(path: bytes) -> int:
    """The EXIF orientation of a file; 1 if it cannot be read."""
    try:
        with open(path, "rb") as file:
            return _orientation(_exif(file))
    except OSError:
        return 1


def in_head(head: bytes | np.ndarray) -> int:
    """The EXIF orientation of a file, from as many of its first bytes as hold its EXIF."""
    # An array of bytes loses the zeros at their end.
    head = head if isinstance(head, bytes) else np.asarray(head).item()
    return _orientation(_exif(io.BytesIO(head)))


def _exif(file: BinaryIO) -> bytes:
    """The bytes of a file from the mark of its EXIF on, some behind it too; empty without EXIF."""
    start = file.read(len(PNG))
    if start == PNG:
        return _exif_of_png(file)
    file.seek(len(START))
    return _exif_of_jpeg(file) if start.startswith(START) else b""


def _exif_of_png(file: BinaryIO) -> bytes:
    """`_exif` of a PNG, behind its signature; the chunk may stand behind the pixels."""
    for _ in range(MOST_CHUNKS):
        head = file.read(CHUNK_HEAD)
        if len(head) < CHUNK_HEAD or head[4:] == PNG_LAST:
            break
        if head[4:] == PNG_EXIF:
            return MARK + file.read(HEAD_BYTES - len(MARK))
        file.seek(int.from_bytes(head[:4], "big") + CHUNK_SUM, io.SEEK_CUR)
    return b""


def _exif_of_jpeg(file: BinaryIO) -> bytes:
    """`_exif` of a JPEG, behind its first marker."""
    while (code := _next_marker(file)) not in (None, *LAST):
        if code in WITHOUT_SEGMENT:
            continue
        # The length counts itself.
        length = max(int.from_bytes(file.read(2), "big") - 2, 0)
        start = file.tell()
        if code == APP1 and length >= len(MARK) and file.read(len(MARK)) == MARK:
            # EXIF that was cut points behind its segment, and the exporters' graph reads it there.
            file.seek(start)
            return file.read(HEAD_BYTES)
        file.seek(start + length)
    return b""


def _next_marker(file: BinaryIO) -> int | None:
    """The code of the next marker; None at the end, or where damage leaves none for long.

    Bytes before a marker are skipped, as decoders do.
    """
    byte = b""
    for _ in range(HEAD_BYTES):
        before, byte = byte, file.read(1)
        if not byte:
            return None
        if before == b"\xff" and byte not in (b"\xff", b"\0"):
            return byte[0]
    return None


def _orientation(marked: bytes) -> int:
    """The orientation in EXIF with its mark, 1 to 8; 1 without one."""
    if not marked:
        return 1
    exif = Image.Exif()
    try:
        exif.load(marked)
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
