"""Label maps in PNG files, and the base class of sources that have one for each image."""

import io

import numpy as np
from PIL import Image

from ssl_tf.data.annotations.annotated_files import AnnotatedFiles, read_bytes
from ssl_tf.data.annotations.annotated_source import IGNORED
from ssl_tf.data.annotations.image_sizes import PNG_SIGNATURE, check_size, image_size
from ssl_tf.errors import UserError

# The depth and type of colour in a PNG's first chunk (PNG 3, section 11.2.1).
_DEPTH_AND_COLOUR = slice(24, 26)


def read_label_map(encoded: bytes, name: str, size: tuple[int, int] | None) -> np.ndarray:
    """The labels in a PNG, int32 [height, width]: its numbers, of a palette the indices.

    Args:
        encoded: the bytes of the file.
        name: of the file, for messages.
        size: height and width of the image; None: any.

    Raises:
        UserError: the file is no such PNG, or of another size.
    """
    if not encoded.startswith(PNG_SIGNATURE):
        # A JPEG, for example, has other labels at every edge.
        raise UserError(f"the label map {name} is no PNG; write one, which keeps labels")
    try:
        with Image.open(io.BytesIO(encoded)) as image:
            labels = np.asarray(image)
    except Exception:  # Pillow has many errors for damaged files
        raise UserError(f"the label map {name} cannot be decoded; restore it") from None
    labels = labels // _stretch(encoded)
    if labels.ndim == 3 and (labels == labels[..., :1]).all():
        labels = labels[..., 0]
    if labels.ndim != 2:
        raise UserError(
            f"the label map {name} has colours in place of labels; give PNGs of one channel, or of "
            "a palette whose indices are labels"
        )
    if size is not None:
        check_size(f"the image of {name}", size, labels.shape, "its label map")
    return labels.astype(np.int32)


def _stretch(encoded: bytes) -> int:
    """The factor by which Pillow stretches the numbers of a grey PNG to 8 bits, as for a picture.

    It does so for 2 and 4 bits a pixel, not for 1 and not for palettes. Programs that pack PNGs
    choose the depth by the numbers, file by file.
    """
    depth, colour = encoded[_DEPTH_AND_COLOUR]
    return 255 // (2**depth - 1) if colour == 0 and depth in (2, 4) else 1


def without_zero(labels: np.ndarray) -> np.ndarray:
    """The label map with its labels counted from 1: they are lowered by one, and 0 is ignored."""
    return np.where((labels == 0) | (labels == IGNORED), IGNORED, labels - 1)


class LabelMapFiles(AnnotatedFiles):
    """Image files with a label map in a file each, whose paths `_maps` has by row."""

    _maps: list[str]

    def _annotated_size(self, row: int) -> tuple[int, int] | None:
        return image_size(read_bytes(self._maps[row]))

    def _detail(self, row: int) -> bytes:
        return super()._detail(row) + read_bytes(self._maps[row])

    def _label_map(self, row: int, size: tuple[int, int]) -> np.ndarray:
        return read_label_map(read_bytes(self._maps[row]), self._maps[row], size)
