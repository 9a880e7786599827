"""Means over seeds, and differences of two rows that have the same seeds."""

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np
from scipy import special

# Of a figure in [0, 1]; the standard error of equal differences is then 0, and not 1e-17.
_DIGITS = 12


@dataclasses.dataclass(frozen=True)
class Mean:
    """A mean over seeds.

    Attributes:
        mean: of the values.
        error: standard error of the mean; None of a single value.
        count: number of values.
    """

    mean: float
    error: float | None
    count: int


@dataclasses.dataclass(frozen=True)
class Difference(Mean):
    """A mean over the differences of paired seeds.

    Attributes:
        p: of a two-sided paired t-test that the mean is 0; None where the error is None or 0.
    """

    p: float | None


def mean_of(values: Sequence[float]) -> Mean:
    """The mean of values, one or more, with its standard error."""
    numbers = np.asarray(values, np.float64)
    count = len(numbers)
    if np.ptp(numbers) == 0:  # the mean of three tenths is more than a tenth
        return Mean(float(numbers[0]), 0.0 if count > 1 else None, count)
    return Mean(float(numbers.mean()), float(numbers.std(ddof=1) / math.sqrt(count)), count)


def difference_of(values: Mapping[int, float], reference: Mapping[int, float]) -> Difference | None:
    """The mean of the differences at the seeds that both have; None if there are none.

    Pairs share what a seed decides (initial weights, order, crops), so their differences vary less
    than the values.

    Args:
        values, reference: seed -> value.
    """
    seeds = sorted(values.keys() & reference.keys())
    if not seeds:
        return None
    # Shares of a few hundred images, whose differences are equal but for their rounding.
    differences = [round(values[seed] - reference[seed], _DIGITS) for seed in seeds]
    found = mean_of(differences)
    p = None
    if found.error:
        t = abs(found.mean) / found.error
        p = 2 * float(special.stdtr(found.count - 1, -t))
    return Difference(found.mean, found.error, found.count, p)
