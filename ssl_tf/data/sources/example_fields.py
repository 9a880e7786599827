"""The keys of images, labels, ids and boxes in records of tf.train.Example."""

import dataclasses
from collections import Counter
from collections.abc import Mapping

import tensorflow as tf

from ssl_tf.data.record_framing import count_records
from ssl_tf.errors import UserError, warn

_IMAGE = ("image/encoded", "image")
_LABEL = ("image/class/label", "label")
ID = ("image/id", "id", "image/filename")
# Marks of boxes around several objects, of the converters of COCO and of OpenImages.
CROWDS = ("image/object/is_crowd", "image/object/group_of")
BOXES = tuple(f"image/object/bbox/{side}" for side in ("ymin", "xmin", "ymax", "xmax"))

# Keys, the kind that their values must have, and what follows if they have another one.
_KINDS = (
    (
        _LABEL,
        "int64_list",
        "these images count as unlabelled; write labels as numbers 0, 1, 2, ... in an int64_list",
    ),
    (
        ID,
        "bytes_list",
        "a record's place in its file is its id, and proposals or lists of other ids do not match; "
        "write ids as text in a bytes_list",
    ),
    (
        CROWDS,
        "int64_list",
        "boxes around several objects count as others; write 0 or 1 for each box in an int64_list",
    ),
)


@dataclasses.dataclass(frozen=True)
class Fields:
    """Keys of the features of an example; None if the files lack the feature.

    `crowds` are the keys of marks of boxes, any number of them. `others` are the keys and types of
    features that the first record lacks. Later ones may have them.
    """

    image: str
    label: str | None
    id: str | None
    boxes: bool
    crowds: tuple[str, ...] = ()
    others: Mapping[str, tf.DType] = dataclasses.field(default_factory=dict)

    def features(self) -> dict[str, tf.io.RaggedFeature]:
        """How `parse_example` reads any number of values under each key."""
        strings = filter(None, (self.image, self.id))
        features = {name: tf.io.RaggedFeature(tf.string) for name in strings}
        if self.label:
            features[self.label] = tf.io.RaggedFeature(tf.int64)
        if self.boxes:
            features |= {side: tf.io.RaggedFeature(tf.float32) for side in BOXES}
        features |= {name: tf.io.RaggedFeature(tf.int64) for name in self.crowds}
        return features | {name: tf.io.RaggedFeature(kind) for name, kind in self.others.items()}


def find_fields(files: list[str]) -> Fields:
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
        return Fields(_IMAGE[0], None, None, False)
    kinds = kinds_of(serialized.numpy())
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

    for names, kind, consequence in _KINDS:
        found = {name: kinds[name] for name in names if kinds.get(name)}
        mistyped = " and ".join(f"{n} ({other})" for n, other in found.items() if other != kind)
        # Of labels and ids the first of the right kind is taken, of marks all are.
        if mistyped and (names is CROWDS or kind not in found.values()):
            warn(f"--tfrecord: {mistyped} of {file} is no {kind}, so {consequence}")
    label, image_id = first(_LABEL, "int64_list"), first(ID, "bytes_list")
    boxes = any(side in kinds for side in BOXES)
    crowds = tuple(name for name in CROWDS if kinds.get(name) == "int64_list")
    may_follow = {
        **dict.fromkeys((name for name in CROWDS if name not in crowds), tf.int64),
        **({} if label else dict.fromkeys(_LABEL, tf.int64)),
        **({} if image_id else dict.fromkeys(ID, tf.string)),
        **({} if boxes else dict.fromkeys(BOXES, tf.float32)),
    }
    # Those of another kind have been told.
    lacking = {name: dtype for name, dtype in may_follow.items() if not kinds.get(name)}
    return Fields(image, label, image_id, boxes, crowds, lacking)


def of_all_records(fields: Fields, glob: str, size: int, having: Counter[str]) -> Fields:
    """The keys by which all records are read; tells on stderr how many have an id, if not all do.

    Args:
        fields: of the first record.
        glob: the files, for messages.
        size: number of records.
        having: as in `Tally`.

    Raises:
        UserError: the first record has no label, and others have one.
    """
    for name in filter(having.get, set(_LABEL) & fields.others.keys()):
        raise UserError(
            f"--tfrecord={glob}: {having[name]} of {size} records have a label under {name}, and "
            "the first has none: give every record one label, or none"
        )
    image_id = fields.id or next((n for n in ID if n in fields.others and having[n]), None)
    if image_id and having[image_id] < size:
        warn(
            f"--tfrecord={glob}: {having[image_id]} of {size} records have an id under "
            f"{image_id}; that of the others is their place in their file"
        )
    boxes = fields.boxes or any(having[side] for side in BOXES)
    crowds = tuple(name for name in CROWDS if having[name])
    if crowds:
        warn(f"--tfrecord={glob}: boxes around several objects ({', '.join(crowds)}) are left out")
    return Fields(fields.image, fields.label, image_id, boxes, crowds)


def kinds_of(serialized: bytes) -> dict[str, str | None]:
    """Key -> kind of its list of values; empty if the record is no tf.train.Example."""
    try:
        features = tf.train.Example.FromString(serialized).features.feature
    except Exception:  # protobuf's DecodeError, which has no public home
        return {}
    return {name: feature.WhichOneof("kind") for name, feature in features.items()}
