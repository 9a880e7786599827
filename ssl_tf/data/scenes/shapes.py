"""Built-in scenes: objects of ten shapes on clutter, rendered from a seed.

Colour, place, size, rotation and light are drawn without regard to the class, so that pixels say
little about the label. As in photographs, a class has a typical surface and a typical background:
two textures, whose scale, direction and colour are random. Some objects have others. A probe then
shows what an encoder has learnt of textures and shapes without labels.
"""

import dataclasses
from collections.abc import Callable

import numpy as np

from ssl_tf.data.scenes.rendered import RenderedScenes, Scene, seed_and_count
from ssl_tf.data.scenes.renderer import TEXTURES, SceneRenderer, muted


class Scenes(RenderedScenes):
    """Scenes of shapes; the label is the class of the main object."""

    def __init__(self, split: str, count: int, size: int):
        """Renders the scenes.

        Args:
            split: "train", or "test" with a quarter as many scenes.
            count: number of training scenes.
            size: side of the images, in pixels.

        Raises:
            SettingsError: the split does not exist.
        """
        seed, count = seed_and_count(split, count)
        super().__init__(
            "scenes",
            split,
            (render_scene(seed, index, size) for index in range(count)),
            tuple(CLASSES),
        )


def render_scene(seed: int, index: int, size: int) -> Scene:
    """Renders one scene, a pure function of the arguments.

    A scene has a main object of 0.4 to 0.7 of the side and up to three smaller ones of other
    classes (at least 0.25), some of them across its border. Each has a texture, and the scene's
    light shades it and casts its shadow. The background is textured, with scattered marks. The
    image is slightly blurred and noisy.

    Args:
        seed: seed of the split.
        index: number of the scene in the split.
        size: side of the image, in pixels.
    """
    random = np.random.default_rng([seed, index])
    labels = random.permutation(len(CLASSES))
    renderer = _ShapeRenderer(random, size, background_of(labels[0]))
    main = _draw_object(random, labels[0], random.uniform(0.4, 0.7), [])
    placed = [main]
    for label in labels[1 : 1 + random.integers(4)]:
        scale = random.uniform(0.25, min(0.38, 0.8 * main.scale))
        drawn = _draw_object(random, label, scale, placed)
        if drawn is not None:
            placed.append(drawn)
    # The main object may cover the others or be covered in part by them.
    boxes = np.empty((len(placed), 4), np.float32)
    for number in random.permutation(len(placed)):
        boxes[number] = renderer.paint(placed[number], number + 1)
    box_labels = np.array([item.label for item in placed], np.int64)
    return Scene(renderer.finish(), int(main.label), boxes, box_labels, renderer.owners())


@dataclasses.dataclass(frozen=True)
class _Object:
    """An object to paint; lengths and places are fractions of the image's side."""

    label: int
    scale: float
    center: np.ndarray
    angle: float
    stretch: float


def _draw_object(
    random: np.random.Generator, label: int, scale: float, placed: list[_Object]
) -> _Object | None:
    """Draws place and pose of an object; None if the others leave no room."""
    for _ in range(8):
        # The circle around the object stays inside the image.
        center = random.uniform(scale / 2, 1 - scale / 2, 2)
        # Two objects may overlap by a fifth of their sizes.
        if all(
            np.hypot(*(center - other.center)) > 0.4 * (scale + other.scale) for other in placed
        ):
            return _Object(
                label, scale, center, random.uniform(0, 2 * np.pi), random.uniform(0.85, 1.0)
            )
    return None


class _ShapeRenderer(SceneRenderer):
    """Paints textured shapes with their shadows."""

    def paint(self, item: _Object, number: int) -> np.ndarray:
        """Paints an object of a number and its shadow; returns its box (ymin, xmin, ymax, xmax)."""
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
        inside = CLASSES[_NAMES[item.label]](across, down)
        self._shade(inside, first - shift)
        region = self._image[rows, columns]
        color = self._contrasting(region.mean(axis=(0, 1)))
        surface = self._textured(down * half, across * half, color, 0.5, surface_of(item.label))
        lit = 1 - random.uniform(0.1, 0.35) * (y * self._light[0] + x * self._light[1])
        np.copyto(region, surface * lit[..., None], where=inside[..., None])
        self._owners[rows, columns][inside] = number
        filled = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
        top, left = (first[n] + filled[n][0] for n in (0, 1))
        bottom, right = (first[n] + filled[n][-1] + 1 for n in (0, 1))
        return np.array([top, left, bottom, right]) / side

    def _shade(self, inside: np.ndarray, corner: np.ndarray) -> None:
        """Darkens the image where the shape, moved to the corner, lies."""
        first = corner.clip(0)
        last = (corner + inside.shape).clip(None, self._side)
        region = self._image[first[0] : last[0], first[1] : last[1]]
        cut = first - corner
        shape = inside[cut[0] : cut[0] + region.shape[0], cut[1] : cut[1] + region.shape[1]]
        region *= np.where(shape, np.float32(self._random.uniform(0.35, 0.7)), 1)[..., None]

    def _contrasting(self, color: np.ndarray) -> np.ndarray:
        """A random colour that contrasts with the given one."""
        while True:
            other = muted(self._random)
            if np.abs(other - color).mean() > 0.2:
                return other


def background_of(label: int) -> int:
    """Index of the typical background of a class; two classes share each background."""
    return label % len(TEXTURES)


def surface_of(label: int) -> int:
    """Index of the typical surface of a class; surface and background identify the class."""
    return (label + 1 + label // len(TEXTURES)) % len(TEXTURES)


def _polygon(corners: int, waist: float) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """The function inside(x, y) of a star with corners at radius 1 and inner ones at `waist`."""
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


# Class name -> inside(x, y): bool, for points in the unit circle, y pointing down.
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
