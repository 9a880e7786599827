"""A source of images with several labels each, which their mean colour tells."""

import numpy as np
import tensorflow as tf

from ssl_tf.data.source import IndexedSource
from ssl_tf.data.unreadable import UnreadableImages


class Shades(IndexedSource):
    """Flat images whose red and blue tell, each for itself, whether a class is there."""

    def __init__(self, size, seed):
        super().__init__("shades", size, 3, ("red", "green", "blue"), multi_label=True)
        self.unreadable = UnreadableImages(0)
        random = np.random.default_rng(seed)
        self._labels = random.integers(0, 2, (size, 3)).astype(np.float32)
        shades = np.uint8(50 + 100 * self._labels + random.integers(0, 50, (size, 3)))
        # Green is random: a class that no feature tells.
        shades[:, 1] = random.integers(0, 256, size)
        self._images = tf.stack(
            [tf.io.encode_png(np.broadcast_to(shade, (16, 16, 3))) for shade in shades]
        )

    def _example(self, row):
        name = tf.strings.as_string(row)
        return {"id": name, "image": self._images[row], "label": tf.gather(self._labels, row)}
