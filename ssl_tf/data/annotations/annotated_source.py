"""The base class of sources of images with objects or with label maps."""

import abc
import hashlib
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from ssl_tf.data import orientation
from ssl_tf.data.annotations.image_sizes import check_size, image_size, same_aspect
from ssl_tf.data.annotations.object_table import BadAnnotations, ObjectTable
from ssl_tf.data.parallel_reading import read_each
from ssl_tf.data.source import IndexedSource
from ssl_tf.errors import SettingsError, UserError, listed, warn

# The label of pixels that count neither in the loss nor in a figure.
IGNORED = 255
BACKGROUND = "background"


def distinct_names(names: Sequence[str], ids: Sequence[Any]) -> tuple[str, ...]:
    """The names of classes, by which reports keep their figures: one that repeats gets its id.

    Args:
        names: of the classes.
        ids: of the classes.
    """
    found: dict[str, None] = {}
    for name, number in zip(names, ids):
        while name in found:
            name = f"{name} #{number}"
        found[name] = None
    return tuple(found)


class AnnotatedSource(IndexedSource):
    """Images with objects, or with a label map.

    An example has "id", "image" (encoded) and "index" like that of any source, and:
        orientation: int32, by which decoding turns the image as its annotations were made: what
            EXIF says if the size in the annotations is that of the image turned upright, else 1.
        size: int64 [2], height and width of the image so turned, in pixels.
        with objects:
            boxes: float32 [n, 4] of ymin, xmin, ymax, xmax in [0, 1].
            classes: int64 [n], from 0 without holes.
            crowd: bool [n], the object stands for several, as in COCO.
            difficult: bool [n], the object does not count in VOC's evaluation.
            areas: float32 [n], in pixels of the image; of the segment where there is one.
            masks: uint8 [n, height, width] of 0 and 1, where they are asked for.
        with a label map:
            label_map: int32 [height, width], classes from 0 and `IGNORED`.

    A set of label maps whose images show things before a ground has the class "background" first.

    Attributes:
        first_label: label of the first class in the label maps as they are stored.
        category_ids: the ids of the classes as the annotations have them, which may have holes, or
            be text; of a label map the labels themselves.
        bad: the annotations that are left out.
    """

    def __init__(
        self,
        name: str,
        ids: Sequence[bytes],
        num_classes: int,
        class_names: tuple[str, ...],
        *,
        objects: ObjectTable | None,
        label_maps: bool = False,
        masks: bool = False,
        category_ids: Sequence[Any] = (),
        bad: BadAnnotations | None = None,
    ):
        """
        Args:
            name: of the source in messages.
            ids: of the images.
            num_classes: number of classes.
            class_names: their names, or none; those that repeat get a number.
            objects: of the images; None: there are label maps alone.
            label_maps: give label maps in place of the objects, of which they are made.
            masks: give the masks of the objects.
            category_ids: as the attribute; empty: counted from 0.
            bad: as the attribute.

        Raises:
            SettingsError: one of the labels would be `IGNORED`, or the names are not as many as the
                classes.
        """
        self._with_label_maps = label_maps or objects is None
        if self._with_label_maps and num_classes > IGNORED:
            raise SettingsError(
                f"{name}: {num_classes} classes; label {IGNORED} is ignored, so give label maps of "
                f"at most {IGNORED} classes, a background among them"
            )
        if class_names and len(class_names) != num_classes:
            raise SettingsError(
                f"{name}: {num_classes} classes, but {len(class_names)} names; correct the file of "
                "--label_names, or --num_classes"
            )
        self.first_label = 0
        self.category_ids = tuple(category_ids or range(num_classes))
        names = distinct_names(class_names, self.category_ids)
        super().__init__(name, len(ids), num_classes, names)
        self.bad = bad or BadAnnotations()
        self.bad.warn(name)
        # Read in threads of TensorFlow, which must not call it again.
        self._id_list = list(ids)
        self._ids = tf.constant(ids, tf.string)
        self._objects = objects
        self._with_masks = masks
        self._told_of_turns = False

    @property
    def names_or_numbers(self) -> tuple[str, ...]:
        """The names of the classes; of classes without names their numbers, as text."""
        return self.class_names or tuple(map(str, range(self.num_classes)))

    @property
    def stored_ids(self) -> tuple[int | str | None, ...]:
        """The id of each class of a label map in what is stored; None: that has no such class."""
        return tuple(range(self.first_label, self.first_label + self.num_classes))

    def image_ids(self) -> list[Any]:
        """The ids of the images in the annotations, in canonical order.

        They are text, where COCO's json has no numbers.
        """
        return [self._image_id(row) for row in self._row_numbers().tolist()]

    def _image_id(self, row: int) -> Any:
        return self._id_list[row].decode("utf-8", "backslashreplace")

    def annotated_size(self, index: int) -> tuple[int, int] | None:
        """Height and width of an image by its annotations; None if they do not tell.

        The file may be a smaller copy of what was annotated.

        Args:
            index: of the image in this source.
        """
        return self._annotated_size(self._opened(int(self._row_numbers()[index])))

    def _opened(self, row: int) -> Any:
        """What the next three are given: the row, or what is read once for all of them."""
        return row

    @abc.abstractmethod
    def _encoded(self, opened: Any) -> bytes:
        """The bytes of an image; empty if they cannot be read."""

    def _annotated_size(self, opened: Any) -> tuple[int, int] | None:
        """Height and width of an image by its annotations; None if they do not tell."""
        return None

    def _masks(self, opened: Any, size: tuple[int, int]) -> np.ndarray:
        """The masks of an image's objects, uint8 [n, height, width]."""
        raise NotImplementedError

    def _label_map(self, opened: Any, size: tuple[int, int]) -> np.ndarray:
        """The label map of an image of a size, of any integers [height, width]; that of its masks.

        Raises:
            UserError: it is missing, damaged or of another size.
        """
        _, classes, crowd, _, _ = self._objects.of(opened)
        return painted_labels(self._masks(opened, size), classes, crowd)

    def details(self) -> Iterator[bytes]:
        """The ids of the classes, and a digest of the `_detail` of each image."""
        try:
            yield np.array(self.category_ids, np.int64).tobytes()
        except (TypeError, ValueError, OverflowError):
            yield repr(self.category_ids).encode()

        def digest(row: np.ndarray) -> bytes:
            return hashlib.sha256(self._detail(int(row))).digest()

        yield from read_each(digest, self._row_numbers())

    def _detail(self, row: int) -> bytes:
        """What tells an image and its annotation from others of the same id; read in threads."""
        return b"" if self._with_label_maps else self._objects.content(row)

    def learned_objects(self) -> np.ndarray | None:
        """Number of objects of each image that are learned, all but crowds: int64 [size].

        None if there are label maps alone.
        """
        if self._objects is None:
            return None
        counts = self._objects.learned()
        return counts if self._rows is None else counts[self._rows]

    def class_counts(self) -> np.ndarray:
        """Number of objects of each class, without crowds: int64 [num_classes]."""
        table, images = self._objects, np.arange(len(self._objects.ends))
        image_of = np.repeat(images, np.diff(table.ends, prepend=0))
        rows = images if self._rows is None else self._rows
        kept = np.isin(image_of, rows) & ~table.crowd
        return np.bincount(table.classes[kept], minlength=self.num_classes)

    def warn_of_empty_classes(self) -> None:
        """Tells on stderr which classes have no object, if there are any."""
        empty = np.flatnonzero(self.class_counts() == 0)
        if empty.size:
            names = [self.class_names[n] if self.class_names else str(n) for n in empty]
            warn(
                f"{self.name}: {empty.size} of {self.num_classes} classes have no object, "
                f"and are not learned: {listed(names)}"
            )

    def warn_of_more_objects(self, limit: int) -> None:
        """Tells on stderr how many images have more objects than are learned, if there are any.

        Args:
            limit: objects of an image that are learned, --max_objects.
        """
        counts = self.learned_objects()
        if (counts > limit).any():
            warn(
                f"{self.name}: {(counts > limit).sum()} of {self.size} images have more "
                f"than --max_objects={limit} objects (up to {counts.max()}), and what is beyond is "
                f"learned as background, {np.maximum(counts - limit, 0).sum()} of {counts.sum()} "
                "objects; raise it"
            )

    def _id(self, row: tf.Tensor) -> tf.Tensor:
        return tf.gather(self._ids, row)

    def _annotation(self, row: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"id": self._id(row)}

    def _example(self, row: tf.Tensor) -> dict[str, tf.Tensor]:
        specs = {
            "image": tf.TensorSpec([], tf.string),
            "orientation": tf.TensorSpec([], tf.int32),
            "size": tf.TensorSpec([2], tf.int64),
        }
        if self._with_label_maps:
            specs["label_map"] = tf.TensorSpec([None, None], tf.int32)
        else:
            specs |= {
                "boxes": tf.TensorSpec([None, 4], tf.float32),
                "classes": tf.TensorSpec([None], tf.int64),
                "crowd": tf.TensorSpec([None], tf.bool),
                "difficult": tf.TensorSpec([None], tf.bool),
                "areas": tf.TensorSpec([None], tf.float32),
            }
            if self._with_masks:
                specs["masks"] = tf.TensorSpec([None, None, None], tf.uint8)

        def read(row: np.ndarray) -> tuple:
            try:
                return self._read(int(row))
            except UserError as error:
                self.unreadable.refuse(str(error))

        values = tf.numpy_function(read, [row], [spec.dtype for spec in specs.values()])
        example = {}
        for (name, spec), value in zip(specs.items(), values):
            value.set_shape(spec.shape)
            example[name] = value
        return {"id": self._id(row), **example}

    def _read(self, row: int) -> tuple:
        """What an example holds beside its id, in the order of `_example`."""
        opened = self._opened(row)
        encoded = self._encoded(opened)
        size = image_size(encoded)
        # Of an image that cannot be decoded nothing is used.
        turn = self._turn(row, opened, encoded, size) if size else 1
        if turn >= orientation.TRANSPOSED:
            size = size[::-1]
        head = (encoded, np.int32(turn), np.array(size or (0, 0), np.int64))
        if self._with_label_maps:
            label_map = self._label_map(opened, size) if size else np.zeros([0, 0], np.int32)
            return (*head, self._checked(row, label_map))
        *found, areas = self._objects.of(row)
        told = self._annotated_size(opened)
        if size and told:
            if not same_aspect(size, told):
                check_size(self._name(row), size, told, "its annotation")
            # Of a smaller copy of the image.
            areas = areas * np.float32(math.prod(size) / math.prod(told))
        found = (*found, areas)
        if not self._with_masks:
            return (*head, *found)
        count = len(areas)
        masks = self._masks(opened, size) if size else np.zeros([count, 0, 0])
        return (*head, *found, np.ascontiguousarray(masks, np.uint8))

    def _turn(self, row: int, opened: Any, encoded: bytes, size: tuple[int, int]) -> int:
        """The orientation in which an image was annotated, 1 to 8.

        Told on stderr, once, if the sizes do not say whether that was as stored or as EXIF says.
        """
        turn = orientation.in_head(encoded)
        if turn == 1:
            return 1
        annotated = self._annotated_size(opened)
        as_stored = annotated is None or same_aspect(size, annotated)
        upright = size[::-1] if turn >= orientation.TRANSPOSED else size
        as_seen = annotated is None or same_aspect(upright, annotated)
        if as_stored and as_seen and not self._told_of_turns:
            self._told_of_turns = True
            warn(
                f"{self._name(row)} is turned by EXIF, and is taken as it is stored, like "
                "others of which the sizes do not tell how they were annotated; where that was as "
                "they are seen, save them upright"
            )
        return 1 if as_stored else turn

    def _name(self, row: int) -> str:
        return f"{self.name}: image {self._id_list[row].decode(errors='replace')}"

    def _checked(self, row: int, label_map: np.ndarray) -> np.ndarray:
        """The label map, int32.

        Raises:
            UserError: it has a label above the classes.
        """
        label_map = np.asarray(label_map, np.int32)
        wrong = label_map[(label_map >= self.num_classes) & (label_map != IGNORED)]
        if wrong.size:
            raise UserError(
                f"{self.name}: the label map of {self._id_list[row].decode(errors='replace')} "
                f"has the label {wrong.max()}, but there are {self.num_classes} classes, counted "
                "from 0; correct the map, --num_classes or --reduce_zero_label"
            )
        return label_map


def painted_labels(masks: np.ndarray, classes: np.ndarray, crowd: np.ndarray) -> np.ndarray:
    """The label map of objects: 0 of the background, k + 1 of class k, int32 [height, width].

    Smaller objects lie before larger ones, by the pixels of their masks: areas that annotations
    tell may be missing or 0. The pixels of a crowd are ignored.
    """
    painted = np.zeros(masks.shape[1:], np.int32)
    pixels = np.count_nonzero(masks, axis=(1, 2))
    for index in np.lexsort((-pixels, ~crowd)):
        painted[masks[index] > 0] = IGNORED if crowd[index] else classes[index] + 1
    return painted
