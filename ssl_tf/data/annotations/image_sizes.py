"""The sizes of encoded images, and whether they are those that annotations tell."""

import io
import struct

from PIL import Image
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import JpegImageFile

from ssl_tf.errors import UserError

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
# Width and height in a PNG's first chunk (PNG 3, section 11.2.1).
_PNG_SIZE = slice(16, 24)


def image_size(encoded: bytes) -> tuple[int, int] | None:
    """Height and width of an encoded image, from its header; None if it has none.

    Pillow refuses images that TensorFlow decodes, those above 179 megapixels and PNGs with much
    text; their headers are read without it, or by its readers of one format each.
    """
    try:
        with Image.open(io.BytesIO(encoded)) as image:
            width, height = image.size
    except Exception:  # Pillow has many errors for damaged files
        return _size_in_header(encoded)
    return height, width


def _size_in_header(encoded: bytes) -> tuple[int, int] | None:
    if encoded.startswith(PNG_SIGNATURE) and len(encoded) >= _PNG_SIZE.stop:
        return tuple(struct.unpack(">II", encoded[_PNG_SIZE])[::-1])
    for read in (JpegImageFile, GifImageFile, BmpImageFile):
        try:
            with read(io.BytesIO(encoded)) as image:
                return image.size[::-1]
        except Exception:  # it is of another format, or damaged
            continue
    return None


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
