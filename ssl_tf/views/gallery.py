"""The cells of the views report: each operation by level, and the draws of a recipe."""

from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from ssl_tf.settings import ViewSettings
from ssl_tf.views.level_rules import Level, no_value
from ssl_tf.views.ops import OPS, Op
from ssl_tf.views.recipe import Recipe
from ssl_tf.views.sheet import Cell, framed, with_rectangles

_FILL = 128.0
_COLUMNS = 9


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
    examples: Sequence[tuple[int, tf.Tensor]],
    boxes: Sequence[tf.Tensor] | None = None,
    *,
    seed_of: Callable[[int, int], tf.Tensor],
    draws: int,
) -> list[list[Cell]]:
    """The first draws of a run: the source with its crops, then the views with their operations.

    Args:
        recipe: makes the views.
        examples: (index, uint8 [H, W, 3] image).
        boxes: float32 [n, 4] of each image, for a recipe that crops objects. The drawn box is shown
            with the crops.
        seed_of: (epoch, index) -> int64 [2], the seed of an image's augmentation in an epoch.
        draws: epochs to show.

    Returns:
        Rows of cells, with as many epochs side by side as fit into `_COLUMNS` cells.
    """
    make = tf.function(recipe, reduce_retracing=True)
    abreast = max(1, _COLUMNS // (1 + len(recipe.strategies)))
    rows = []
    for place, (index, image) in enumerate(examples):
        of_image = (boxes[place],) if boxes else ()
        for epoch in range(draws):
            made = make(image, seed_of(epoch, index), *of_image)
            made = tf.nest.map_structure(lambda tensor: tensor.numpy(), made)
            height, width = image.shape[:2]
            lines = [f"image {index}, epoch {epoch}", f"{width}x{height}"]
            shown = with_rectangles(image.numpy(), made["rectangles"], made.get("proposal"))
            row = [(shown, lines)]
            for v, view in enumerate(made["views"]):
                drawn = recipe.describe(v, *(made[key][v] for key in ("policy", "op", "value")))
                if made["flipped"][v]:
                    drawn[0] += ", flipped"
                row.append((framed(view, v), drawn))
            if epoch % abreast:
                rows[-1] += row
            else:
                rows.append(row)
    return rows


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
