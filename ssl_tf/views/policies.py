"""Policies as constant tables: which operation, how often, how strong.

A policy is a list of rows (operation, probability, range of the value, random sign, fill).
AutoAugment and Fast AutoAugment group the rows in pairs, the sub-policies, and draw a whole pair.
RandAugment draws one row for each slot. `PolicySpace` puts several policies into one table of
tensors, so the graph for 498 sub-policies is as large as that for one.
"""

import dataclasses
import functools
import itertools
import json
from collections.abc import Callable, Sequence
from importlib import resources

import tensorflow as tf

from ssl_tf.settings import ViewSettings
from ssl_tf.views.level_rules import Level
from ssl_tf.views.ops import OP_INDEX, OPS

# MA-SSRL section 3.2: the TF RandAugment list without Contrast, Brightness, Cutout and Rotate, plus
# six SimCLR operations. The order is the authors'; draws are indices into it.
EXTENDED_RANDAUGMENT = (
    "AutoContrast", "Equalize", "Invert", "Posterize", "Solarize", "Sharpness", "Color",
    "SolarizeAdd", "ShearX", "ShearY", "TranslateX", "TranslateY", "rand_brightness",
    "rand_contrast", "rand_saturation", "rand_hue", "rand_blur", "color_drop",
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Row:
    """One operation of a policy.

    Attributes:
        op: name in `ops.OPS`.
        probability: of the operation being applied, 0..1.
        low, high: the value is drawn from U[low, high], in the unit of the operation.
        signed: the value is negated with a probability of 1/2.
        fill: grey level 0..255 of pixels that the operation leaves empty.
    """

    op: str
    probability: float
    low: float = 0.0
    high: float = 0.0
    signed: bool = False
    fill: int = 128


@dataclasses.dataclass(frozen=True)
class Policy:
    """Rows and how they are drawn.

    Attributes:
        name: the name in reports.
        rows: the operations.
        slots: operations of one view.
        grouped: True if the rows form sub-policies of `slots` consecutive rows, of which one is
            drawn whole; False if each slot draws one row independently.
    """

    name: str
    rows: tuple[Row, ...]
    slots: int
    grouped: bool

    @property
    def choices(self) -> int:
        """How many sub-policies, or rows, a draw chooses from."""
        return len(self.rows) // self.slots if self.grouped else len(self.rows)


def _row(op: str, probability: float, level: Level) -> Row:
    """The row of an operation at a level, its range by the level rule of the operation."""
    found = OPS[OP_INDEX[op]]
    return Row(op, probability, *found.value_range(level), signed=found.signed)


# Fast AutoAugment gives a magnitude in 0..1 instead of a level; these are the published ranges.
_FAST_RANGES = {
    "ShearX": (-0.3, 0.3), "ShearY": (-0.3, 0.3), "TranslateX": (-0.45, 0.45),
    "TranslateY": (-0.45, 0.45), "Rotate": (-30.0, 30.0), "Solarize": (0.0, 256.0),
    "Posterize": (4.0, 8.0), "Contrast": (0.1, 1.9), "Color": (0.1, 1.9), "Brightness": (0.1, 1.9),
    "Sharpness": (0.1, 1.9), "Cutout": (0.0, 0.2),
}  # fmt: skip


def _subpolicies(name: str) -> list[list[list]]:
    text = resources.files("ssl_tf.views").joinpath("tables", f"{name}.json").read_text()
    return json.loads(text)["subpolicies"]


@functools.cache
def autoaugment(searched_on: str, meaning: str = "tf") -> Policy:
    """The 25 AutoAugment sub-policies searched on "imagenet", "cifar10" or "svhn".

    Translation is the paper's 150 of 331 pixels, as a fraction of the side. The TF code uses 250
    pixels, which move a 224-pixel view out of the frame.

    Args:
        searched_on: data set of the search.
        meaning: of Posterize and Solarize, as in `level_rules.Level`.
    """
    rows = []
    for subpolicy in _subpolicies(f"autoaugment_{searched_on}"):
        for op, probability, level in subpolicy:
            rows.append(_row(op, probability, Level(level, meaning, translate=150 / 331)))
    return Policy("autoaugment", tuple(rows), slots=2, grouped=True)


@functools.cache
def fast_autoaugment(searched_on: str) -> Policy:
    """The published Fast AutoAugment sub-policies: 498 (imagenet), 493 (cifar10), 497 (svhn).

    The value is low + magnitude * (high - low). Empty pixels are black, as in the published code.
    """
    rows = []
    for subpolicy in _subpolicies(f"fast_autoaugment_{searched_on}"):
        for op, probability, magnitude in subpolicy:
            low, high = _FAST_RANGES.get(op, (0.0, 0.0))
            value = low + magnitude * (high - low)
            if op == "Posterize":
                value = float(int(value))
            rows.append(Row(op, probability, value, value, signed=OPS[OP_INDEX[op]].signed, fill=0))
    return Policy("fast_autoaugment", tuple(rows), slots=2, grouped=True)


@functools.cache
def randaugment(num_ops: int, magnitude: float, scale: int = 10, meaning: str = "tf") -> Policy:
    """The extended RandAugment of MA-SSRL: `num_ops` of 18 operations, each applied once.

    The authors' code applies the chosen operation up to 18 times to its own output and has the
    identity as a 19th choice. The paper has neither. At full range, translation is 100 of
    224 pixels.

    Args:
        num_ops: N, operations a view.
        magnitude: M, on the scale 0..`scale`.
        scale: level of full range, 10 (TF code) or 30 (the grid of the RandAugment paper).
        meaning: of Posterize and Solarize, as in `level_rules.Level`.
    """
    level = Level(10.0 * magnitude / scale, meaning)
    rows = tuple(_row(op, 1.0, level) for op in EXTENDED_RANDAUGMENT)
    return Policy("randaugment", rows, slots=num_ops, grouped=False)


# Torchvision's RandAugment draws each of them with the same chance.
TORCHVISION_RANDAUGMENT = (
    "Identity", "ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate", "Brightness", "Color",
    "Contrast", "Sharpness", "Posterize", "Solarize", "AutoContrast", "Equalize",
)  # fmt: skip


def _torchvision_rows(op: str, probability: float, fraction: float) -> tuple[Row, Row]:
    """The rows of an operation in torchvision's policies, for either sign of its magnitude.

    The magnitude is that fraction of the range. Brightness, colour, contrast and sharpness get 1
    plus or minus 0.9 of it, where the policies of TensorFlow have 0.1 to 1.9. Posterize keeps 8 to
    4 bits, Solarize has a threshold of 255 to 0, and both get stronger. Empty pixels are black.

    Torchvision shifts by int(magnitude) pixels; here the number is rounded.
    """
    if op in ("Brightness", "Color", "Contrast", "Sharpness"):
        factors = 1.0 + 0.9 * fraction, 1.0 - 0.9 * fraction
        return tuple(Row(op, probability, factor, factor) for factor in factors)
    if op == "Posterize":
        value = float(8 - round(4 * fraction))
        row = Row(op, probability, value, value)
    elif op == "Solarize":
        value = 255.0 * (1.0 - fraction)
        row = Row(op, probability, value, value)
    else:
        row = _row(op, probability, Level(10.0 * fraction, translate=150 / 331))
        row = dataclasses.replace(row, fill=0)
    return row, row


@functools.cache
def autoaugment_torchvision(searched_on: str) -> Policy:
    """The sub-policies of `autoaugment` with torchvision's magnitudes: `transforms.AutoAugment`.

    Their levels are bins 0 to 9 of the ranges. Each sub-policy stands here four times, with either
    sign of both magnitudes.

    Args:
        searched_on: data set of the search.
    """
    rows = []
    for subpolicy in _subpolicies(f"autoaugment_{searched_on}"):
        signed = [_torchvision_rows(op, p, level / 9) for op, p, level in subpolicy]
        rows.extend(row for pair in itertools.product(*signed) for row in pair)
    return Policy("autoaugment_torchvision", tuple(rows), slots=2, grouped=True)


@functools.cache
def randaugment_torchvision(num_ops: int, magnitude: float) -> Policy:
    """`transforms.RandAugment`: `num_ops` of 14 operations; M=9 is 0.3 of the range.

    Args:
        num_ops: N, operations a view.
        magnitude: M, on the scale 0..30.
    """
    rows = [
        row for op in TORCHVISION_RANDAUGMENT for row in _torchvision_rows(op, 1.0, magnitude / 30)
    ]
    return Policy("randaugment_torchvision", tuple(rows), slots=num_ops, grouped=False)


# The policies that strategies name in `settings.STRATEGIES`, and how the flags build them.
POLICIES: dict[str, Callable[[ViewSettings], Policy]] = {
    "autoaugment": lambda views: autoaugment(views.policy_set, views.posterize_solarize),
    "fast_autoaugment": lambda views: fast_autoaugment(views.policy_set),
    "randaugment": lambda views: randaugment(
        views.randaugment_ops,
        views.randaugment_magnitude,
        views.level_scale,
        views.posterize_solarize,
    ),
    "autoaugment_torchvision": lambda views: autoaugment_torchvision(views.policy_set),
    "randaugment_torchvision": lambda views: randaugment_torchvision(
        views.randaugment_ops, views.randaugment_magnitude
    ),
}


class PolicySpace:
    """Several policies in one table, from which each view draws one policy and its operations."""

    def __init__(self, policies: Sequence[Policy]):
        self.policies = tuple(policies)
        self.slots = max(policy.slots for policy in policies)
        # Row 0 is the identity. It stands for an operation that is not applied, and it fills the
        # slots that a shorter policy leaves free.
        rows = [Row("Identity", 1.0)]
        # Nodes of the graph cost more than numbers, so the tables hold all that is known in
        # advance. Of each policy: its first row, the number of choices, the step from one choice to
        # the next, and whether one choice sets all slots; as floats, exact below 2**24.
        self._policy = []
        for policy in policies:
            step = policy.slots if policy.grouped else 1
            self._policy.append(
                [float(n) for n in (len(rows), policy.choices, step, policy.grouped)]
            )
            rows.extend(policy.rows)
        self._policy_slots = [policy.slots for policy in policies]
        self._probability = [row.probability for row in rows]
        # Each row appears twice, with either sign.
        self._rows = [
            [OP_INDEX[row.op], sign * row.low, sign * (row.high - row.low), row.fill]
            for row in rows
            for sign in (1.0, -1.0 if row.signed else 1.0)
        ]

    @property
    def draws(self) -> int:
        """How many uniform numbers one view needs."""
        return 2 + 6 * self.slots

    def draw(self, uniform: tf.Tensor) -> dict[str, tf.Tensor]:
        """Turns uniform numbers into the operations of views.

        Args:
            uniform: float32 [..., draws] of `tf.random.stateless_uniform`. The leading dimensions
                are those of the views and are known statically.

        Returns:
            A dict.
            "policy": int32 [...], index into `policies`.
            "op": int32 [..., slots], index into `ops.OPS`; 0 (Identity) where none is applied.
            "value": float32 [..., slots], in the unit of the operation, with its sign.
            "fill": float32 [..., slots], grey level of empty pixels.
            "center": float32 [..., slots, 2] in [0, 1), centre of a cutout.
        """
        # Draws are multiples of 2**-23 below 1, so a product with a count stays below the count.
        policy = tf.cast(uniform[..., 0] * float(len(self.policies)), tf.int32)
        first, choices, step, grouped = tf.split(tf.gather(self._policy, policy), 4, axis=-1)
        slot = tf.range(self.slots)
        per_slot = tf.reshape(uniform[..., 2:], [*uniform.shape[:-1], self.slots, 6])
        own, chance, amount, sign, u, v = tf.unstack(per_slot, axis=-1)
        choice = tf.floor(tf.where(grouped > 0.0, uniform[..., 1:2], own) * choices)
        row = tf.cast(first + choice * step + grouped * tf.cast(slot, tf.float32), tf.int32)
        if min(self._policy_slots) < self.slots:
            free = slot >= tf.gather(self._policy_slots, policy)[..., tf.newaxis]
            row = tf.where(free, 0, row)
        applied = chance < tf.gather(self._probability, row)
        row = tf.where(applied, 2 * row + tf.cast(sign < 0.5, tf.int32), 0)
        op, low, span, fill = tf.unstack(tf.gather(self._rows, row), axis=-1)
        return {
            "policy": policy,
            "op": tf.cast(op, tf.int32),
            "value": low + amount * span,
            "fill": fill,
            "center": tf.stack([u, v], axis=-1),
        }
