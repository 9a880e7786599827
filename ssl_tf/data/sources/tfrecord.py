"""A source of TFRecord files of tf.train.Example, with the keys that most converters write."""

import dataclasses

import numpy as np
import tensorflow as tf

from ssl_tf.data.record_framing import FRAME_BYTES, count_records, damaged
from ssl_tf.data.sources.record_files import RecordSource, Shard
from ssl_tf.errors import UserError

_IMAGE = ("image/encoded", "image")
_LABEL = ("image/class/label", "label")
_ID = ("image/id", "id", "image/filename")
_BOXES = tuple(f"image/object/bbox/{side}" for side in ("ymin", "xmin", "ymax", "xmax"))

_READ_AT_ONCE = 256


@dataclasses.dataclass(frozen=True)
class _Fields:
    """Keys of the features of an example; None if the files lack the feature."""

    image: str
    label: str | None
    id: str | None
    boxes: bool


class ExampleFiles(RecordSource):
    """The files of a glob, in the order of their names.

    The number of classes is the largest label + 1. Boxes are read from
    image/object/bbox/{ymin,xmin,ymax,xmax}, as fractions of the image's sides.
    """

    def __init__(self, glob: str, shuffle_mib: int):
        """Reads all files once, without decoding, to count records and classes.

        Raises:
            UserError: no file matches, a file is damaged, or a record lacks a label.
        """
        try:
            files = sorted(tf.io.gfile.glob(glob))
        except tf.errors.OpError:
            files = []
        if not files:
            raise UserError(f"--tfrecord={glob} matches no file")
        self._fields = _find_fields(files)
        counts, largest = zip(*(_count(file, self._fields.label) for file in files))
        size = sum(counts)
        if not size:
            raise UserError(f"--tfrecord={glob}: {len(files)} files hold no record")
        total_bytes = sum(tf.io.gfile.stat(file).length for file in files)
        super().__init__(
            f"records {glob}",
            [Shard(file, 0, count) for file, count in zip(files, counts) if count],
            record_bytes=total_bytes / size,
            shuffle_mib=shuffle_mib,
            num_classes=max(largest) + 1 if self._fields.label else None,
            class_names=(),
        )

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
            example["label"] = features[fields.label]
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
    try:
        features = tf.train.Example.FromString(serialized.numpy()).features.feature
    except Exception:  # protobuf's DecodeError, which has no public home
        features = {}
    if not features:
        raise UserError(f"--tfrecord: record 0 of {file} is no tf.train.Example")

    def first(names: tuple[str, ...], kind: str) -> str | None:
        return next(
            (
                name
                for name in names
                if name in features and features[name].WhichOneof("kind") == kind
            ),
            None,
        )

    image = first(_IMAGE, "bytes_list")
    if image is None:
        raise UserError(
            f"--tfrecord: {file} has no encoded image under {' or '.join(_IMAGE)}; "
            f"its keys are {', '.join(sorted(features))}"
        )
    return _Fields(
        image,
        first(_LABEL, "int64_list"),
        first(_ID, "bytes_list"),
        all(side in features for side in _BOXES),
    )


def _count(file: str, label: str | None) -> tuple[int, int]:
    """The number of records of a file, and its largest label (-1 without labels).

    Raises:
        UserError: the file is damaged, or a record has not exactly one label.
    """
    count, largest, length = 0, -1, 0
    try:
        for batch in tf.data.TFRecordDataset(file).batch(_READ_AT_ONCE):
            if label:
                parsed = tf.io.parse_example(batch, {label: tf.io.RaggedFeature(tf.int64)})[label]
                wrong = np.flatnonzero(parsed.row_lengths().numpy() != 1)
                if wrong.size:
                    raise UserError(
                        f"--tfrecord: record {count + wrong[0]} of {file} has "
                        f"{parsed.row_lengths()[wrong[0]]} values under {label} where the first "
                        "record has a label: give every record one label, or none"
                    )
                smallest = int(tf.reduce_min(parsed.values))
                if smallest < 0:
                    raise UserError(
                        f"--tfrecord: {file} has the label {smallest} under {label}: "
                        "labels count from 0"
                    )
                largest = max(largest, int(tf.reduce_max(parsed.values)))
            count += len(batch)
            length += int(tf.reduce_sum(tf.strings.length(batch) + FRAME_BYTES))
    except tf.errors.OpError as error:
        count_records(file)
        raise UserError(f"--tfrecord: {file}: {error.message}") from None
    if length != tf.io.gfile.stat(file).length:
        raise damaged(file, count)
    return count, largest
