"""Scenes of real objects: labelled images of a data set, pasted on clutter.

A small stand-in for photographs of many things, with the box and class of each: a scene shows
objects of two to four classes, and two random crops of it often meet different ones, or none.
"""

import dataclasses

import numpy as np
import tensorflow as tf
from PIL import Image

from ssl_tf.data.decoding import pixels
from ssl_tf.data.scenes.rendered import RenderedScenes, Scene, stream_of
from ssl_tf.data.scenes.renderer import SAMPLES, TEXTURES, SceneRenderer
from ssl_tf.data.source import Source
from ssl_tf.errors import SettingsError, UserError

_COUNTS = (2, 3, 4)
# Smallest and largest side of an object, as a fraction of the scene's.
_SIDES = (0.25, 0.5)
# The share of the smaller of two objects that the other may cover.
_OVERLAP = 0.1
# An object blends into the ground over this share of its side, at each border.
_BLEND = 0.1
# Places tried before a scene is laid out anew.
_TRIES = 64
# Two domains under one seed: what is in a scene, and how it is painted.
_LAYOUT, _PAINT = 1, 2
_LABELS_AT_ONCE = 1024


@dataclasses.dataclass(frozen=True)
class Layout:
    """What a scene shows, and where.

    Attributes:
        rows: int64 [n], the images in the source of objects.
        kinds: int64 [n], their classes, all different.
        boxes: int64 [n, 4], ymin, xmin, ymax, xmax in pixels, squares.
    """

    rows: np.ndarray
    kinds: np.ndarray
    boxes: np.ndarray


class ObjectScenes(RenderedScenes):
    """Scenes of the images of another source, rendered at opening."""

    def __init__(self, objects: Source, split: str, count: int, size: int):
        """Reads all labels of the objects, then the images that are drawn.

        Args:
            objects: what to paste, with one label an image. To keep the splits apart, give each the
                objects of its own.
            split: "train", or "test" with a quarter as many scenes.
            count: number of training scenes.
            size: side of the scenes, in pixels.

        Raises:
            SettingsError: there is no such split, the objects have not one label each, or all the
                same.
            UserError: the objects are damaged.
        """
        seed, count = stream_of(split, count)
        if not objects.num_classes or objects.multi_label:
            raise SettingsError(
                f"--scene_objects: {objects.name} has not one label an image; choose a data set "
                "that has"
            )
        members = _members(objects)
        if len(members) < _COUNTS[0]:
            raise SettingsError(
                f"--scene_objects: {objects.name} has images of {len(members)} class; a scene "
                f"shows {_COUNTS[0]} or more"
            )
        layouts = [draw_layout(seed, index, size, members) for index in range(count)]
        images = _read_images(objects, np.concatenate([layout.rows for layout in layouts]), size)
        super().__init__(
            f"scenes of {objects.name.partition(':')[0]}",
            split,
            (
                render_layout(
                    layout,
                    seed,
                    index,
                    size,
                    [images[row] for row in layout.rows],
                    objects.num_classes,
                )
                for index, layout in enumerate(layouts)
            ),
            objects.class_names,
        )


def draw_layout(seed: int, index: int, size: int, members: dict[int, np.ndarray]) -> Layout:
    """Draws the objects of a scene and their places, a function of the arguments.

    Two to four classes, each as often as the others; of each an image; sides uniform in a quarter
    to half of the scene's, places uniform, where one covers at most a tenth of another.

    Args:
        seed: names a random stream.
        index: number of the scene in it.
        size: side of the scene, in pixels.
        members: class -> int64 rows of its images; two classes at least, none of them empty.
    """
    random = np.random.default_rng([seed, index, _LAYOUT])
    count = random.choice([number for number in _COUNTS if number <= len(members)])
    kinds = random.choice(sorted(members), count, replace=False)
    rows = np.array([random.choice(members[kind]) for kind in kinds], np.int64)
    low, high = (round(side * size) for side in _SIDES)
    boxes: list[np.ndarray] = []
    while len(boxes) < count:
        sides = random.integers(low, high, (_TRIES, 1), endpoint=True)
        corners = random.integers(0, size - sides, (_TRIES, 2), endpoint=True)
        free = np.concatenate([corners, corners + sides], axis=1)
        boxes = []
        while len(boxes) < count and len(free):
            boxes.append(free[0])
            free = free[_covered(free, free[0]) <= _OVERLAP]
    return Layout(rows, kinds.astype(np.int64), np.stack(boxes))


def render_layout(
    layout: Layout, seed: int, index: int, size: int, images: list[np.ndarray], num_classes: int
) -> Scene:
    """Paints a scene: the ground with its marks, the objects, blur and noise.

    Args:
        layout: of the scene.
        seed, index, size: as the layout was drawn with.
        images: uint8 [h, h, 3], in the order of the layout.
        num_classes: length of the label.
    """
    random = np.random.default_rng([seed, index, _PAINT])
    canvas = _ObjectRenderer(random, size, random.integers(len(TEXTURES)))
    for image, box in zip(images, layout.boxes):
        canvas.paste(image, box)
    label = np.zeros(num_classes, np.float32)
    label[layout.kinds] = 1
    return Scene(canvas.develop(), label, np.float32(layout.boxes / size), layout.kinds)


class _ObjectRenderer(SceneRenderer):
    """Pastes images."""

    def paste(self, image: np.ndarray, box: np.ndarray) -> None:
        """Scales a square image into a square box of finished pixels, with soft borders."""
        top, left, bottom, right = box * SAMPLES
        side = bottom - top
        scaled = np.asarray(Image.fromarray(image).resize((side, side), Image.Resampling.BICUBIC))
        inward = (np.minimum(np.arange(side), np.arange(side)[::-1]) + 0.5) / (_BLEND * side)
        solid = np.float32(inward.clip(0, 1))
        opacity = (solid[:, None] * solid)[..., None]
        region = self._image[top:bottom, left:right]
        region += opacity * (np.float32(scaled / 255) - region)


def _covered(boxes: np.ndarray, other: np.ndarray) -> np.ndarray:
    """What part of the smaller of each of [n, 4] boxes and another is common to both."""
    common = np.minimum(boxes[:, 2:], other[2:]) - np.maximum(boxes[:, :2], other[:2])
    areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    return np.prod(common.clip(0), axis=1) / np.minimum(areas, np.prod(other[2:] - other[:2]))


def _members(objects: Source) -> dict[int, np.ndarray]:
    """Class -> rows of its images, of the classes that have any."""
    batches = objects.sequence().map(lambda record: record["label"]).batch(_LABELS_AT_ONCE)
    labels = np.concatenate(list(batches.as_numpy_iterator()))
    return {int(kind): np.flatnonzero(labels == kind) for kind in np.unique(labels)}


def _read_images(objects: Source, rows: np.ndarray, size: int) -> dict[int, np.ndarray]:
    """Row -> uint8 [h, h, 3], the central square, no larger than a scene needs."""
    wanted = np.zeros(objects.size, bool)
    wanted[rows] = True
    mask = tf.constant(wanted)
    chosen = objects.sequence().filter(lambda record: mask[record["index"]])
    images = {}
    for record in chosen:
        try:
            image = pixels(record["image"]).numpy()
        except tf.errors.InvalidArgumentError:
            identity = record["id"].numpy().decode("utf-8", errors="backslashreplace")
            raise UserError(
                f"--scene_objects: cannot decode {identity} of {objects.name}"
            ) from None
        images[int(record["index"])] = _square(image, round(size * SAMPLES * _SIDES[1]))
    return images


def _square(image: np.ndarray, largest: int) -> np.ndarray:
    """The central square of an image, scaled down to `largest` a side."""
    side = min(image.shape[:2])
    top, left = ((length - side) // 2 for length in image.shape[:2])
    square = image[top : top + side, left : left + side]
    if side <= largest:
        return square
    return np.asarray(Image.fromarray(square).resize((largest, largest), Image.Resampling.BICUBIC))
