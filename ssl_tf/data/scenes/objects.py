"""Scenes of real objects: labelled images of a data set, pasted on clutter.

They are a small substitute for photographs of many things, with the box and class of each. A scene
shows objects of two to four classes. Two random crops of it often show different objects, or none.
"""

import dataclasses

import numpy as np
import tensorflow as tf
from PIL import Image

from ssl_tf.data.decoding import image_of
from ssl_tf.data.scenes.rendered import RenderedScenes, Scene, seed_and_count
from ssl_tf.data.scenes.renderer import SAMPLES, TEXTURES, SceneRenderer
from ssl_tf.data.source import Source
from ssl_tf.errors import SettingsError, UserError

_COUNTS = (2, 3, 4)
# Smallest and largest side of an object, as a fraction of the scene's.
_SIDES = (0.25, 0.5)
# Largest share of the smaller of two objects that the other may cover.
_OVERLAP = 0.1
# Width of the soft border of an object, as a fraction of its side.
_BLEND = 0.1
# Number of places tried before the whole layout is drawn again.
_TRIES = 64
# Domains under one seed: the layout of a scene, its painting, and the grounds of all.
_LAYOUT, _PAINT, _GROUND = 1, 2, 3
_LABELS_AT_ONCE = 1024


@dataclasses.dataclass(frozen=True)
class Layout:
    """The objects of a scene and their places.

    Attributes:
        rows: int64 [n], indices of the objects' images in their source.
        labels: int64 [n], their classes, all different.
        boxes: int64 [n, 4], ymin, xmin, ymax, xmax in pixels, squares.
    """

    rows: np.ndarray
    labels: np.ndarray
    boxes: np.ndarray


class ObjectScenes(RenderedScenes):
    """Scenes that show the images of another source."""

    def __init__(
        self, objects: Source, split: str, count: int, size: int, ground: Source | None = None
    ):
        """Reads all labels of the objects, then the images that are drawn.

        Args:
            objects: the images to paste, with one label each. To keep the splits apart, give each
                split other objects.
            split: "train", or "test" with a quarter as many scenes.
            count: number of training scenes.
            size: side of the scenes, in pixels.
            ground: images that are the grounds, each of one scene; None: textures.

        Raises:
            SettingsError: the split does not exist, the objects have not one label each, all have
                the same label, or the grounds have several images each or are fewer than scenes.
            UserError: objects or grounds are damaged.
        """
        seed, count = seed_and_count(split, count)
        if not objects.num_classes or objects.multi_label:
            raise SettingsError(
                f"--scene_objects: {objects.name} has not one label an image; choose a data set "
                "that has"
            )
        if ground is not None and "image_feature" in ground.guesses:
            raise SettingsError(
                f"--scene_ground: {ground.guesses['image_feature']}; choose a data set with one"
            )
        members = _members(objects)
        if len(members) < _COUNTS[0]:
            raise SettingsError(
                f"--scene_objects: {objects.name} has images of {len(members)} class; a scene "
                f"shows {_COUNTS[0]} or more"
            )
        layouts = [draw_layout(seed, index, size, members) for index in range(count)]
        largest = round(size * SAMPLES * _SIDES[1])
        rows = np.concatenate([layout.rows for layout in layouts])
        images = _read_images("--scene_objects", objects, rows, largest)
        name, grounds = f"scenes of {objects.name.partition(':')[0]}", [None] * count
        if ground is not None:
            name += f" on {ground.name.partition(':')[0]}"
            grounds = _grounds(ground, seed, count, size)
        super().__init__(
            name,
            split,
            (
                render_layout(
                    layout,
                    seed,
                    index,
                    size,
                    [images[row] for row in layout.rows],
                    objects.num_classes,
                    photograph,
                )
                for index, (layout, photograph) in enumerate(zip(layouts, grounds))
            ),
            objects.class_names,
        )
        self.guesses = objects.guesses


def draw_layout(seed: int, index: int, size: int, members: dict[int, np.ndarray]) -> Layout:
    """Draws the objects of a scene and their places, a pure function of the arguments.

    A scene has two to four classes, drawn uniformly, and one image of each. Sides are uniform in a
    quarter to half of the scene's. Places are uniform among those where an object covers at most a
    tenth of another.

    Args:
        seed: seed of the split.
        index: number of the scene in the split.
        size: side of the scene, in pixels.
        members: class -> int64 rows of its images; at least two classes, none of them empty.
    """
    random = np.random.default_rng([seed, index, _LAYOUT])
    count = random.choice([number for number in _COUNTS if number <= len(members)])
    labels = random.choice(sorted(members), count, replace=False)
    rows = np.array([random.choice(members[label]) for label in labels], np.int64)
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
    return Layout(rows, labels.astype(np.int64), np.stack(boxes))


def render_layout(
    layout: Layout,
    seed: int,
    index: int,
    size: int,
    images: list[np.ndarray],
    num_classes: int,
    photograph: np.ndarray | None = None,
) -> Scene:
    """The scene of a layout: the ground with its marks, the objects, blur and noise.

    Args:
        layout: objects and places.
        seed, index, size: those of the layout.
        images: images of the objects, uint8 [h, h, 3] each, in the order of the layout.
        num_classes: length of the label.
        photograph: uint8 [h, h, 3], the ground; None: a texture.
    """
    random = np.random.default_rng([seed, index, _PAINT])
    renderer = _ObjectRenderer(random, size, random.integers(len(TEXTURES)), photograph)
    for number, (image, box) in enumerate(zip(images, layout.boxes), 1):
        renderer.paste(image, box, number)
    label = np.zeros(num_classes, np.float32)
    label[layout.labels] = 1
    boxes = np.float32(layout.boxes / size)
    return Scene(renderer.finish(), label, boxes, layout.labels, renderer.owners())


class _ObjectRenderer(SceneRenderer):
    """Pastes images on the ground."""

    def paste(self, image: np.ndarray, box: np.ndarray, number: int) -> None:
        """Scales a square image into a square box of finished pixels, with soft borders."""
        top, left, bottom, right = box * SAMPLES
        side = bottom - top
        scaled = np.asarray(Image.fromarray(image).resize((side, side), Image.Resampling.BICUBIC))
        inward = (np.minimum(np.arange(side), np.arange(side)[::-1]) + 0.5) / (_BLEND * side)
        solid = np.float32(inward.clip(0, 1))
        opacity = (solid[:, None] * solid)[..., None]
        region = self._image[top:bottom, left:right]
        region += opacity * (np.float32(scaled / 255) - region)
        self._owners[top:bottom, left:right] = number


def _covered(boxes: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The intersection of each box [n, 4] with another one, over the area of the smaller: [n]."""
    common = np.minimum(boxes[:, 2:], other[2:]) - np.maximum(boxes[:, :2], other[:2])
    areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    return np.prod(common.clip(0), axis=1) / np.minimum(areas, np.prod(other[2:] - other[:2]))


def _members(objects: Source) -> dict[int, np.ndarray]:
    """Class -> rows of its images, for the classes that have any."""
    batches = objects.sequence().map(lambda example: example["label"]).batch(_LABELS_AT_ONCE)
    labels = np.concatenate(list(objects.read(batches)))
    return {int(label): np.flatnonzero(labels == label) for label in np.unique(labels)}


def _grounds(ground: Source, seed: int, count: int, size: int) -> list[np.ndarray]:
    """An image for each scene, all different, drawn by the seed of the split."""
    if ground.size < count:
        raise SettingsError(
            f"--scene_ground: {ground.name} has {ground.size} images, and each of {count} scenes "
            "has its own; give --scenes=N with fewer, or other images"
        )
    rows = np.random.default_rng([seed, _GROUND]).permutation(ground.size)[:count]
    images = _read_images("--scene_ground", ground, rows, size * SAMPLES)
    return [images[row] for row in rows]


def _read_images(
    flag: str, source: Source, rows: np.ndarray, largest: int
) -> dict[int, np.ndarray]:
    """Row -> the central square of its image, scaled down to `largest`: uint8 [h, h, 3].

    Raises:
        UserError: an image cannot be decoded; the message names the flag that names the source.
    """
    wanted = np.zeros(source.size, bool)
    wanted[rows] = True
    mask = tf.constant(wanted)
    chosen = source.sequence().filter(lambda example: mask[example["index"]])
    # A graph, since its branches cost more one by one.
    decode = tf.function(image_of, reduce_retracing=True, autograph=False)
    images = {}
    for example in source.read(chosen):
        try:
            image = decode(tf.convert_to_tensor(example["image"])).numpy()
        except tf.errors.OpError:
            image_id = example["id"].decode("utf-8", errors="backslashreplace")
            raise UserError(f"{flag}: cannot decode {image_id} of {source.name}") from None
        images[int(example["index"])] = _square(image, largest)
    return images


def _square(image: np.ndarray, largest: int) -> np.ndarray:
    """The central square of an image, scaled down to `largest` a side."""
    side = min(image.shape[:2])
    top, left = ((length - side) // 2 for length in image.shape[:2])
    square = image[top : top + side, left : left + side]
    if side <= largest:
        return square
    return np.asarray(Image.fromarray(square).resize((largest, largest), Image.Resampling.BICUBIC))
