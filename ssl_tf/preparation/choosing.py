"""Which of the readable images are kept, and for which split."""

import dataclasses

import numpy as np

from ssl_tf.data.prepared_manifest import TRAIN, VALIDATION
from ssl_tf.preparation.duplicates import LookAlikes, same_bytes
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
        alike: int64 [n], one that looks like it: that which is kept in its place, else the first;
            itself for one that is not readable, or like none before it.
        contradicted: bool [n], whether one of another class looks like it.
        split: int8 [n], index in `SPLITS`; -1 for an image that is left out.
    """

    same: np.ndarray
    alike: np.ndarray
    contradicted: np.ndarray
    split: np.ndarray

    def rows(self, split: str) -> np.ndarray:
        """The rows of a split, ascending."""
        return np.flatnonzero(self.split == SPLITS.index(split))


def choose(table: FactsTable, settings: PrepareSettings) -> Choice:
    """Finds duplicates and draws the split."""
    itself = np.arange(len(table.ids))
    same, alike, kept_for = itself.copy(), itself.copy(), itself.copy()
    contradicted = np.zeros(len(itself), bool)
    split = np.full(len(itself), _LEFT_OUT, np.int8)
    readable = np.flatnonzero(table.readable)
    same[readable] = readable[same_bytes(table.sha256[readable])]
    found = LookAlikes(table.hash[readable], table.colours[readable])
    kept_for[readable] = readable[found.stand_ins()]
    alike[readable] = readable[found.firsts()]
    alike = np.where(kept_for != itself, kept_for, alike)
    contradicted[readable] = found.contradicted(table.label[readable])
    first = {"drop_exact": same, "drop_near": kept_for, "keep": itself}[settings.duplicates]
    is_kept = first[readable] == readable
    kept = readable[is_kept]
    # Images of one group come into one split, even where one between them is left out.
    split[kept] = validation_rows(
        found.groups()[is_kept], table.label[kept], settings.validation_share, settings.seed
    )
    return Choice(same, alike, contradicted, split)
