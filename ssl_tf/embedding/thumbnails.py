"""Small pictures of some images of a source."""

import numpy as np
import tensorflow as tf
from PIL import Image

from ssl_tf.data import decoding
from ssl_tf.data.source import Source

# As high as the cells of a sheet; no wider than three cells.
_HEIGHT = 160
_WIDTH = 3 * _HEIGHT


def read_thumbnails(source: Source, indices: np.ndarray) -> dict[int, np.ndarray]:
    """The whole images, shrunk to the height of a sheet's cell, read in one pass.

    Args:
        source: of the images.
        indices: integer [n], at least one, in any order and repeated or not.

    Returns:
        Index -> uint8 [H, W, 3].
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
    return dict(zip(chosen.tolist(), map(_shrunk, images.as_numpy_iterator())))


def _shrunk(image: np.ndarray) -> np.ndarray:
    picture = Image.fromarray(image)
    picture.thumbnail((_WIDTH, _HEIGHT), Image.BOX)
    return np.asarray(picture)
