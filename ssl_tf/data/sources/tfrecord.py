"""A source of TFRecord files of tf.train.Example, with the keys that most converters write."""

import dataclasses
import os
import sys

import numpy as np
import tensorflow as tf

from ssl_tf.data.record_framing import FRAME_BYTES, UNPARSED, count_records, damaged
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
    """Keys of the features of an example; None if the files lack the feature."""

    image: str
    label: str | None
    id: str | None
    boxes: bool

    def features(self) -> dict[str, tf.io.RaggedFeature]:
        """How `parse_example` reads any number of values under each key."""
        strings = filter(None, (self.image, self.id))
        features = {name: tf.io.RaggedFeature(tf.string) for name in strings}
        if self.label:
            features[self.label] = tf.io.RaggedFeature(tf.int64)
        if self.boxes:
            features |= {side: tf.io.RaggedFeature(tf.float32) for side in _BOXES}
        return features


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
                or the labels are no numbers of classes.
        """
        try:
            files = sorted(tf.io.gfile.glob(glob))
        except tf.errors.OpError:
            files = []
        if not files:
            raise UserError(f"--tfrecord={glob} matches no file")
        for file in files:
            _check_regular(file)
        self._fields = _find_fields(files)
        self._first_label = first_label
        counts, smallest, largest = zip(*(_count(file, self._fields) for file in files))
        size = sum(counts)
        if not size:
            raise UserError(f"--tfrecord={glob}: {len(files)} files hold no record")
        num_classes = None
        if self._fields.label:
            num_classes = self._number_of_classes(glob, size, min(smallest), max(largest))
        total_bytes = sum(tf.io.gfile.stat(file).length for file in files)
        super().__init__(
            f"records {glob}",
            [Shard(file, 0, count) for file, count in zip(files, counts) if count],
            record_bytes=total_bytes / size,
            shuffle_mib=shuffle_mib,
            num_classes=num_classes,
            class_names=(),
        )

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
    """The keys of the first record.

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
    boxes = all(side in kinds for side in _BOXES)
    return _Fields(image, first(_LABEL, "int64_list"), first(_ID, "bytes_list"), boxes)


def _count(file: str, fields: _Fields) -> tuple[int, int, int]:
    """The number of records of a file, and its smallest and largest label (0, -1 without labels).

    Every record is parsed, so that one of other fields is told now and not within an epoch.

    Raises:
        UserError: the file is damaged, or a record has other fields than the first.
    """
    count, smallest, largest, length = 0, _NO_LABEL, -1, 0
    try:
        for batch in tf.data.TFRecordDataset(file).batch(_READ_AT_ONCE):
            try:
                parsed = tf.io.parse_example(batch, fields.features())
            except UNPARSED:
                raise _first_bad_record(file, count, batch, fields) from None
            numbers = {name: values.row_lengths().numpy() for name, values in parsed.items()}
            _check_numbers(file, count, numbers, fields)
            if fields.label:
                labels = parsed[fields.label].values
                smallest = min(smallest, int(tf.reduce_min(labels)))
                largest = max(largest, int(tf.reduce_max(labels)))
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
    return count, smallest, largest


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
    for name in filter(None, (fields.image, fields.id)):
        wrong = np.flatnonzero(numbers[name] > 1)
        if wrong.size:
            raise UserError(
                f"--tfrecord: record {first + wrong[0]} of {file} has "
                f"{numbers[name][wrong[0]]} values under {name}: give one"
            )
    if fields.boxes:
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
