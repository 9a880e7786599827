"""Built-in scenes: objects of ten shapes on clutter, rendered from a seed.

Colour, place, size, rotation and light are drawn without regard to the class, so that comparing
pixels says little about the label. As in photographs, a class has a surface and a habitat that are
typical of it, though not always there: two textures, of a scale, direction and colour that are
drawn. What an encoder learns of textures and shapes without labels then shows in a probe.
"""

import dataclasses
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from ssl_tf.data.base import IndexedSource
from ssl_tf.errors import SettingsError

# Pixels are rendered as squares of this many samples a side and averaged.
_SAMPLES = 2
_SPLITS = ("train", "test")
# How often a surface or a background is the one that is typical of the class.
_TYPICAL = 0.8
# The test split has this many times fewer scenes.
_TRAIN_TO_TEST = 4


@dataclasses.dataclass(frozen=True)
class Scene:
    """A rendered image and what is in it, the main object first.

    Attributes:
      image: uint8 [size, size, 3].
      label: class of the main object.
      boxes: float32 [n, 4], ymin, xmin, ymax, xmax in [0, 1], tight around each whole object, as
        if no other lay over it.
      box_labels: int64 [n].
    """

    image: np.ndarray
    label: int
    boxes: np.ndarray
    box_labels: np.ndarray


class Scenes(IndexedSource):
    """Scenes rendered at opening and kept as PNG; a split is a random stream of its own."""

    def __init__(self, split: str, count: int, size: int):
        """Args:

          split: "train", or "test" with a quarter as many scenes.
          count: number of training scenes.
          size: side of the images, in pixels.

        Raises:
          SettingsError: there is no such split.
        """
        if split not in _SPLITS:
            raise SettingsError(
                f"--dataset=scenes has the splits {', '.join(_SPLITS)}, not {split!r}"
            )
        count = count if split == "train" else max(1, count // _TRAIN_TO_TEST)
        super().__init__(f"scenes:{split}", count, len(CLASSES), tuple(CLASSES))
        scenes = [render_scene(_SPLITS.index(split), index, size) for index in range(count)]
        self._images = tf.stack([tf.io.encode_png(scene.image, compression=1) for scene in scenes])
        self._labels = tf.constant([scene.label for scene in scenes], tf.int64)
        self._boxes = tf.constant(np.concatenate([scene.boxes for scene in scenes]))
        self._ends = tf.constant(np.cumsum([len(scene.boxes) for scene in scenes]), tf.int64)
        self._split = split

    def _record(self, row: tf.Tensor) -> dict[str, tf.Tensor]:
        end = self._ends[row]
        begin = tf.where(row > 0, self._ends[row - 1], 0)
        return {
            "id": tf.strings.join([f"scenes/{self._split}/", tf.strings.as_string(row)]),
            "image": self._images[row],
            "label": self._labels[row],
            "boxes": self._boxes[begin:end],
        }


def render_scene(seed: int, index: int, size: int) -> Scene:
    """Renders one scene, a pure function of its arguments.

    One main object of 0.4 to 0.7 of the side, up to three smaller ones of other classes (0.25 or
    more), some of them over its border, each with a texture, a shadow and shading from the scene's
    light, on a textured background with scattered marks; slight blur and noise.

    Args:
      seed: names a random stream.
      index: number of the scene in it.
      size: side of the image, in pixels.
    """
    random = np.random.default_rng([seed, index])
    kinds = random.permutation(len(CLASSES))
    canvas = _Canvas(random, size * _SAMPLES, kinds[0])
    main = _draw_object(random, kinds[0], random.uniform(0.4, 0.7), [])
    placed = [main]
    for kind in kinds[1 : 1 + random.integers(4)]:
        scale = random.uniform(0.25, min(0.38, 0.8 * main.scale))
        found = _draw_object(random, kind, scale, placed)
        if found is not None:
            placed.append(found)
    # The main object may cover the others or be nibbled at by them.
    boxes = np.empty((len(placed), 4), np.float32)
    for number in random.permutation(len(placed)):
        boxes[number] = canvas.paint(placed[number])
    box_labels = np.array([item.kind for item in placed], np.int64)
    return Scene(canvas.develop(), int(main.kind), boxes, box_labels)


@dataclasses.dataclass(frozen=True)
class _Object:
    """What to paint: lengths and places are fractions of the image's side."""

    kind: int
    scale: float
    center: np.ndarray
    angle: float
    stretch: float


def _draw_object(
    random: np.random.Generator, kind: int, scale: float, placed: list[_Object]
) -> _Object | None:
    """Draws place and pose of an object; None where the others leave no room."""
    for _ in range(8):
        # The circle around the object stays inside the image.
        center = random.uniform(scale / 2, 1 - scale / 2, 2)
        # Two objects may overlap by a fifth of their sizes.
        if all(
            np.hypot(*(center - other.center)) > 0.4 * (scale + other.scale) for other in placed
        ):
            return _Object(
                kind, scale, center, random.uniform(0, 2 * np.pi), random.uniform(0.85, 1.0)
            )
    return None


class _Canvas:
    """An image under construction, float32 [side, side, 3] in [0, 1]."""

    def __init__(self, random: np.random.Generator, side: int, inhabitant: int):
        self._random = random
        self._side = side
        axis = (np.arange(side, dtype=np.float32) + 0.5) / side
        self._y, self._x = axis[:, None], axis[None, :]
        angle = random.uniform(0, 2 * np.pi)
        self._light = np.array([np.sin(angle), np.cos(angle)], np.float32)
        ground = _muted(random)
        self._image = self._textured(self._y, self._x, ground, 1.0, habitat(inhabitant))
        for _ in range(random.integers(8, 20)):
            self._mark()

    def paint(self, item: _Object) -> np.ndarray:
        """Paints an object and its shadow; returns its box (ymin, xmin, ymax, xmax)."""
        random, side = self._random, self._side
        half = item.scale / 2
        shift = np.round(self._light * side * random.uniform(0.02, 0.05)).astype(int)
        first = np.floor((item.center - half) * side).astype(int).clip(0)
        last = np.ceil((item.center + half) * side).astype(int).clip(None, side)
        rows, columns = slice(first[0], last[0]), slice(first[1], last[1])
        y = (self._y[rows] - item.center[0]) / half
        x = (self._x[:, columns] - item.center[1]) / half
        sine, cosine = np.float32(np.sin(item.angle)), np.float32(np.cos(item.angle))
        across = x * cosine + y * sine
        down = (y * cosine - x * sine) / np.float32(item.stretch)
        inside = CLASSES[_NAMES[item.kind]](across, down)
        self._shade(inside, first - shift)
        region = self._image[rows, columns]
        color = self._contrasting(region.mean(axis=(0, 1)))
        surface = self._textured(down * half, across * half, color, 0.5, surface_of(item.kind))
        lit = 1 - random.uniform(0.1, 0.35) * (y * self._light[0] + x * self._light[1])
        np.copyto(region, surface * lit[..., None], where=inside[..., None])
        filled = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
        top, left = (first[n] + filled[n][0] for n in (0, 1))
        bottom, right = (first[n] + filled[n][-1] + 1 for n in (0, 1))
        return np.array([top, left, bottom, right]) / side

    def develop(self) -> np.ndarray:
        """Returns the finished uint8 image: light falling off, blur, noise, rounding."""
        random = self._random
        side = self._side // _SAMPLES
        image = self._image.reshape(side, _SAMPLES, side, _SAMPLES, 3).mean(axis=(1, 3))
        axis = np.linspace(-1, 1, side, dtype=np.float32)
        slope = axis[:, None] * self._light[0] + axis[None, :] * self._light[1]
        image *= (random.uniform(0.7, 1.2) - random.uniform(0, 0.25) * slope)[..., None]
        share = np.float32(random.uniform(0, 0.2))
        padded = np.pad(image, ((1, 1), (0, 0), (0, 0)), mode="edge")
        image = (1 - 2 * share) * image + share * (padded[:-2] + padded[2:])
        padded = np.pad(image, ((0, 0), (1, 1), (0, 0)), mode="edge")
        image = (1 - 2 * share) * image + share * (padded[:, :-2] + padded[:, 2:])
        image += random.standard_normal(image.shape, np.float32) * np.float32(
            random.uniform(0, 0.03)
        )
        return (image.clip(0, 1) * 255).round().astype(np.uint8)

    def _shade(self, inside: np.ndarray, corner: np.ndarray) -> None:
        """Darkens the image where the shape, moved to the corner, lies."""
        first = corner.clip(0)
        last = (corner + inside.shape).clip(None, self._side)
        region = self._image[first[0] : last[0], first[1] : last[1]]
        cut = first - corner
        shape = inside[cut[0] : cut[0] + region.shape[0], cut[1] : cut[1] + region.shape[1]]
        region *= np.where(shape, np.float32(self._random.uniform(0.35, 0.7)), 1)[..., None]

    def _mark(self) -> None:
        """Scatters a stroke or a spot of no class: an ellipse, thin or round."""
        random = self._random
        center = random.uniform(0, 1, 2)
        length, width = random.uniform(0.03, 0.2), random.uniform(0.008, 0.035)
        side = self._side
        first = np.floor((center - length) * side).astype(int).clip(0)
        last = np.ceil((center + length) * side).astype(int).clip(None, side)
        rows, columns = slice(first[0], last[0]), slice(first[1], last[1])
        y, x = self._y[rows] - center[0], self._x[:, columns] - center[1]
        angle = random.uniform(0, np.pi)
        along = (x * np.cos(angle) + y * np.sin(angle)) / length
        across = (y * np.cos(angle) - x * np.sin(angle)) / width
        inside = along * along + across * across < 1
        region = self._image[rows, columns]
        region[inside] = random.uniform(0, 1, 3)

    def _contrasting(self, color: np.ndarray) -> np.ndarray:
        """Returns a random colour that stands out from the given one."""
        while True:
            other = _muted(self._random)
            if np.abs(other - color).mean() > 0.2:
                return other

    def _textured(
        self, y: np.ndarray, x: np.ndarray, color: np.ndarray, strength: float, typical: int
    ) -> np.ndarray:
        """Returns float32 [..., 3]: a pattern between the colour and another one.

        The pattern is the typical one or, in one case of five, any.
        """
        random = self._random
        drawn = typical if random.random() < _TYPICAL else random.integers(len(_TEXTURES))
        angle = random.uniform(0, 2 * np.pi)
        sine, cosine = np.float32(np.sin(angle)), np.float32(np.cos(angle))
        pattern = _TEXTURES[drawn](random, x * cosine + y * sine, y * cosine - x * sine)
        step = random.choice([-1, 1]) * random.uniform(0.35, 0.6)
        other = color + strength * (step + random.uniform(-0.1, 0.1, 3))
        color, other = color.astype(np.float32), other.clip(0, 1).astype(np.float32)
        return color + pattern[..., None] * (other - color)


def _muted(random: np.random.Generator) -> np.ndarray:
    """Returns a random grey with a tint.

    Strong colours would tell two images apart at a glance, and an encoder that learns to recognize
    images would look no further.
    """
    return random.uniform(0.15, 0.85) + random.uniform(-0.12, 0.12, 3)


def _stripes(random: np.random.Generator, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    wave = np.sin(x * np.float32(2 * np.pi * random.uniform(4, 14)) + 0 * y)
    return (wave * np.float32(random.uniform(1, 4)) / 2 + 0.5).clip(0, 1)


def _checks(random: np.random.Generator, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    frequency = random.uniform(4, 12)
    return ((np.floor(x * frequency) + np.floor(y * frequency)) % 2).astype(np.float32)


def _dots(random: np.random.Generator, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    frequency = np.float32(random.uniform(4, 12))
    u, v = x * frequency % 1 - 0.5, y * frequency % 1 - 0.5
    return (u * u + v * v < random.uniform(0.04, 0.14)).astype(np.float32)


def _clouds(random: np.random.Generator, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    frequency = np.float32(random.uniform(4, 16))
    knots = random.random((32, 32), np.float32)
    u, v = x * frequency + 64, y * frequency + 64
    column, row = u.astype(np.int32), v.astype(np.int32)
    u, v = u - column, v - row
    column, row = column % 31, row % 31
    top = knots[row, column] * (1 - u) + knots[row, column + 1] * u
    bottom = knots[row + 1, column] * (1 - u) + knots[row + 1, column + 1] * u
    return top * (1 - v) + bottom * v


def _gradient(random: np.random.Generator, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return (x * np.float32(random.uniform(1, 4)) + 0.5 + 0 * y).clip(0, 1)


_TEXTURES = (_stripes, _checks, _dots, _clouds, _gradient)


def habitat(kind: int) -> int:
    """Index of the background that is typical of a class; two classes share each."""
    return kind % len(_TEXTURES)


def surface_of(kind: int) -> int:
    """Index of the surface that is typical of a class; with the habitat it names the class."""
    return (kind + 1 + kind // len(_TEXTURES)) % len(_TEXTURES)


def _polygon(corners: int, waist: float) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """Returns the inside of a star of corners on the unit circle and inner ones at the waist."""
    sector = np.pi / corners
    inner = waist * np.array([np.cos(sector), np.sin(sector)])
    # The edge runs from (1, 0) to the inner corner; inside is the side of the origin.
    normal = np.array([inner[1], 1 - inner[0]], np.float32)

    def inside(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        angle = np.abs((np.arctan2(y, x) + sector) % (2 * sector) - sector)
        radius = np.hypot(x, y)
        return radius * (np.cos(angle) * normal[0] + np.sin(angle) * normal[1]) <= normal[0]

    return inside


def _heart(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    x, y = x * 1.25, 0.26 - y * 1.25
    body = x * x + y * y - 1
    return body * body * body < x * x * y * y * y


# Class name -> inside(x, y) within the unit circle, y pointing down.
CLASSES: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "disc": lambda x, y: x * x + y * y < 0.85,
    "square": lambda x, y: np.maximum(np.abs(x), np.abs(y)) < 0.7,
    "triangle": _polygon(3, 0.5),
    "star": _polygon(5, 0.42),
    "ring": lambda x, y: np.abs(np.hypot(x, y) - 0.77) < 0.21,
    "cross": lambda x, y: (
        (np.minimum(np.abs(x), np.abs(y)) < 0.25) & (np.maximum(np.abs(x), np.abs(y)) < 0.92)
    ),
    "crescent": lambda x, y: (x * x + y * y < 0.96) & ((x - 0.5) ** 2 + y * y > 0.56),
    "heart": _heart,
    "arrow": lambda x, y: (
        ((np.abs(y) < 0.22) & (np.abs(x + 0.25) < 0.65))
        | ((x > 0.1) & (np.abs(y) < 0.85 * (0.97 - x)))
    ),
    "hourglass": lambda x, y: (np.abs(y) < 0.85) & (np.abs(x) < 0.05 + 0.62 * np.abs(y)),
}
_NAMES = tuple(CLASSES)
