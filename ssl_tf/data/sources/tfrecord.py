"""A source of TFRecord files of tf.train.Example, with the keys that most converters write."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence

import tensorflow as tf

from ssl_tf.data.sources.example_counts import count_file, parser
from ssl_tf.data.sources.example_fields import BOXES, find_fields, of_all_records
from ssl_tf.data.sources.numbered_files import warn_of_missing
from ssl_tf.data.sources.record_files import RecordSource, Shard
from ssl_tf.errors import SettingsError, UserError, warn

# Larger labels than this and than the number of records are no numbers of classes: a classifier
# would need more memory than there is.
_MOST_CLASSES = 100_000


class ExampleFiles(RecordSource):
    """The files of a glob, in the order of their names.

    The number of classes is the largest label + 1. Labels that are not int64 count as none. Boxes
    are read from image/object/bbox/{ymin,xmin,ymax,xmax}, as fractions of the image's sides; those
    around several objects, which image/object/is_crowd or group_of mark, are left out.
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
        found = find_fields(files)
        self._first_label = first_label
        parse = parser(found)
        tallies = [count_file(file, found, parse) for file in files]
        size = sum(tally.records for tally in tallies)
        if not size:
            raise UserError(f"--tfrecord={glob}: {len(files)} files hold no record")
        warn_of_missing(glob, [f for f, t in zip(files, tallies, strict=True) if t.records], files)
        having = sum((tally.having for tally in tallies), Counter())
        self._fields = of_all_records(found, glob, size, having)
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
            warn(
                f"--tfrecord={glob}: {label} goes from 1 to {largest}, so class 0 has no "
                "image; if the labels count from 1, give --first_label=1"
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
            wanted |= {side: tf.io.VarLenFeature(tf.float32) for side in BOXES}
            wanted |= {name: tf.io.VarLenFeature(tf.int64) for name in fields.crowds}
        features = tf.io.parse_single_example(serialized, wanted)
        example = {"id": self._default_id(row), "image": features[fields.image]}
        if fields.id:
            image_id = features[fields.id]
            example["id"] = tf.where(image_id == "", example["id"], image_id)
        if fields.label:
            example["label"] = features[fields.label] - self._first_label
        if fields.boxes:
            boxes = tf.stack([features[side].values for side in BOXES], axis=-1)
            example["boxes"] = _without_crowds(boxes, [features[n].values for n in fields.crowds])
        return example


def _without_crowds(boxes: tf.Tensor, marks: Sequence[tf.Tensor]) -> tf.Tensor:
    """The boxes [n, 4] of which no mark is above 0; of each kind there are n marks, or none."""
    none = tf.zeros([tf.shape(boxes)[0]], tf.int64)
    is_crowd = none > 0
    for kind in marks:
        is_crowd |= tf.concat([kind, none], axis=0)[: tf.size(none)] > 0
    return tf.boolean_mask(boxes, ~is_crowd) if marks else boxes


def _check_regular(file: str) -> None:
    """Raises UserError for a local path that is no file: reading a pipe would wait for ever."""
    if os.path.exists(file) and not os.path.isfile(file):
        raise UserError(f"--tfrecord: {file} is no regular file: give record files alone")
