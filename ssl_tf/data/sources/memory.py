"""Records in memory: for a small part of large files, which are else read through each epoch."""

import numpy as np
import tensorflow as tf

from ssl_tf.data.source import IndexedSource, Source
from ssl_tf.data.sources.record_files import RecordSource

_READ_AT_ONCE = 256


def in_memory(source: Source) -> Source:
    """The source with its records in memory, where it is of record files and fits their memory.

    That memory is the one for shuffling (--shuffle_mib), which is then not needed any more.
    """
    if isinstance(source, RecordSource) and source.shuffle_buffer == source.size:
        return InMemory(source)
    return source


class InMemory(IndexedSource):
    """Ids, encoded images and labels of another source; boxes are left behind."""

    def __init__(self, source: Source):
        """Reads all records.

        Args:
            source: not empty.
        """
        super().__init__(
            source.name, source.size, source.num_classes, source.class_names, source.multi_label
        )
        self.unreadable = source.unreadable
        kept = source.sequence().map(
            lambda record: {k: record[k] for k in ("id", "image", "label") if k in record}
        )
        batches = list(kept.batch(_READ_AT_ONCE).as_numpy_iterator())
        self._columns = {
            key: tf.constant(np.concatenate([batch[key] for batch in batches]))
            for key in batches[0]
        }

    def _record(self, row: tf.Tensor) -> dict[str, tf.Tensor]:
        return {key: tf.gather(column, row) for key, column in self._columns.items()}
