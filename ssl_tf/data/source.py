"""What every source of records offers, and the sources with random access."""

import abc
import copy
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from ssl_tf.data import order
from ssl_tf.data.unreadable import UnreadableImages
from ssl_tf.errors import SettingsError, UserError

# What is made of a record, in graph mode.
Make = Callable[[dict[str, tf.Tensor]], object]


def unchanged(record: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """The record itself."""
    return record


class Source(abc.ABC):
    """A set of examples that can be read in canonical order or in a reproducible shuffle.

    A record is a dict of tensors: "id" (string), "image" (string, encoded bytes), "label" (int64
    scalar, or float32 [classes] of 0 and 1 where an image shows several) and "boxes" (float32
    [n, 4] of ymin, xmin, ymax, xmax in [0, 1]). What the data lacks is absent. "index" (int64) is
    the identity of the example in this source, 0..size-1, the same in every order.

    Attributes:
        name: how messages call the source, for example "cifar10:train".
        size: number of examples.
        num_classes: number of classes, None without labels.
        class_names: names of the classes, empty where there are none.
        multi_label: "label" tells of every class whether it is in the image.
        unreadable: counts the images that cannot be decoded; parts of a source share it, and
            sources that are read for one purpose may.
    """

    def __init__(
        self,
        name: str,
        size: int,
        num_classes: int | None = None,
        class_names: tuple[str, ...] = (),
        multi_label: bool = False,
    ):
        self.name = name
        self.size = size
        self.num_classes = num_classes
        self.class_names = class_names
        self.multi_label = multi_label
        self.unreadable = UnreadableImages()

    @abc.abstractmethod
    def sequence(self, start: int = 0, stop: int | None = None) -> tf.data.Dataset:
        """Each of the examples start..stop-1 once, in canonical order: with "index".

        By default all of them.
        """

    @abc.abstractmethod
    def stream(
        self,
        seed: int,
        start: int,
        stop: int,
        share: order.Share | None = None,
        make: Make = unchanged,
    ) -> tf.data.Dataset:
        """What `make` makes of the records at start..stop-1 of a shuffled run.

        Records are read and made in one step, in parallel: a second one costs the hand-over of
        every record, a twentieth of the decoding of a photograph.

        Each epoch of `size` positions visits every example once, in an order that is a function of
        (seed, epoch) alone. Records carry "index", "counter" (position in the run) and "epoch"
        (counter // size), all int64. With a share there are only the records at its positions;
        start and stop then begin batches.
        """

    def ids(self) -> tf.data.Dataset:
        """The id of every example once, string scalars in any order."""
        return self.sequence().map(lambda record: record["id"])

    def annotations(self) -> tf.data.Dataset:
        """Returns "id" and, where there are labels, "label" of every example, in canonical order.

        No image is decoded.
        """
        return self.sequence().map(_without_image)

    def boxes(self) -> tf.data.Dataset:
        """All boxes that the records carry, in pieces of float32 [n, 4].

        Raises:
            UserError: they carry none.
        """
        records = self.sequence()
        if "boxes" not in records.element_spec:
            raise UserError(f"{self.name} has no boxes of its own: give --proposals=STORE")
        return records.map(lambda record: record["boxes"], num_parallel_calls=tf.data.AUTOTUNE)

    def hold_out(self, count: int) -> tuple["Source", "Source"]:
        """Returns (rest, held): `count` evenly spaced examples apart from all others.

        Example r is held when (r * count) % size < count; both parts number their examples anew,
        in the same canonical order.

        Raises:
            SettingsError: unless 0 < count < size.
        """
        if not 0 < count < self.size:
            raise SettingsError(
                f"cannot hold {count} examples out of the {self.size} of {self.name}: "
                f"hold out between 1 and {self.size - 1}"
            )
        held = (np.arange(self.size, dtype=np.int64) * count) % self.size < count
        return (
            self.part(~held, f"{self.name} without {count} held out"),
            self.part(held, f"{self.name}, {count} held out"),
        )

    def part(self, keep: np.ndarray, name: str) -> "Source":
        """The examples whose index is True in a bool [size] array, numbered anew."""
        part = self._subset(keep)
        part.name = name
        return part

    def verify(self) -> None:
        """Reads the stored data through and raises UserError where it is damaged.

        For the moment after a read has failed in the middle of a run; sources whose damage can
        only show as unreadable images have nothing to do here.
        """

    @abc.abstractmethod
    def _subset(self, keep: np.ndarray) -> "Source":
        """The examples whose index is True in the bool [size] array."""


class IndexedSource(Source):
    """A source whose examples can be read one by one, in any order.

    Subclasses give `_record(row)`, and `_id(row)` and `_annotation(row)` where a record costs more
    than its id; a subset is a table of rows.
    """

    _rows: np.ndarray | None = None

    @abc.abstractmethod
    def _record(self, row: tf.Tensor) -> dict[str, tf.Tensor]:
        """The record of an int64 scalar row, in graph mode."""

    def _id(self, row: tf.Tensor) -> tf.Tensor:
        """The id of an int64 scalar row, in graph mode."""
        return self._record(row)["id"]

    def _annotation(self, row: tf.Tensor) -> dict[str, tf.Tensor]:
        """The record of an int64 scalar row without its image, in graph mode."""
        return _without_image(self._record(row))

    def ids(self) -> tf.data.Dataset:
        return self._all_rows().map(self._id)

    def annotations(self) -> tf.data.Dataset:
        return self._all_rows().map(self._annotation)

    def sequence(self, start: int = 0, stop: int | None = None) -> tf.data.Dataset:
        return tf.data.Dataset.range(start, self.size if stop is None else stop).map(
            self._example(), num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
        )

    def stream(
        self,
        seed: int,
        start: int,
        stop: int,
        share: order.Share | None = None,
        make: Make = unchanged,
    ) -> tf.data.Dataset:
        example = self._example()

        def at(counter: tf.Tensor):
            record = example(order.shuffled_index(counter, self.size, seed))
            return make({**record, "counter": counter, "epoch": counter // self.size})

        counters = share.counters(start, stop) if share else tf.data.Dataset.range(start, stop)
        return counters.map(at, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)

    def _all_rows(self) -> tf.data.Dataset:
        if self._rows is None:
            return tf.data.Dataset.range(self.size)
        return tf.data.Dataset.from_tensor_slices(self._rows)

    def _example(self):
        if self._rows is None:
            return lambda index: {**self._record(index), "index": index}
        rows = tf.constant(self._rows)
        return lambda index: {**self._record(tf.gather(rows, index)), "index": index}

    def _subset(self, keep: np.ndarray) -> "IndexedSource":
        part = copy.copy(self)
        rows = np.arange(self.size, dtype=np.int64) if self._rows is None else self._rows
        part._rows = rows[keep]
        part.size = len(part._rows)
        return part


def _without_image(record: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    return {key: record[key] for key in ("id", "label") if key in record}
