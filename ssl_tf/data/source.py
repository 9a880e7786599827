"""The base class of image sources, and that of sources with random access."""

import abc
import contextlib
import copy
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from ssl_tf.data import order
from ssl_tf.data.read_errors import check_data
from ssl_tf.data.unreadable import UnreadableImages
from ssl_tf.errors import SettingsError, UserError

_IDS_AT_ONCE = 4096

# Maps an example to an element of the data set, in graph mode.
Transform = Callable[[dict[str, tf.Tensor]], object]


def identity(example: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """The example itself."""
    return example


class Source(abc.ABC):
    """A set of examples that can be read in canonical order or in a reproducible shuffle.

    An example is a dict of tensors:
        id: string scalar.
        image: string scalar, the encoded bytes; or uint8 [H, W, 3], where pixels are stored.
        label: int64 scalar, or float32 [classes] of 0 and 1 for images with several labels.
        boxes: float32 [n, 4] of ymin, xmin, ymax, xmax in [0, 1].
        index: int64 scalar, the number of the example in this source, 0..size-1, the same in every
            order.
        row: int64 scalar, its number in the whole source of which this may be a subset. An id may
            repeat, a row tells one example from all others.
    A key is absent if the data has no such feature.

    Attributes:
        name: name of the source in messages, for example "cifar10:train".
        size: number of examples.
        num_classes: number of classes, None without labels.
        class_names: names of the classes, empty if they have none.
        multi_label: an image may have several labels; "label" is then float32 [classes].
        are_files: each image is a file of its own, which `files` has.
        unreadable: counts the images that cannot be decoded; subsets of a source share it, and
            sources that are read for one purpose may.
        largest_side: no image is longer, in pixels; None where that is not known.
        holdout_rule: the rule of `hold_out`, "seeded" or "spaced"; subsets inherit it.
        guesses: flag that would say it -> what was guessed of the examples, in words.
    """

    are_files = False

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
        self.largest_side: int | None = None
        self.holdout_rule = "seeded"
        self.guesses: dict[str, str] = {}

    @property
    def has_classes(self) -> bool:
        """Whether images can be judged by their labels: those of one class are all alike."""
        return bool(self.num_classes) and (self.multi_label or self.num_classes > 1)

    @abc.abstractmethod
    def sequence(self, start: int = 0, stop: int | None = None) -> tf.data.Dataset:
        """The examples start..stop-1, by default all, each once and in canonical order."""

    @abc.abstractmethod
    def stream(
        self,
        seed: int,
        start: int,
        stop: int,
        share: order.Share | None = None,
        transform: Transform = identity,
    ) -> tf.data.Dataset:
        """The transformed examples at positions start..stop-1 of a shuffled run.

        Each epoch of `size` positions visits every example once. Its order is a function of
        (seed, epoch) alone.

        Args:
            seed: seed of the run.
            start: first position.
            stop: position after the last.
            share: read only the positions of this share; start and stop must then begin batches.
            transform: is called with an example that has two more keys, "counter" (position in the
                run) and "epoch" (counter // size), both int64 scalars. Examples are read and
                transformed in one parallel map: a second map would pass every example on, at a
                twentieth of the cost of decoding a photograph.
        """

    def ids(self) -> tf.data.Dataset:
        """The id of every example once, string scalars in any order."""
        return self.sequence().map(lambda example: example["id"])

    def contents(self) -> Iterator[bytes]:
        """Names that tell this set of examples from another, in any order; no image is read."""
        for ids in self.read(self.ids().batch(_IDS_AT_ONCE)):
            yield from ids.tolist()

    def details(self) -> Iterator[bytes]:
        """What tells these examples from others of the same names, in canonical order.

        These are sizes of files, labels and annotations. No image is read, and a copy of the data
        on another machine has the same details.
        """
        return iter(())

    def common_images(self, other: "Source") -> int:
        """The number of images that are in both, read from the same place.

        Copies are other images.
        """
        if self.are_files and other.are_files:
            return len(self.files() & other.files())
        theirs = other.places()
        return sum(
            len(np.intersect1d(numbers, theirs[name]))
            for name, numbers in self.places().items()
            if name in theirs
        )

    def count_unreadable_with(self, other: "Source") -> None:
        """Counts unreadable images together with those of another source, one of both once."""
        elsewhere = not self.common_images(other)
        self.unreadable = other.unreadable.of_another_source(elsewhere)

    def places(self) -> dict[str, np.ndarray]:
        """Where the images are that lie in something larger: its name -> int64 numbers in it.

        The something is a record file or a kind of scenes. Sources of image files have none.
        """
        return {}

    def files(self) -> set[bytes]:
        """The paths of the files that the images are, or were prepared from; none of records.

        Of a part of prepared images, they are those of the whole.
        """
        return set()

    def annotations(self) -> tf.data.Dataset:
        """The "id" and, if the source has labels, the "label" of every example, in canonical order.

        No image is decoded.
        """
        return self.sequence().map(_without_image)

    def boxes(self) -> tf.data.Dataset:
        """All boxes of the examples, in pieces of float32 [n, 4].

        Raises:
            UserError: the examples have no boxes.
        """
        examples = self.sequence()
        if "boxes" not in examples.element_spec:
            raise UserError(f"{self.name} has no boxes of its own: give --proposals=STORE")
        return examples.map(lambda example: example["boxes"], num_parallel_calls=tf.data.AUTOTUNE)

    def hold_out(self, count: int) -> tuple["Source", "Source"]:
        """(rest, held-out part): the source without `count` spread examples, and these.

        One example is held out of each of `count` stretches of equal length, so a sorted source is
        covered. The rule "seeded" draws it, by (size, count) alone: a source whose labels repeat
        with the length of a stretch is covered, too, and all runs hold out the same examples. The
        rule "spaced" takes the first. Both parts renumber their examples, in canonical order.

        Raises:
            SettingsError: unless 0 < count < size.
        """
        if not 0 < count < self.size:
            raise SettingsError(
                f"cannot hold {count} examples out of the {self.size} of {self.name}: "
                f"hold out between 1 and {self.size - 1}"
            )
        held_out = np.zeros(self.size, bool)
        held_out[_one_of_each_stretch(self.size, count, self.holdout_rule)] = True
        return (
            self.part(~held_out, f"{self.name} without {count} held out"),
            self.part(held_out, f"{self.name}, {count} held out"),
        )

    def part(self, keep: np.ndarray, name: str) -> "Source":
        """The examples whose index is True in a bool [size] array, renumbered."""
        part = self._subset(keep)
        part.name = name
        return part

    def verify(self) -> None:
        """Reads the stored data through; called after a read has failed in the middle of a run.

        Sources whose damage can only show as unreadable images do nothing.

        Raises:
            UserError: the stored data is damaged.
        """

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """Turns an error of TensorFlow inside the block into that of the data behind it.

        Raises:
            UserError: too many images are unreadable, or the stored data is damaged.
        """
        try:
            yield
        except tf.errors.OpError as error:
            check_data(error, self)
            raise

    def read(self, examples: tf.data.Dataset) -> Iterator[Any]:
        """Yields the elements of a data set that reads this source, as NumPy.

        Raises:
            UserError: as in `reading`.
        """
        with self.reading():
            yield from examples.as_numpy_iterator()

    @abc.abstractmethod
    def _subset(self, keep: np.ndarray) -> "Source":
        """The examples whose index is True in the bool [size] array."""


class IndexedSource(Source):
    """A source whose examples can be read one by one, in any order.

    Subclasses implement `_example(row)`. They override `_id(row)` and `_annotation(row)` if an
    example costs more to read than its id. A subset is a table of rows.
    """

    _rows: np.ndarray | None = None

    @abc.abstractmethod
    def _example(self, row: tf.Tensor) -> dict[str, tf.Tensor]:
        """The example of an int64 scalar row, without "index", in graph mode.

        It has a "row" only if that is another, of the source behind this one.
        """

    def _id(self, row: tf.Tensor) -> tf.Tensor:
        """The id of an int64 scalar row, in graph mode."""
        return self._example(row)["id"]

    def _annotation(self, row: tf.Tensor) -> dict[str, tf.Tensor]:
        """The "id" and "label" of an int64 scalar row, in graph mode."""
        return _without_image(self._example(row))

    def ids(self) -> tf.data.Dataset:
        return self._all_rows().map(self._id)

    def annotations(self) -> tf.data.Dataset:
        return self._all_rows().map(self._annotation)

    def sequence(self, start: int = 0, stop: int | None = None) -> tf.data.Dataset:
        return tf.data.Dataset.range(start, self.size if stop is None else stop).map(
            self._example_at_index(), num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
        )

    def stream(
        self,
        seed: int,
        start: int,
        stop: int,
        share: order.Share | None = None,
        transform: Transform = identity,
    ) -> tf.data.Dataset:
        example_at_index = self._example_at_index()

        def at(counter: tf.Tensor):
            example = example_at_index(order.shuffled_index(counter, self.size, seed))
            return transform({**example, "counter": counter, "epoch": counter // self.size})

        counters = share.counters(start, stop) if share else tf.data.Dataset.range(start, stop)
        return counters.map(at, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)

    def repeated(self, size: int) -> "IndexedSource":
        """A source of `size` examples, these again and again."""
        made = copy.copy(self)
        made._rows = np.resize(self._row_numbers(), size)
        made.size = size
        return made

    def _row_numbers(self) -> np.ndarray:
        """The row of each example: int64 [size]."""
        return np.arange(self.size, dtype=np.int64) if self._rows is None else self._rows

    def _all_rows(self) -> tf.data.Dataset:
        if self._rows is None:
            return tf.data.Dataset.range(self.size)
        return tf.data.Dataset.from_tensor_slices(self._rows)

    def _example_at_index(self):
        """A function from an index to its example."""
        if self._rows is None:
            return lambda index: {"row": index, **self._example(index), "index": index}
        rows = tf.constant(self._rows)

        def at(index: tf.Tensor) -> dict[str, tf.Tensor]:
            row = tf.gather(rows, index)
            return {"row": row, **self._example(row), "index": index}

        return at

    def _subset(self, keep: np.ndarray) -> "IndexedSource":
        part = copy.copy(self)
        part._rows = self._row_numbers()[keep]
        part.size = len(part._rows)
        return part


def _one_of_each_stretch(size: int, count: int, rule: str) -> np.ndarray:
    """The index of one example of each of `count` equal stretches: int64 [count], ascending."""
    # Stretch k is [begin[k], begin[k + 1]): the indices i with k <= i * count / size < k + 1.
    begin = -(-np.arange(count + 1, dtype=np.int64) * size // count)
    if rule == "spaced":
        return begin[:-1]
    # Of NumPy's generators this one alone promises the same numbers in all versions.
    draws = np.random.RandomState([size % 2**32, count % 2**32]).random_sample(count)
    return begin[:-1] + (draws * np.diff(begin)).astype(np.int64)


def _without_image(example: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    return {key: example[key] for key in ("id", "label") if key in example}
