"""A source of TFRecord files of tf.train.Example, with the keys that most converters write."""

import dataclasses
import hashlib
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping

import numpy as np
import tensorflow as tf

from ssl_tf.data.record_framing import FRAME_BYTES, UNPARSED, count_records, damaged
from ssl_tf.data.sources.numbered_files import warn_of_missing
from ssl_tf.data.sources.record_files import RecordSource, Shard
from ssl_tf.errors import SettingsError, UserError

_IMAGE = ("image/encoded", "image")
_LABEL = ("image/class/label", "label")
_ID = ("image/id", "id", "image/filename")
_BOXES = tuple(f"image/object/bbox/{side}" for side in ("ymin", "xmin", "ymax", "xmax"))

_KINDS = {tf.string: "bytes_list", tf.int64: "int64_list", tf.float32: "float_list"}
_READ_AT_ONCE = 256
# Larger labels than this and than the number of records are no numbers of classes: a classifier
# would need more memory than there is.
_MOST_CLASSES = 100_000
_NO_LABEL = 2**63 - 1


@dataclasses.dataclass(frozen=True)
class _Fields:
    """Keys of the features of an example; None if the files lack the feature.

    `others` are the keys and types of features that the first record lacks. Later ones may have
    them.
    """

    image: str
    label: str | None
    id: str | None
    boxes: bool
    others: Mapping[str, tf.DType] = dataclasses.field(default_factory=dict)

    def features(self) -> dict[str, tf.io.RaggedFeature]:
        """How `parse_example` reads any number of values under each key."""
        strings = filter(None, (self.image, self.id))
        features = {name: tf.io.RaggedFeature(tf.string) for name in strings}
        if self.label:
            features[self.label] = tf.io.RaggedFeature(tf.int64)
        if self.boxes:
            features |= {side: tf.io.RaggedFeature(tf.float32) for side in _BOXES}
        return features | {name: tf.io.RaggedFeature(kind) for name, kind in self.others.items()}


@dataclasses.dataclass(frozen=True)
class _Tally:
    """What a file holds.

    Attributes:
        records: their number.
        smallest, largest: label; `_NO_LABEL` and -1 without labels.
        having: key -> number of records with a value of it.
        digest: of all records in their order.
    """

    records: int
    smallest: int
    largest: int
    having: Counter[str]
    digest: bytes


class ExampleFiles(RecordSource):
    """The files of a glob, in the order of their names.

    The number of classes is the largest label + 1. Labels that are not int64 count as none. Boxes
    are read from image/object/bbox/{ymin,xmin,ymax,xmax}, as fractions of the image's sides.
    """

    def __init__(self, glob: str, shuffle_mib: int, first_label: int = 0):
        """Reads all files once, without decoding, to count records and classes.

        Args:
            glob: the files.
            shuffle_mib: memory for the shuffle buffer, in MiB.
            first_label: label of the first class, 0 or 1.

        Raises:
            UserError: no file matches, a file is damaged, a record has other fields than the first,
                some records lack a label, or the labels are no numbers of classes.
        """
        try:
            files = sorted(tf.io.gfile.glob(glob))
        except tf.errors.OpError:
            files = []
        except UnicodeDecodeError:
            raise UserError(
                f"--tfrecord={glob} matches a file whose name is no UTF-8; rename it"
            ) from None
        if not files:
            raise UserError(f"--tfrecord={glob} matches no file")
        for file in files:
            _check_regular(file)
        found = _find_fields(files)
        self._first_label = first_label
        parse = _parser(found)
        tallies = [_count(file, found, parse) for file in files]
        size = sum(tally.records for tally in tallies)
        if not size:
            raise UserError(f"--tfrecord={glob}: {len(files)} files hold no record")
        warn_of_missing(glob, [f for f, t in zip(files, tallies, strict=True) if t.records], files)
        having = sum((tally.having for tally in tallies), Counter())
        self._fields = _of_all_records(found, glob, size, having)
        num_classes = None
        if self._fields.label:
            smallest = min(tally.smallest for tally in tallies)
            largest = max(tally.largest for tally in tallies)
            num_classes = self._number_of_classes(glob, size, smallest, largest)
        total_bytes = sum(tf.io.gfile.stat(file).length for file in files)
        super().__init__(
            f"records {glob}",
            [Shard(file, 0, tally.records) for file, tally in zip(files, tallies) if tally.records],
            record_bytes=total_bytes / size,
            shuffle_mib=shuffle_mib,
            num_classes=num_classes,
            class_names=(),
        )
        self._digests = [tally.digest for tally in tallies]

    def details(self) -> Iterator[bytes]:
        """Digests of the records of each file: another label need not change its size."""
        yield from self._digests

    def _number_of_classes(self, glob: str, size: int, smallest: int, largest: int) -> int:
        """The number of classes, from the range of the labels in the files.

        Raises:
            UserError: the labels are no numbers of classes.
        """
        first, label = self._first_label, self._fields.label
        if smallest < first:
            raise SettingsError(
                f"--first_label={first}: {glob} has the label {smallest} under {label}; remove the "
                "flag"
            )
        if largest >= max(size, _MOST_CLASSES):
            raise UserError(
                f"--tfrecord={glob}: {label} goes up to {largest} in {size} records, but classes "
                "are numbered 0, 1, 2, ...; renumber the labels"
            )
        if smallest == 1 and not first:
            print(
                f"warning: --tfrecord={glob}: {label} goes from 1 to {largest}, so class 0 has no "
                "image; if the labels count from 1, give --first_label=1",
                file=sys.stderr,
            )
        return largest + 1 - first

    def _parse(self, serialized: tf.Tensor, row: tf.Tensor) -> dict[str, tf.Tensor]:
        fields = self._fields
        wanted = {fields.image: tf.io.FixedLenFeature([], tf.string, default_value="")}
        if fields.label:
            wanted[fields.label] = tf.io.FixedLenFeature([], tf.int64)
        if fields.id:
            wanted[fields.id] = tf.io.FixedLenFeature([], tf.string, default_value="")
        if fields.boxes:
            wanted |= {side: tf.io.VarLenFeature(tf.float32) for side in _BOXES}
        features = tf.io.parse_single_example(serialized, wanted)
        example = {"id": self._default_id(row), "image": features[fields.image]}
        if fields.id:
            image_id = features[fields.id]
            example["id"] = tf.where(image_id == "", example["id"], image_id)
        if fields.label:
            example["label"] = features[fields.label] - self._first_label
        if fields.boxes:
            example["boxes"] = tf.stack([features[side].values for side in _BOXES], axis=-1)
        return example


def _find_fields(files: list[str]) -> _Fields:
    """The keys of the first record, and those that it lacks.

    Raises:
        UserError: the record cannot be read, is no tf.train.Example, or has no image.
    """
    serialized, file = None, files[0]
    for file in files:
        try:
            serialized = next(iter(tf.data.TFRecordDataset(file).take(1)), None)
        except tf.errors.OpError:
            count_records(file)
            raise
        if serialized is not None:
            break
    if serialized is None:
        return _Fields(_IMAGE[0], None, None, False)
    kinds = _kinds(serialized.numpy())
    if not kinds:
        raise UserError(f"--tfrecord: record 0 of {file} is no tf.train.Example")

    def first(names: tuple[str, ...], kind: str) -> str | None:
        return next((name for name in names if kinds.get(name) == kind), None)

    image = first(_IMAGE, "bytes_list")
    if image is None:
        raise UserError(
            f"--tfrecord: {file} has no encoded image under {' or '.join(_IMAGE)}; "
            f"its keys are {', '.join(sorted(kinds))}"
        )

    def of_another_type(names: tuple[str, ...], kind: str) -> str:
        if first(names, kind):
            return ""
        return " and ".join(f"{name} ({kinds[name]})" for name in names if kinds.get(name))

    others = of_another_type(_LABEL, "int64_list")
    if others:
        print(
            f"warning: --tfrecord: {others} of {file} is no int64_list, so these images count as "
            "unlabelled; write labels as numbers 0, 1, 2, ... in an int64_list",
            file=sys.stderr,
        )
    others = of_another_type(_ID, "bytes_list")
    if others:
        print(
            f"warning: --tfrecord: {others} of {file} is no bytes_list, so a record's place in its "
            "file is its id, and proposals or lists of other ids do not match; write ids as text "
            "in a bytes_list",
            file=sys.stderr,
        )
    label, image_id = first(_LABEL, "int64_list"), first(_ID, "bytes_list")
    boxes = any(side in kinds for side in _BOXES)
    others = {
        **({} if label else dict.fromkeys(_LABEL, tf.int64)),
        **({} if image_id else dict.fromkeys(_ID, tf.string)),
        **({} if boxes else dict.fromkeys(_BOXES, tf.float32)),
    }
    # Those of another type have been told.
    others = {name: kind for name, kind in others.items() if not kinds.get(name)}
    return _Fields(image, label, image_id, boxes, others)


def _of_all_records(fields: _Fields, glob: str, size: int, having: Counter[str]) -> _Fields:
    """The keys by which all records are read; tells on stderr how many have an id, if not all do.

    Args:
        fields: of the first record.
        glob: the files, for messages.
        size: number of records.
        having: key -> number of records with a value of it.

    Raises:
        UserError: the first record has no label, and others have one.
    """
    for name in filter(having.get, set(_LABEL) & fields.others.keys()):
        raise UserError(
            f"--tfrecord={glob}: {having[name]} of {size} records have a label under {name}, and "
            "the first has none: give every record one label, or none"
        )
    image_id = fields.id or next((n for n in _ID if n in fields.others and having[n]), None)
    if image_id and having[image_id] < size:
        print(
            f"warning: --tfrecord={glob}: {having[image_id]} of {size} records have an id under "
            f"{image_id}; that of the others is their place in their file",
            file=sys.stderr,
        )
    boxes = fields.boxes or any(having[side] for side in _BOXES)
    return _Fields(fields.image, fields.label, image_id, boxes)


def _parser(
    fields: _Fields,
) -> Callable[[tf.Tensor], tuple[dict[str, tf.Tensor], tf.Tensor, tf.Tensor]]:
    """A function of serialized records: the number of values of each under each key, and labels.

    And 64-bit fingerprints of the records, uint8 [n, 8].
    """

    # A graph: call by call, a dozen features take as long as the files take to be read.
    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)], autograph=False)
    def parse(batch: tf.Tensor) -> tuple[dict[str, tf.Tensor], tf.Tensor, tf.Tensor]:
        parsed = tf.io.parse_example(batch, fields.features())
        numbers = {name: values.row_lengths() for name, values in parsed.items()}
        labels = parsed[fields.label].values if fields.label else tf.zeros([0], tf.int64)
        return numbers, labels, tf.fingerprint(batch)

    return parse


def _count(file: str, fields: _Fields, parse: Callable) -> _Tally:
    """Counts the records of a file and what they have.

    Every record is parsed, so that one of other fields is told now and not within an epoch.

    Args:
        file: the file.
        fields: of the first record.
        parse: made by `_parser`.

    Raises:
        UserError: the file is damaged, or a record has other fields than the first.
    """
    count, smallest, largest, length = 0, _NO_LABEL, -1, 0
    having: Counter[str] = Counter()
    digest = hashlib.sha256()
    try:
        for batch in tf.data.TFRecordDataset(file).batch(_READ_AT_ONCE):
            try:
                numbers, labels, fingerprints = parse(batch)
            except UNPARSED:
                raise _first_bad_record(file, count, batch, fields) from None
            numbers = {name: values.numpy() for name, values in numbers.items()}
            _check_numbers(file, count, numbers, fields)
            having.update({name: np.count_nonzero(values) for name, values in numbers.items()})
            if fields.label:
                smallest = min(smallest, int(tf.reduce_min(labels)))
                largest = max(largest, int(tf.reduce_max(labels)))
            digest.update(fingerprints.numpy().tobytes())
            count += len(batch)
            length += int(tf.reduce_sum(tf.strings.length(batch) + FRAME_BYTES))
    except tf.errors.OpError as error:
        count_records(file)
        raise UserError(f"--tfrecord: {file}: {' '.join(error.message.split())}") from None
    if length != tf.io.gfile.stat(file).length:
        raise damaged(file, count)
    if smallest < 0:
        raise UserError(
            f"--tfrecord: {file} has the label {smallest} under {fields.label}: labels count from 0"
        )
    return _Tally(count, smallest, largest, having, digest.digest())


def _check_numbers(file: str, first: int, numbers: dict[str, np.ndarray], fields: _Fields) -> None:
    """Compares the numbers of values in some records with what their fields need.

    Args:
        file: the file, for messages.
        first: number of the first of these records in the file.
        numbers: key -> number of its values in each record.
        fields: the fields.

    Raises:
        UserError: there is not one label, more than one image or id, or a box lacks a side.
    """
    if fields.label:
        wrong = np.flatnonzero(numbers[fields.label] != 1)
        if wrong.size:
            raise UserError(
                f"--tfrecord: record {first + wrong[0]} of {file} has "
                f"{numbers[fields.label][wrong[0]]} values under {fields.label} where the first "
                "record has a label: give every record one label, or none"
            )
    for name in (fields.image, *(name for name in _ID if name in numbers)):
        wrong = np.flatnonzero(numbers[name] > 1)
        if wrong.size:
            raise UserError(
                f"--tfrecord: record {first + wrong[0]} of {file} has "
                f"{numbers[name][wrong[0]]} values under {name}: give one"
            )
    if _BOXES[0] in numbers:
        sides = np.stack([numbers[side] for side in _BOXES])
        wrong = np.flatnonzero((sides != sides[0]).any(0))
        if wrong.size:
            raise UserError(
                f"--tfrecord: record {first + wrong[0]} of {file} has "
                f"{', '.join(map(str, sides[:, wrong[0]]))} values under {', '.join(_BOXES)}: give "
                "each box its four sides"
            )


def _first_bad_record(file: str, first: int, batch: tf.Tensor, fields: _Fields) -> UserError:
    """The error for the first record of a batch that cannot be parsed."""
    for number, serialized in enumerate(batch.numpy(), first):
        try:
            tf.io.parse_example([serialized], fields.features())
        except UNPARSED:
            break
    kinds = _kinds(serialized)
    if not kinds:
        return UserError(f"--tfrecord: record {number} of {file} is no tf.train.Example")
    wanted = {name: _KINDS[feature.dtype] for name, feature in fields.features().items()}
    other = [n for n, kind in wanted.items() if kinds.get(n) not in (None, kind)]
    told = ", ".join(f"{n} is {kinds[n]}, not {wanted[n]}" for n in other)
    return UserError(
        f"--tfrecord: record {number} of {file} cannot be read like the first"
        + (f": {told}" if told else "")
        + "; give all records the same fields"
    )


def _kinds(serialized: bytes) -> dict[str, str | None]:
    """Key -> kind of its list of values; empty if the record is no tf.train.Example."""
    try:
        features = tf.train.Example.FromString(serialized).features.feature
    except Exception:  # protobuf's DecodeError, which has no public home
        return {}
    return {name: feature.WhichOneof("kind") for name, feature in features.items()}


def _check_regular(file: str) -> None:
    """Raises UserError for a local path that is no file: reading a pipe would wait for ever."""
    if os.path.exists(file) and not os.path.isfile(file):
        raise UserError(f"--tfrecord: {file} is no regular file: give record files alone")
