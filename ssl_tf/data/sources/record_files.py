"""Sources of TFRecord files, which can only be read from front to back.

An epoch reads the files in an order drawn from (seed, epoch), a few files in turn, through a
shuffle buffer of undecoded records. A run that starts in the middle skips whole epochs without
reading, and the rest by dropping undecoded records.
"""

import abc
import copy
import dataclasses
import hashlib
import os
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from ssl_tf.data import order
from ssl_tf.data.parallel_reading import read_each
from ssl_tf.data.record_framing import count_records, first_checksums
from ssl_tf.data.source import Source, Transform, identity
from ssl_tf.errors import UserError

_FILES_AT_A_TIME = 8
_RECORDS_IN_TURN = 16


@dataclasses.dataclass(frozen=True)
class Shard:
    """A piece of one file: `take` records after the first `skip`."""

    file: str
    skip: int
    take: int


class RecordSource(Source):
    """A source that reads TFRecord files; subclasses implement `_parse`."""

    def __init__(
        self,
        name: str,
        shards: list[Shard],
        *,
        record_bytes: float,
        shuffle_mib: int,
        num_classes: int | None,
        class_names: tuple[str, ...],
        multi_label: bool = False,
    ):
        """Creates the table of shards.

        Args:
            name: as in `Source`, like the arguments that are not listed.
            shards: the pieces of files that make up the source, in canonical order.
            record_bytes: mean size of a record, in bytes.
            shuffle_mib: memory for the shuffle buffer, in MiB.
        """
        size = sum(shard.take for shard in shards)
        super().__init__(name, size, num_classes, class_names, multi_label)
        self._shards = shards
        takes = np.array([shard.take for shard in shards], np.int64)
        self._table = {
            "file": tf.constant([shard.file for shard in shards]),
            "skip": tf.constant([shard.skip for shard in shards], tf.int64),
            "take": tf.constant(takes),
            # Rows number the records of all shards in canonical order.
            "first_row": tf.constant(np.cumsum(takes) - takes),
        }
        self._buffer_bytes = shuffle_mib * 2**20
        self._record_bytes = record_bytes
        # Row -> index in this source, -1 for rows that a subset leaves out.
        self._index_of_row: tf.Tensor | None = None

    def places(self) -> dict[str, np.ndarray]:
        """The file of each shard -> the numbers of its records that this source has."""
        index = None if self._index_of_row is None else self._index_of_row.numpy()
        found: dict[str, list[np.ndarray]] = {}
        first_row = 0
        for shard in self._shards:
            records = np.arange(shard.skip, shard.skip + shard.take)
            if index is not None:
                records = records[index[first_row : first_row + shard.take] >= 0]
            first_row += shard.take
            found.setdefault(os.path.realpath(shard.file), []).append(records)
        return {file: np.concatenate(records) for file, records in found.items()}

    @abc.abstractmethod
    def _parse(self, serialized: tf.Tensor, row: tf.Tensor) -> dict[str, tf.Tensor]:
        """The example of a serialized tf.train.Example, without "index", in graph mode."""

    def _default_id(self, row: tf.Tensor) -> tf.Tensor:
        """`file__position`, the id of a record that contains no id."""
        table = self._table
        shard = tf.searchsorted(table["first_row"], row[None], side="right")[0] - 1
        position = table["skip"][shard] + row - table["first_row"][shard]
        file = tf.strings.split(table["file"][shard], os.sep)[-1]
        return tf.strings.join([file, tf.strings.as_string(position)], separator="__")

    @property
    def shuffle_buffer(self) -> int:
        """Number of undecoded records in the shuffle buffer."""
        return max(1, min(self.size, int(self._buffer_bytes / self._record_bytes)))

    def sequence(self, start: int = 0, stop: int | None = None) -> tf.data.Dataset:
        table, before = self._table, 0
        if start and self._index_of_row is None:
            # The files before the one with `start` need not be read.
            first = np.searchsorted(table["first_row"], start, side="right") - 1
            before = int(table["first_row"][first])
            table = {key: column[first:] for key, column in table.items()}
        shards = tf.data.Dataset.from_tensor_slices(table)
        rows = self._chosen(shards.flat_map(_read), self.size - before)
        if start or stop is not None:
            rows = rows.skip(start - before).take((self.size if stop is None else stop) - start)
        return rows.map(self._example, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)

    def ids(self) -> tf.data.Dataset:
        rows = tf.data.Dataset.from_tensor_slices(self._table).interleave(
            _read,
            cycle_length=min(len(self._shards), _FILES_AT_A_TIME),
            num_parallel_calls=tf.data.AUTOTUNE,
        )
        return self._chosen(rows, self.size).map(
            lambda row, serialized: self._parse(serialized, row)["id"],
            num_parallel_calls=tf.data.AUTOTUNE,
        )

    def contents(self) -> Iterator[bytes]:
        """The pieces of files, and the rows that a subset keeps; ids would cost a whole read."""
        for shard in self._shards:
            piece = f"{os.path.basename(shard.file)} {shard.skip} {shard.take}"
            yield f"{piece} {os.path.getsize(shard.file)}".encode("utf-8", "surrogateescape")
        if self._index_of_row is not None:
            kept = self._index_of_row.numpy() >= 0
            yield b"rows " + hashlib.sha256(np.packbits(kept).tobytes()).hexdigest().encode()

    def details(self) -> Iterator[bytes]:
        """The checksums of the first records of each file: another label need not change its size.

        Raises:
            UserError: a file cannot be read, or is damaged there.
        """
        files = list(dict.fromkeys(shard.file for shard in self._shards))
        return read_each(first_checksums, files)

    def stream(
        self,
        seed: int,
        start: int,
        stop: int,
        share: order.Share | None = None,
        transform: Transform = identity,
    ) -> tf.data.Dataset:
        first_epoch = start // self.size
        epochs = tf.data.Dataset.range(first_epoch, -(-stop // self.size))

        def rows_of(epoch: tf.Tensor) -> tf.data.Dataset:
            skipped = tf.where(epoch == first_epoch, tf.constant(start % self.size, tf.int64), 0)
            return self._epoch(seed, epoch).skip(skipped)

        def at(counter: tf.Tensor, row: tuple[tf.Tensor, tf.Tensor]):
            example = self._example(*row)
            return transform({**example, "counter": counter, "epoch": counter // self.size})

        rows = epochs.flat_map(rows_of).take(stop - start).enumerate(start)
        if share and share.workers > 1:
            # Every worker reads every record, but only one parses it.
            rows = rows.filter(lambda counter, row: share.contains(counter))
        return rows.map(at, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)

    def verify(self) -> None:
        for file in dict.fromkeys(shard.file for shard in self._shards):
            found = count_records(file)
            wanted = max(shard.skip + shard.take for shard in self._shards if shard.file == file)
            if found < wanted:
                raise UserError(
                    f"{file} ends after {found} records where {self.name} needs "
                    f"{wanted}: restore the file"
                )

    def _epoch(self, seed: int, epoch: tf.Tensor) -> tf.data.Dataset:
        """(row, serialized record) of one epoch, in shuffled order."""
        # A shuffle mixes the program's global seed into its seed. Inside this function's graph the
        # global seed is fixed, so that tf.random.set_seed cannot change the order.
        tf.compat.v1.set_random_seed(1)
        seeds = order.epoch_seed(seed, epoch)
        count = len(self._shards)
        shard_order = tf.random.experimental.stateless_shuffle(tf.range(count), seeds)
        shards = {key: tf.gather(column, shard_order) for key, column in self._table.items()}
        rows = tf.data.Dataset.from_tensor_slices(shards).interleave(
            _read,
            cycle_length=min(count, _FILES_AT_A_TIME),
            block_length=_RECORDS_IN_TURN,
            num_parallel_calls=tf.data.AUTOTUNE,
            deterministic=True,
        )
        return self._chosen(rows, self.size).shuffle(
            self.shuffle_buffer, seed=seeds[0], reshuffle_each_iteration=False
        )

    def _chosen(self, rows: tf.data.Dataset, expected: int) -> tf.data.Dataset:
        """The rows without those that a subset leaves out; fails if not `expected` are left."""
        if self._index_of_row is not None:
            rows = rows.filter(lambda row, serialized: self._index_of_row[row] >= 0)
        # A file that lost records at its end would silently shift every later epoch.
        return rows.apply(tf.data.experimental.assert_cardinality(expected))

    def _example(self, row: tf.Tensor, serialized: tf.Tensor) -> dict[str, tf.Tensor]:
        index = row if self._index_of_row is None else self._index_of_row[row]
        return {**self._parse(serialized, row), "index": index, "row": row}

    def _subset(self, keep: np.ndarray) -> "RecordSource":
        part = copy.copy(self)
        part.size = int(keep.sum())
        index = np.where(keep, np.cumsum(keep) - 1, -1)
        if self._index_of_row is not None:
            outer = self._index_of_row.numpy()
            index = np.where(outer >= 0, index[outer], -1)
        part._index_of_row = tf.constant(index, tf.int64)
        return part


def _read(shard: dict[str, tf.Tensor]) -> tf.data.Dataset:
    """(row, serialized record) of a shard's records."""
    records = tf.data.TFRecordDataset(shard["file"]).skip(shard["skip"]).take(shard["take"])
    return records.enumerate(shard["first_row"])
