"""The cells of the views report: each operation by level, and the draws of a recipe."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from ssl_tf.settings import ViewSettings
from ssl_tf.views.level_rules import Level, no_value
from ssl_tf.views.ops import OPS, Op
from ssl_tf.views.recipe import Recipe
from ssl_tf.views.regions import dilate
from ssl_tf.views.sheet import Cell, framed, with_rectangles

_FILL = 128.0
_COLUMNS = 9


class Example(NamedTuple):
    """An image of which views are drawn.

    Attributes:
        index: number of the image in its source.
        name: of its file.
        image: uint8 [H, W, 3].
        boxes: float32 [n, 4], for a recipe that crops objects.
    """

    index: int
    name: str
    image: tf.Tensor
    boxes: tf.Tensor | None = None


def op_cells(
    image: tf.Tensor, levels: Sequence[float], settings: ViewSettings
) -> list[list[Cell | None]]:
    """Applies every operation of `OPS` to an image, at every level.

    Args:
        image: uint8 [S, S, 3].
        levels: levels to show, on the scale of the settings.
        settings: gives the level scale and the meaning of Posterize and Solarize.

    Returns:
        Rows of two groups, each group with one cell a level. The operations without a value share
        groups with the image itself. An operation with a sign or a range has two groups, one for
        each sign or each end of the range.
    """
    plain: list[Cell | None] = []
    single: list[list[Cell | None]] = []
    double: list[list[Cell | None]] = []
    scale, meaning = settings.level_scale, settings.posterize_solarize
    at = [Level(10.0 * level / scale, meaning) for level in levels]
    for op in OPS:
        if op.value_range is no_value:
            plain.append(_cell(op, image, 0.0, [op.name]))
            continue
        directions = _directions(op, at)
        captions = [f"level {level:g}" if op.has_levels else "any level" for level in levels]
        (single if len(directions) == 1 else double).extend(
            [_cell(op, image, v, [op.name, f"{c}: {v:.3g}"]) for v, c in zip(values, captions)]
            for values in directions
        )
    width = len(levels)
    plain += [None] * (-len(plain) % width)
    single = [plain[i : i + width] for i in range(0, len(plain), width)] + single
    single += [[None] * width] * (len(single) % 2)
    strips = single + double
    return [first + second for first, second in zip(strips[::2], strips[1::2])]


def view_cells(
    recipe: Recipe,
    examples: Sequence[Example],
    *,
    seed_of: Callable[[int, int], tf.Tensor],
    draws: int,
) -> list[list[Cell]]:
    """The first draws of a run: the source with its crops, then the views with their operations.

    A recipe that crops objects also shows the drawn box, and the dilated one where it is used.

    Args:
        recipe: makes the views.
        examples: the images.
        seed_of: (epoch, index) -> int64 [2], the seed of an image's augmentation in an epoch.
        draws: epochs to show of each image.

    Returns:
        Rows of cells, with as many draws side by side as fit into `_COLUMNS` cells.
    """
    make = tf.function(recipe, reduce_retracing=True, autograph=False)
    strips = []
    for example in examples:
        for epoch in range(draws):
            # Where the input pipeline makes them, too.
            with tf.device("CPU:0"):
                of_image = (example.boxes,) if recipe.takes_boxes else ()
                made = make(example.image, seed_of(epoch, example.index), *of_image)
            made = tf.nest.map_structure(lambda tensor: tensor.numpy(), made)
            strips.append(_strip(recipe, example, epoch, made))
    abreast = max(1, _COLUMNS // len(strips[0])) if strips else 1
    return [sum(strips[i : i + abreast], []) for i in range(0, len(strips), abreast)]


def _strip(recipe: Recipe, example: Example, epoch: int, made: dict) -> list[Cell]:
    """One draw: the source, then its views. made: what the recipe returned, as numpy."""
    height, width = example.image.shape[:2]
    lines = [example.name, f"{width}x{height}, image {example.index}, epoch {epoch}"]
    boxes = {}
    if recipe.takes_boxes:
        boxes["dotted: object"] = made["proposal"]
        if recipe.settings.crops == "object_dilated":
            boxes["dashed: dilated"] = dilate(made["proposal"], recipe.settings.dilation).numpy()
        lines += boxes
    strip = [(with_rectangles(example.image.numpy(), made["rectangles"], *boxes.values()), lines)]
    for v, view in enumerate(made["views"]):
        drawn = recipe.describe(v, *(made[key][v] for key in ("policy", "op", "value", "chain")))
        if made["flipped"][v]:
            drawn[0] += ", flipped"
        strip.append((framed(view, v), drawn))
    return strip


def _directions(op: Op, levels: Sequence[Level]) -> list[list[float]]:
    """The values of an operation at the levels, one list for each direction."""
    low, high = (list(ends) for ends in zip(*(op.value_range(level) for level in levels)))
    if not op.has_levels:
        # The range is the same at every level, so the cells are spread over it.
        return [list(np.linspace(low[0], high[0], len(levels)))]
    if op.signed:
        return [high, [-value for value in high]]
    return [high] if low == high else [high, low]


def _cell(op: Op, image: tf.Tensor, value: float, lines: list[str]) -> Cell:
    numbers = tf.constant(value, tf.float32), tf.constant(_FILL), tf.constant([0.5, 0.5])
    return op.apply(image, *numbers).numpy(), lines
