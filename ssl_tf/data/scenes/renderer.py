"""The renderer of backgrounds: a textured ground with random marks, and its textures."""

import numpy as np

# Pixels are rendered as squares of this many samples a side and averaged.
SAMPLES = 2
# Probability that a surface or a background is the one that is typical of the class.
_TYPICAL = 0.8


class SceneRenderer:
    """An image being painted, float32 [side, side, 3] in [0, 1]; subclasses paint the objects."""

    def __init__(self, random: np.random.Generator, size: int, ground: int):
        """Paints the ground and its marks.

        Args:
            random: random generator, used in the order of painting.
            size: side of the finished image, in pixels.
            ground: index in `TEXTURES` of the typical texture of the ground.
        """
        self._random = random
        self._side = side = size * SAMPLES
        axis = (np.arange(side, dtype=np.float32) + 0.5) / side
        self._y, self._x = axis[:, None], axis[None, :]
        angle = random.uniform(0, 2 * np.pi)
        self._light = np.array([np.sin(angle), np.cos(angle)], np.float32)
        self._image = self._textured(self._y, self._x, muted(random), 1.0, ground)
        # The number of the object that each sample shows, 0 of the ground.
        self._owners = np.zeros((side, side), np.uint8)
        for _ in range(random.integers(8, 20)):
            self._mark()

    def finish(self) -> np.ndarray:
        """The finished uint8 [size, size, 3] image, with falling light, blur and noise."""
        random = self._random
        side = self._side // SAMPLES
        # NumPy's mean over axes of two elements takes twenty times as long.
        within = [(y, x) for y in range(SAMPLES) for x in range(SAMPLES)]
        image = sum(self._image[y::SAMPLES, x::SAMPLES] for y, x in within) / np.float32(SAMPLES**2)
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

    def owners(self) -> np.ndarray:
        """The number of the object that each finished pixel shows: uint8 [size, size].

        It is 0 of the ground. Of the samples of a pixel the first counts, so that objects do not
        share a pixel.
        """
        return self._owners[::SAMPLES, ::SAMPLES]

    def _mark(self) -> None:
        """Paints a stroke or a spot that belongs to no class: an ellipse, thin or round."""
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

    def _textured(
        self, y: np.ndarray, x: np.ndarray, color: np.ndarray, strength: float, typical: int
    ) -> np.ndarray:
        """A pattern that varies between the colour and another one: float32 [..., 3].

        The pattern is the typical texture or, in one case of five, a random one.
        """
        random = self._random
        drawn = typical if random.random() < _TYPICAL else random.integers(len(TEXTURES))
        angle = random.uniform(0, 2 * np.pi)
        sine, cosine = np.float32(np.sin(angle)), np.float32(np.cos(angle))
        pattern = TEXTURES[drawn](random, x * cosine + y * sine, y * cosine - x * sine)
        step = random.choice([-1, 1]) * random.uniform(0.35, 0.6)
        other = color + strength * (step + random.uniform(-0.1, 0.1, 3))
        color, other = color.astype(np.float32), other.clip(0, 1).astype(np.float32)
        return color + pattern[..., None] * (other - color)


def muted(random: np.random.Generator) -> np.ndarray:
    """A random grey with a tint.

    Strong colours would identify an image at a glance. An encoder that learns to recognize images
    would then learn nothing else.
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


TEXTURES = (_stripes, _checks, _dots, _clouds, _gradient)
