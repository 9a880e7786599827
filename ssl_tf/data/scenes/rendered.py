"""A rendered scene, and the source of scenes that are rendered when it is opened."""

import dataclasses
from collections.abc import Iterable, Iterator

import numpy as np
import tensorflow as tf

from ssl_tf.data.source import IndexedSource
from ssl_tf.errors import NoSuchSplit

_SPLITS = ("train", "test")
# The test split has this many times fewer scenes.
_TRAIN_TO_TEST = 4


@dataclasses.dataclass(frozen=True)
class Scene:
    """A rendered image with its label and boxes.

    Attributes:
        image: uint8 [size, size, 3].
        label: class of the main object, which is the first; in scenes without a main object
            float32 [classes], 1 for the classes in the image.
        boxes: float32 [n, 4], ymin, xmin, ymax, xmax in [0, 1], tight around each whole object,
            including its hidden parts.
        box_labels: int64 [n], class of each box.
        owners: uint8 [size, size], the object that each pixel shows, k + 1 of the k-th box; 0 of
            the ground.
    """

    image: np.ndarray
    label: int | np.ndarray
    boxes: np.ndarray
    box_labels: np.ndarray
    owners: np.ndarray


class RenderedScenes(IndexedSource):
    """A source of scenes, in memory as PNG, with their boxes.

    Attributes:
        box_labels: of each scene, the classes of its boxes, int64 [n].
        owners: of each scene, the PNG of `Scene.owners`, bytes.
    """

    def __init__(
        self, name: str, split: str, scenes: Iterable[Scene], class_names: tuple[str, ...]
    ):
        """Encodes the scenes.

        Args:
            name: name of the scenes.
            split: split, part of the name and of the ids.
            scenes: the scenes, taken one by one; only the PNG of each stays in memory.
            class_names: names of the classes, by label.
        """
        images, labels, boxes, sides = [], [], [], []
        self.box_labels: list[np.ndarray] = []
        self.owners: list[bytes] = []
        for scene in scenes:
            images.append(tf.io.encode_png(scene.image, compression=1))
            sides.extend(scene.image.shape[:2])
            labels.append(scene.label)
            boxes.append(scene.boxes)
            self.box_labels.append(scene.box_labels)
            self.owners.append(tf.io.encode_png(scene.owners[..., None], compression=1).numpy())
        multi_label = np.ndim(labels[0]) == 1
        super().__init__(
            f"{name}:{split}", len(images), len(class_names), class_names, multi_label=multi_label
        )
        self._kind = self.name
        self._prefix = f"scenes/{split}/"
        self._images = tf.stack(images)
        self.largest_side = max(sides)
        self._labels = tf.constant(np.array(labels), tf.float32 if multi_label else tf.int64)
        self._boxes = tf.constant(np.concatenate(boxes))
        self._ends = tf.constant(np.cumsum([len(scene_boxes) for scene_boxes in boxes]), tf.int64)

    def details(self) -> Iterator[bytes]:
        """Side and classes of each scene; another machine may round the pixels of one otherwise."""
        labels = self._labels.numpy()
        for row in self._row_numbers():
            classes = labels[row].tobytes() + self.box_labels[row].tobytes()
            yield b"%d %s" % (self.largest_side, classes)

    def places(self) -> dict[str, np.ndarray]:
        # Of one kind and split, the first scenes are the same whatever their number.
        return {self._kind: self._row_numbers()}

    def _example(self, row: tf.Tensor) -> dict[str, tf.Tensor]:
        end = self._ends[row]
        begin = tf.where(row > 0, self._ends[row - 1], 0)
        return {
            "id": tf.strings.join([self._prefix, tf.strings.as_string(row)]),
            "image": self._images[row],
            "label": self._labels[row],
            "boxes": self._boxes[begin:end],
        }


def seed_and_count(split: str, count: int) -> tuple[int, int]:
    """The seed and the number of scenes of a split, if the training split has `count` scenes.

    Raises:
        NoSuchSplit: the split does not exist.
    """
    if split not in _SPLITS:
        raise NoSuchSplit(f"--dataset=scenes has the splits {', '.join(_SPLITS)}, not {split!r}")
    return _SPLITS.index(split), count if split == "train" else max(1, count // _TRAIN_TO_TEST)
