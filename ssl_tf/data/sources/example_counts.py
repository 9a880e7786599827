"""Counts of files of tf.train.Example: their records, labels and ids, each record checked."""

import dataclasses
import hashlib
from collections import Counter
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from ssl_tf.data.record_framing import FRAME_BYTES, UNPARSED, count_records, damaged
from ssl_tf.data.sources.example_fields import BOXES, CROWDS, ID, Fields, kinds_of
from ssl_tf.errors import UserError

_KINDS = {tf.string: "bytes_list", tf.int64: "int64_list", tf.float32: "float_list"}
_READ_AT_ONCE = 256
_NO_LABEL = 2**63 - 1


@dataclasses.dataclass(frozen=True)
class Tally:
    """What a file holds.

    Attributes:
        records: their number.
        smallest, largest: label; `_NO_LABEL` and -1 without labels.
        having: key -> number of records with a value of it, of marks of crowds with one above 0.
        digest: of all records in their order.
    """

    records: int
    smallest: int
    largest: int
    having: Counter[str]
    digest: bytes


def parser(
    fields: Fields,
) -> Callable[[tf.Tensor], tuple[dict[str, tf.Tensor], dict[str, tf.Tensor], tf.Tensor, tf.Tensor]]:
    """A function of serialized records: the number of values of each under each key.

    Then the number of marks of crowds above 0 under theirs, labels, and 64-bit fingerprints of the
    records, uint8 [n, 8].
    """

    # A graph: call by call, a dozen features take as long as the files take to be read.
    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)], autograph=False)
    def parse(batch: tf.Tensor):
        parsed = tf.io.parse_example(batch, fields.features())
        numbers = {name: values.row_lengths() for name, values in parsed.items()}
        labels = parsed[fields.label].values if fields.label else tf.zeros([0], tf.int64)
        crowds = {
            name: tf.reduce_sum(tf.cast(parsed[name] > 0, tf.int64), axis=1)
            for name in CROWDS
            if name in parsed
        }
        return numbers, crowds, labels, tf.fingerprint(batch)

    return parse


def count_file(file: str, fields: Fields, parse: Callable) -> Tally:
    """Counts the records of a file and what they have.

    Every record is parsed, so that one of other fields is told now and not within an epoch.

    Args:
        file: the file.
        fields: of the first record.
        parse: made by `parser`.

    Raises:
        UserError: the file is damaged, or a record has other fields than the first.
    """
    count, smallest, largest, length = 0, _NO_LABEL, -1, 0
    having: Counter[str] = Counter()
    digest = hashlib.sha256()
    try:
        for batch in tf.data.TFRecordDataset(file).batch(_READ_AT_ONCE):
            try:
                numbers, crowds, labels, fingerprints = parse(batch)
            except UNPARSED:
                raise _first_bad_record(file, count, batch, fields) from None
            numbers = {name: values.numpy() for name, values in numbers.items()}
            _check_numbers(file, count, numbers, fields)
            counted = {**numbers, **{name: values.numpy() for name, values in crowds.items()}}
            having.update({name: np.count_nonzero(values) for name, values in counted.items()})
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
    return Tally(count, smallest, largest, having, digest.digest())


def _check_numbers(file: str, first: int, numbers: dict[str, np.ndarray], fields: Fields) -> None:
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
    for name in (fields.image, *(name for name in ID if name in numbers)):
        wrong = np.flatnonzero(numbers[name] > 1)
        if wrong.size:
            raise UserError(
                f"--tfrecord: record {first + wrong[0]} of {file} has "
                f"{numbers[name][wrong[0]]} values under {name}: give one"
            )
    if BOXES[0] in numbers:
        sides = np.stack([numbers[side] for side in BOXES])
        wrong = np.flatnonzero((sides != sides[0]).any(0))
        if wrong.size:
            raise UserError(
                f"--tfrecord: record {first + wrong[0]} of {file} has "
                f"{', '.join(map(str, sides[:, wrong[0]]))} values under {', '.join(BOXES)}: give "
                "each box its four sides"
            )

        for name in (name for name in CROWDS if name in numbers):
            marks, boxes = numbers[name], sides[0]
            wrong = np.flatnonzero((marks != boxes) & (marks > 0) & (boxes > 0))
            if wrong.size:
                raise UserError(
                    f"--tfrecord: record {first + wrong[0]} of {file} has {marks[wrong[0]]} values "
                    f"under {name} and {boxes[wrong[0]]} boxes: give each box one, or none"
                )


def _first_bad_record(file: str, first: int, batch: tf.Tensor, fields: Fields) -> UserError:
    """The error for the first record of a batch that cannot be parsed."""
    for number, serialized in enumerate(batch.numpy(), first):
        try:
            tf.io.parse_example([serialized], fields.features())
        except UNPARSED:
            break
    kinds = kinds_of(serialized)
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
