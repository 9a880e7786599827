"""The sizes of encoded images, and whether they are those that annotations tell."""

import io

import tensorflow as tf
from PIL import Image

from ssl_tf.data.decoding import image_of
from ssl_tf.errors import UserError


def image_size(encoded: bytes) -> tuple[int, int] | None:
    """Height and width of an encoded image, from its header; None if it cannot be decoded.

    Pillow refuses images that TensorFlow decodes, those above 179 megapixels and PNGs with much
    text; they are decoded for their size.
    """
    try:
        with Image.open(io.BytesIO(encoded)) as image:
            width, height = image.size
    except Exception:  # Pillow has many errors for damaged files
        return _decoded_size(encoded) if encoded else None
    return height, width


def _decoded_size(encoded: bytes) -> tuple[int, int] | None:
    try:
        height, width, _ = image_of(encoded).shape
    except tf.errors.OpError:
        return None
    return height, width


def check_size(name: str, size: tuple[int, int], told: tuple[int, int], where: str) -> None:
    """Compares the size of an image with that of its annotation, both height and width.

    Raises:
        UserError: they differ.
    """
    if tuple(told) != tuple(size):
        raise UserError(
            f"{name} is of {size[1]}x{size[0]} pixels, but {where} is of {told[1]}x{told[0]}: give "
            "the images and the annotations of one set"
        )


def same_aspect(size: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether an image of one size may be of the other's pixels resized, sides rounded."""
    return abs(size[0] * other[1] - size[1] * other[0]) * 2 <= sum(other)
