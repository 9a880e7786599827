"""Nearest neighbours of a few images in the features of a run, beside those of a random encoder.

It is a result that needs no labels: anybody sees whether what lies near belongs together.
"""

import copy
import os
from pathlib import Path

import numpy as np
import tensorflow as tf

from ssl_tf.data.batches import evaluation_batches
from ssl_tf.data.source import Source
from ssl_tf.errors import UserError, printable
from ssl_tf.evaluation.features import BATCH, Encode
from ssl_tf.evaluation.freezing import inference
from ssl_tf.evaluation.nearest import nearest
from ssl_tf.evaluation.neighbour_sheet import draw_neighbours
from ssl_tf.networks.encoder import build_encoder
from ssl_tf.pretraining.monitors import spread
from ssl_tf.settings import ModelSettings
from ssl_tf.views.sheet import Cell

# The picture of the newest look, in the run directory.
NEIGHBOURS = "neighbours.png"

_QUERIES = 6
_NEAREST = 7
# The pictures of the bank stay in memory, so that no look reads them again.
_BANK = 2000
_BANK_BYTES = 2**27


class NeighbourPicture:
    """Draws the neighbours of the same images in the same bank at every look.

    The queries are held-out images where there are any, else images of the bank. The bank holds
    training images.
    """

    def __init__(
        self,
        source: Source,
        held_out: Source | None,
        image_size: int,
        random: Encode | None,
    ):
        """Reads the images, and looks up the neighbours by the random encoder.

        This happens outside of the strategy's scope, in which a variable belongs to all workers.

        Args:
            source: training images.
            held_out: images not trained on; None: there are none.
            image_size: side of the images in pixels, those of an evaluation.
            random: uint8 [N, S, S, 3] -> float [N, D], the random encoder; None: the first look is
                of it.
        """
        largest = min(_BANK, _BANK_BYTES // (3 * image_size**2))
        self._bank = _Images(spread(source, largest), image_size)
        self._own = None
        if held_out is None:
            count = len(self._bank.pixels)
            self._own = np.unique(np.linspace(0, count - 1, _QUERIES).astype(int))
            self._queries = self._bank.part(self._own)
        else:
            self._queries = _Images(spread(held_out, _QUERIES), image_size)
        self._random_found = self._nearest(random) if random else None

    def draw(self, encode: Encode, step: int, path: Path) -> np.ndarray:
        """Writes the picture as a PNG, and returns it.

        Args:
            encode: uint8 [N, S, S, 3] -> float [N, D], the encoder of the run as it is now.
            step: of the run.
            path: of the PNG.

        Returns:
            uint8 [H, W, 3].
        """
        trained = self._nearest(encode)
        if self._random_found is None:
            self._random_found = trained
        return draw_neighbours(
            [self._queries.cell(place) for place in range(len(self._queries.pixels))],
            {f"trained, step {step}": trained, "random encoder": self._random_found},
            self._bank.cell,
            path,
        )

    def _nearest(self, encode: Encode) -> tuple[np.ndarray, np.ndarray]:
        bank = self._bank.features(encode)
        queries = bank[self._own] if self._own is not None else self._queries.features(encode)
        return nearest(queries, bank, _NEAREST, own=self._own)


def random_encoder(model: ModelSettings, seed: int) -> Encode:
    """The encoder with which a run from scratch starts.

    Args:
        model: depth, width and stem.
        seed: of the run.
    """
    return inference(build_encoder(model, seed))


class _Images:
    """The readable images of a source, in memory.

    Attributes:
        pixels: uint8 [N, S, S, 3].
        names: of the images, the last part of each id.
    """

    def __init__(self, source: Source, image_size: int):
        batches = evaluation_batches(source, image_size, BATCH, with_ids=True)
        with source.reading():
            read = [(batch["image"].numpy(), batch["id"].numpy()) for batch in batches]
        if not read:
            raise UserError(f"{source.name}: no image can be decoded; mend or convert them")
        self.pixels = np.concatenate([pixels for pixels, _ in read])
        ids = [os.fsdecode(os.path.basename(name)) for _, names in read for name in names]
        self.names = [printable(name) for name in ids]

    def part(self, rows: np.ndarray) -> "_Images":
        """The images of some rows."""
        part = copy.copy(self)
        part.pixels = self.pixels[rows]
        part.names = [self.names[row] for row in rows]
        return part

    def features(self, encode: Encode) -> np.ndarray:
        """The features of all images, float [N, D]."""
        starts = range(0, len(self.pixels), BATCH)
        parts = [encode(tf.constant(self.pixels[i : i + BATCH])).numpy() for i in starts]
        return np.concatenate(parts)

    def cell(self, row: int) -> Cell:
        return self.pixels[row], [self.names[row]]
