"""A writer of prepared TFDS data sets of images with boxes; needs no builder."""

import dataclasses
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf

from ssl_tf.data.annotation_marks import CROWD
from ssl_tf.data.openimages.box_csv import BoxRows, format_id
from ssl_tf.errors import UserError

_JPEG = b"\xff\xd8"
_SHARD_BYTES = 2**28


@dataclasses.dataclass(frozen=True)
class BoxLists:
    """The boxes of some images, 21 bytes a box.

    Attributes:
        images: uint64 [images], ids, ascending.
        ends: int64 [images], row after the last box of each image.
        labels: int32 [boxes], class of each box.
        boxes: float32 [boxes, 4], ymin, xmin, ymax, xmax in [0, 1].
        groups: bool [boxes], whether each is around several objects.
    """

    images: np.ndarray
    ends: np.ndarray
    labels: np.ndarray
    boxes: np.ndarray
    groups: np.ndarray

    def keep(self, images: np.ndarray) -> "BoxLists":
        """The images that are True in a bool [images] array, with their boxes."""
        lengths = np.diff(self.ends, prepend=0)
        boxes = np.repeat(images, lengths)
        return BoxLists(
            self.images[images],
            np.cumsum(lengths[images]),
            self.labels[boxes],
            self.boxes[boxes],
            self.groups[boxes],
        )

    def __iter__(self) -> Iterator[tuple[int, np.ndarray, np.ndarray, np.ndarray]]:
        """Yields (id, labels, boxes, groups) of each image."""
        begin = 0
        for image, end in zip(self.images.tolist(), self.ends.tolist()):
            yield image, self.labels[begin:end], self.boxes[begin:end], self.groups[begin:end]
            begin = end


def collect_boxes(
    rows: Iterable[BoxRows], images: np.ndarray, class_of_label: np.ndarray
) -> BoxLists:
    """The boxes of some images and classes.

    Args:
        rows: rows of the CSV.
        images: uint64 [images], ids, ascending; at least one.
        class_of_label: int32, class in the data set of each label number of the CSV, -1 to leave
            the label out.
    """
    image_rows, labels, boxes, groups = (
        [np.zeros(0, np.int64)],
        [np.zeros(0, np.int32)],
        [np.zeros((0, 4), np.float32)],
        [np.zeros(0, bool)],
    )
    for piece in rows:
        row = np.searchsorted(images, piece.images)
        label = class_of_label[piece.labels]
        known = (images[np.minimum(row, len(images) - 1)] == piece.images) & (label >= 0)
        image_rows.append(row[known])
        labels.append(label[known])
        boxes.append(piece.boxes[known])
        groups.append(piece.groups[known])
    image_row = np.concatenate(image_rows)
    order = np.argsort(image_row, kind="stable")
    return BoxLists(
        images,
        np.cumsum(np.bincount(image_row, minlength=len(images))),
        np.concatenate(labels)[order],
        np.concatenate(boxes)[order],
        np.concatenate(groups)[order],
    )


def missing_images(folder: Path, images: np.ndarray) -> np.ndarray:
    """The images without a JPEG ID.jpg in the folder: bool [images].

    An empty file is none: a download that was stopped leaves one.

    Raises:
        UserError: a file cannot be read.
    """
    return np.array([not _is_jpeg(_file(folder, image)) for image in images.tolist()], bool)


def write_dataset(
    directory: Path,
    splits: dict[str, tuple[Path, BoxLists]],
    class_names: list[str],
    description: str,
) -> None:
    """Writes the data set, with the features id, image and objects: bbox, label and is_crowd.

    The label of a group counts as those of objects; its box is not that of an object. The bytes of
    an image are not changed. Images are in the order of their ids, in files of about 256 MiB.

    Args:
        directory: empty directory NAME/VERSION; TFDS takes both from the path.
        splits: name -> (folder of ID.jpg files, the boxes).
        class_names: names of the classes, by label.
        description: description of the data set.

    Raises:
        UserError: an image cannot be read.
    """
    import tensorflow_datasets as tfds

    features = tfds.features.FeaturesDict(
        {
            "id": tfds.features.Text(),
            "image": tfds.features.Image(shape=(None, None, 3), encoding_format="jpeg"),
            "objects": tfds.features.Sequence(
                {
                    "bbox": tfds.features.BBoxFeature(),
                    "label": tfds.features.ClassLabel(names=class_names),
                    CROWD: np.bool_,
                }
            ),
        }
    )
    infos = []
    for split, (folder, lists) in splits.items():
        template = tfds.core.ShardedFileTemplate(
            data_dir=directory,
            dataset_name=directory.parent.name,
            split=split,
            filetype_suffix="tfrecord",
        )
        total = sum(_file(folder, image).stat().st_size for image in lists.images.tolist())
        shards = min(len(lists.images), -(-total // _SHARD_BYTES))
        lengths = [len(part) for part in np.array_split(lists.images, shards)]
        examples, size = iter(lists), 0
        for shard, length in enumerate(lengths):
            path = template.sharded_filepath(shard_index=shard, num_shards=shards)
            with tf.io.TFRecordWriter(str(path)) as writer:
                for _ in range(length):
                    serialized = _serialize(features, folder, *next(examples))
                    writer.write(serialized)
                    size += len(serialized)
        infos.append(
            tfds.core.SplitInfo(
                name=split, shard_lengths=lengths, num_bytes=size, filename_template=template
            )
        )
    tfds.folder_dataset.write_metadata(
        data_dir=str(directory),
        features=features,
        split_infos=infos,
        description=description,
        check_data=False,
    )


def _file(folder: Path, image: int) -> Path:
    return folder / f"{format_id(image)}.jpg"


def _is_jpeg(path: Path) -> bool:
    if not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            return file.read(len(_JPEG)) == _JPEG
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None


def _serialize(
    features,
    folder: Path,
    image: int,
    labels: np.ndarray,
    boxes: np.ndarray,
    groups: np.ndarray,
) -> bytes:
    import tensorflow_datasets as tfds

    path = _file(folder, image)
    try:
        encoded = path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None
    return features.serialize_example(
        features.encode_example(
            {
                "id": format_id(image),
                "image": encoded,
                "objects": [
                    {"bbox": tfds.features.BBox(*box), "label": label, CROWD: group}
                    for label, box, group in zip(labels.tolist(), boxes.tolist(), groups.tolist())
                ],
            }
        )
    )
