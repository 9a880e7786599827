"""Level rules: how the level of a policy becomes the value of an operation.

AutoAugment and RandAugment give the strength of an operation as a level. A level rule maps a level
to the range (low, high) from which the value is drawn uniformly, in the unit of the operation.
Every row of `ops.OPS` holds its rule.

The rules of the AutoAugment operations are those of tensorflow/models and tensorflow/tpu. The rules
of MA-SSRL's six additional operations are those of the authors' code, without its three defects:
its hue falls back to 0.1 above level 5 (here it saturates at the full circle), its contrast and
saturation raise above level 12.5 (here the lower end stops at 0), and it replaces level 0 by a
medium strength (here level 0 changes nothing).
"""

import math
from collections.abc import Callable
from typing import NamedTuple


class Level(NamedTuple):
    """A level, and the two conventions on which published codes differ.

    Attributes:
        value: 0 to 10, where 10 is the full range. Higher levels extrapolate and saturate where the
            value of the operation has an end.
        meaning: "tf" (Posterize and Solarize get weaker with the level) or "pil" (stronger).
        translate: translation at level 10, as a fraction of the side. The default is the 100 of 224
            pixels of RandAugment.
    """

    value: float
    meaning: str = "tf"
    translate: float = 100 / 224


LevelRule = Callable[[Level], tuple[float, float]]


def no_value(level: Level) -> tuple[float, float]:
    """The rule of an operation that ignores its value."""
    return 0.0, 0.0


def constant(low: float, high: float) -> LevelRule:
    """The same range at every level."""
    return lambda level: (low, high)


def linear(start: float, slope: float) -> LevelRule:
    """One value, `start + slope * level`."""

    def rule(level: Level) -> tuple[float, float]:
        value = start + slope * level.value
        return value, value

    return rule


def around(
    center: float, slope: float, lowest: float = -math.inf, highest: float = math.inf
) -> LevelRule:
    """The range `center - slope * level` to `center + slope * level`, inside lowest..highest."""

    def rule(level: Level) -> tuple[float, float]:
        reach = slope * level.value
        return max(lowest, center - reach), min(highest, center + reach)

    return rule


def translation(level: Level) -> tuple[float, float]:
    """One value, the fraction `level.translate` of the side at level 10."""
    value = level.translate * level.value / 10
    return value, value


def posterize_bits(level: Level) -> tuple[float, float]:
    """Whole bits kept: int(0.4 level), "pil": 4 - int(0.4 level); in 0..8."""
    bits = _whole(0.4 * level.value)
    kept = float(min(max(bits if level.meaning == "tf" else 4 - bits, 0), 8))
    return kept, kept


def solarize_threshold(level: Level) -> tuple[float, float]:
    """Whole grey level: int(25.6 level), "pil": 256 - int(25.6 level); in 0..256."""
    grey = _whole(25.6 * level.value)
    threshold = float(min(max(grey if level.meaning == "tf" else 256 - grey, 0), 256))
    return threshold, threshold


def solarize_amount(level: Level) -> tuple[float, float]:
    """Whole grey levels added: int(11 level), at most 255."""
    amount = float(min(_whole(11.0 * level.value), 255))
    return amount, amount


def _whole(value: float) -> int:
    # A product such as 25.6 * 5 can fall just short of a whole number.
    return int(value + 1e-6)
