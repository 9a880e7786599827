"""A source in memory, for small parts of record files, which else are read through each epoch."""

import hashlib
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from ssl_tf.data.source import IndexedSource, Source
from ssl_tf.data.sources.record_files import RecordSource

_READ_AT_ONCE = 256


def in_memory(source: Source) -> Source:
    """The source with its examples in memory if it reads record files and fits; else itself.

    It fits if it takes no more memory than shuffling may (--shuffle_mib). That memory is not needed
    for shuffling any more.
    """
    if isinstance(source, RecordSource) and source.shuffle_buffer == source.size:
        return InMemory(source)
    return source


class InMemory(IndexedSource):
    """Ids, rows, encoded images and labels of another source; boxes are dropped."""

    def __init__(self, source: Source):
        """Reads all examples.

        Args:
            source: the source to read; not empty.

        Raises:
            UserError: the stored data is damaged.
        """
        super().__init__(
            source.name, source.size, source.num_classes, source.class_names, source.multi_label
        )
        self.unreadable = source.unreadable
        self.largest_side = source.largest_side
        self.holdout_rule = source.holdout_rule
        examples = source.sequence().map(
            lambda example: {k: example[k] for k in ("id", "row", "image", "label") if k in example}
        )
        batches = list(source.read(examples.batch(_READ_AT_ONCE)))
        self._columns = {
            key: tf.constant(np.concatenate([batch[key] for batch in batches]))
            for key in batches[0]
        }

    def details(self) -> Iterator[bytes]:
        """A digest of each image, and its label."""
        columns = {key: column.numpy() for key, column in self._columns.items()}
        for row in self._row_numbers():
            yield hashlib.sha256(columns["image"][row]).digest()
            if "label" in columns:
                yield columns["label"][row].tobytes()

    def _example(self, row: tf.Tensor) -> dict[str, tf.Tensor]:
        return {key: tf.gather(column, row) for key, column in self._columns.items()}
