"""Which of the readable images are kept, and for which split."""

import dataclasses

import numpy as np

from ssl_tf.data.prepared_manifest import TRAIN, VALIDATION
from ssl_tf.preparation.duplicates import look_alike, same_bytes
from ssl_tf.preparation.facts_table import FactsTable
from ssl_tf.preparation.splitting import validation_rows
from ssl_tf.settings import PrepareSettings

SPLITS = (TRAIN, VALIDATION)
_LEFT_OUT = -1


@dataclasses.dataclass(frozen=True)
class Choice:
    """What becomes of each image.

    Attributes:
        same: int64 [n], the first image with the same bytes; itself for one that is not readable.
        alike: int64 [n], the first of those that look alike; itself for one that is not readable.
        split: int8 [n], index in `SPLITS`; -1 for an image that is left out.
    """

    same: np.ndarray
    alike: np.ndarray
    split: np.ndarray

    def rows(self, split: str) -> np.ndarray:
        """The rows of a split, ascending."""
        return np.flatnonzero(self.split == SPLITS.index(split))


def choose(table: FactsTable, settings: PrepareSettings) -> Choice:
    """Finds duplicates and draws the split."""
    same = np.arange(len(table.ids))
    alike, split = same.copy(), np.full(len(same), _LEFT_OUT, np.int8)
    readable = np.flatnonzero(table.readable)
    same[readable] = readable[same_bytes(table.sha256[readable])]
    alike[readable] = readable[look_alike(table.hash[readable], table.colours[readable])]
    first = {"drop_exact": same, "drop_near": alike, "keep": np.arange(len(same))}
    kept = readable[first[settings.duplicates][readable] == readable]
    validation = validation_rows(
        alike[kept], table.label[kept], settings.validation_share, settings.seed
    )
    split[kept] = validation
    return Choice(same, alike, split)
