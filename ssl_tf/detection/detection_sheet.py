"""A sheet of images with their true objects and those that are found."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageColor, ImageDraw

from ssl_tf.data.annotations.annotated_source import AnnotatedSource
from ssl_tf.data.decoding import decode
from ssl_tf.detection.found_objects import ImageObjects
from ssl_tf.detection.run_lengths import decode_mask
from ssl_tf.views.sheet import COLOURS, draw_sheet

_HEIGHT = 160
_LEAST_SCORE = 0.5
_NAMED = 4
_COVER = 0.5
_COLUMNS = 4


def draw_objects(
    source: AnnotatedSource,
    truth: Sequence[ImageObjects],
    found: Sequence[ImageObjects],
    path: Path,
) -> np.ndarray | None:
    """Writes a PNG of images, two a row, each with the objects found beside the true ones.

    Of what is found, objects of a score of at least a half are drawn. A class has one colour.

    Args:
        source: of the images.
        truth: objects of its first images.
        found: objects found in those that are readable.
        path: of the PNG.

    Returns:
        The sheet, uint8 [H, W, 3]; None, and no file, if no image is readable.
    """
    names = source.names_or_numbers
    by_index = {image.index: _likely(image) for image in found}
    cells = []
    examples = source.sequence(0, len(truth)).map(lambda x: decode(x, source.unreadable))
    for true, example in zip(truth, source.read(examples)):
        if example["readable"]:
            here = by_index[true.index]
            cells.append((_drawn(example["image"], here), ["found", *_told(here, names)]))
            cells.append((_drawn(example["image"], true), ["true", *_told(true, names)]))
    rows = [cells[first : first + _COLUMNS] for first in range(0, len(cells), _COLUMNS)]
    return draw_sheet(rows, path) if rows else None


def _likely(image: ImageObjects) -> ImageObjects:
    kept = np.flatnonzero(image.scores >= _LEAST_SCORE)
    return ImageObjects(
        image.index,
        image.size,
        image.boxes[kept],
        image.classes[kept],
        tuple(image.masks[row] for row in kept) if image.masks else (),
        scores=image.scores[kept],
    )


def _drawn(image: np.ndarray, objects: ImageObjects) -> np.ndarray:
    """The image at the height of a cell, with the masks and boxes of its objects."""
    height, width = image.shape[:2]
    size = max(1, round(width * _HEIGHT / height)), _HEIGHT
    picture = np.asarray(Image.fromarray(image).resize(size, Image.BILINEAR), np.float64)
    colours = [COLOURS[label % len(COLOURS)] for label in objects.classes.tolist()]
    for mask, colour in zip(objects.masks, colours):
        covered = np.asarray(Image.fromarray(decode_mask(mask)).resize(size, Image.NEAREST))
        paint = np.array(ImageColor.getrgb(colour), np.float64)
        picture[covered] = (1 - _COVER) * picture[covered] + _COVER * paint
    drawing = Image.fromarray(picture.round().astype(np.uint8))
    pen = ImageDraw.Draw(drawing)
    scale = np.array([size[1] / height, size[0] / width] * 2)
    for box, colour, crowd in zip(
        objects.boxes * scale,
        colours,
        np.zeros(len(colours)) if objects.crowd is None else objects.crowd,
    ):
        top, left, bottom, right = box
        corners = [left, top, max(left, right - 1), max(top, bottom - 1)]
        # A dark line around the bright one keeps it visible on any background.
        pen.rectangle(corners, outline="black", width=3)
        pen.rectangle(corners, outline="white" if crowd else colour, width=1 if crowd else 2)
    return np.asarray(drawing)


def _told(objects: ImageObjects, names: Sequence[str]) -> list[str]:
    """Classes and scores of the first objects, a line each."""
    lines = []
    for row, label in enumerate(objects.classes[:_NAMED].tolist()):
        score = "" if objects.scores is None else f" {objects.scores[row]:.2f}"
        crowd = objects.crowd is not None and objects.crowd[row]
        lines.append(f"{names[label]}{score}{' (crowd)' if crowd else ''}")
    more = len(objects.classes) - _NAMED
    return [*lines, f"and {more} more"] if more > 0 else lines
