"""A prepared TFDS data set of images with boxes, written from files, without a builder."""

import dataclasses
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf

from ssl_tf.data.openimages.box_csv import BoxRows, format_id
from ssl_tf.errors import UserError

_SHARD_BYTES = 2**28


@dataclasses.dataclass(frozen=True)
class BoxLists:
    """The boxes of some images, 24 bytes each.

    Attributes:
        images: uint64 [images], ids, ascending.
        ends: int64 [images], where the boxes of each end.
        kinds: int32 [boxes], numbers of the classes.
        boxes: float32 [boxes, 4], ymin, xmin, ymax, xmax in [0, 1].
    """

    images: np.ndarray
    ends: np.ndarray
    kinds: np.ndarray
    boxes: np.ndarray

    def keep(self, images: np.ndarray) -> "BoxLists":
        """The images that are True in a bool [images] array, with their boxes."""
        lengths = np.diff(self.ends, prepend=0)
        boxes = np.repeat(images, lengths)
        return BoxLists(
            self.images[images],
            np.cumsum(lengths[images]),
            self.kinds[boxes],
            self.boxes[boxes],
        )

    def __iter__(self) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        """Yields (id, kinds, boxes) of each image."""
        begin = 0
        for image, end in zip(self.images.tolist(), self.ends.tolist()):
            yield image, self.kinds[begin:end], self.boxes[begin:end]
            begin = end


def collect_boxes(
    rows: Iterable[BoxRows], images: np.ndarray, class_of_kind: np.ndarray
) -> BoxLists:
    """Collects the boxes of some images and classes.

    Args:
        rows: of the CSV.
        images: uint64, ids, ascending; one at least.
        class_of_kind: int32, number of the class for each number of the rows, -1 to leave it out.
    """
    places, kinds, boxes = (
        [np.zeros(0, np.int64)],
        [np.zeros(0, np.int32)],
        [np.zeros((0, 4), np.float32)],
    )
    for some in rows:
        place = np.searchsorted(images, some.images)
        kind = class_of_kind[some.kinds]
        known = (images[np.minimum(place, len(images) - 1)] == some.images) & (kind >= 0)
        places.append(place[known])
        kinds.append(kind[known])
        boxes.append(some.boxes[known])
    place = np.concatenate(places)
    order = np.argsort(place, kind="stable")
    return BoxLists(
        images,
        np.cumsum(np.bincount(place, minlength=len(images))),
        np.concatenate(kinds)[order],
        np.concatenate(boxes)[order],
    )


def missing_images(folder: Path, images: np.ndarray) -> np.ndarray:
    """Bool [images], True where the folder has no ID.jpg."""
    return np.array([not _file(folder, image).is_file() for image in images.tolist()], bool)


def write_dataset(
    directory: Path,
    splits: dict[str, tuple[Path, BoxLists]],
    class_names: list[str],
    description: str,
) -> None:
    """Writes the data set: features id, image, objects/bbox, objects/label.

    The bytes of an image are stored as they are. Images stand in the order of their ids, in files
    of about 256 MiB.

    Args:
        directory: NAME/VERSION, empty; TFDS takes both from the path.
        splits: name -> (folder of ID.jpg files, the boxes).
        class_names: by number.
        description: of the data set.

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


def _serialize(features, folder: Path, image: int, kinds: np.ndarray, boxes: np.ndarray) -> bytes:
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
                    {"bbox": tfds.features.BBox(*box), "label": kind}
                    for kind, box in zip(kinds.tolist(), boxes.tolist())
                ],
            }
        )
    )
