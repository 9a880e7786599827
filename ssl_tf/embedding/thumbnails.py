"""Small square pictures of some images of a source."""

import numpy as np
import tensorflow as tf
from PIL import Image

from ssl_tf.data import decoding
from ssl_tf.data.source import Source

# As high as the cells of a sheet.
_SIDE = 160


def read_thumbnails(source: Source, indices: np.ndarray) -> dict[int, np.ndarray]:
    """The centre squares of images, which an encoder sees, read in one pass.

    Args:
        source: of the images.
        indices: integer [n], at least one, in any order and repeated or not.

    Returns:
        Index -> uint8 [S, S, 3]; S is at most the height of a sheet's cell.
    """
    chosen = np.unique(indices)
    keep = np.zeros(source.size, bool)
    keep[chosen] = True

    def decode(example: dict[str, tf.Tensor]) -> tf.Tensor:
        return decoding.decode(example, source.unreadable)["image"]

    images = (
        source.part(keep, source.name)
        .sequence()
        .map(decode, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    )
    return dict(zip(chosen.tolist(), map(_shrunk, source.read(images))))


def _shrunk(image: np.ndarray) -> np.ndarray:
    height, width = image.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = image[top : top + side, left : left + side]
    if side <= _SIDE:
        return square
    return np.asarray(Image.fromarray(square).resize((_SIDE, _SIDE), Image.BOX))
