"""Step counts, learning rate and EMA decay as pure functions of the optimizer step.

A step may be a Python number, which gives a float, or a tensor, which gives a float32 tensor.
Both are computed in float64: in float32 a step is exact only up to 2^24.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf


def total_steps(epochs: float, examples: int, batch: int) -> int:
    """Optimizer steps of a run or a warm-up: its examples over the global batch, rounded down.

    BYOL's count (utils/schedules.py of its code): 300 epochs of 1,281,167 images at 2048 are
    187,670 steps. A product such as 0.57 * 100, which floats make a little less than 57, is 57.
    """
    return int(round(epochs * examples, 6)) // batch


def scaled_learning_rate(base: float, batch_size: int) -> float:
    """Peak learning rate of a global batch; `base` is for 256 (linear scaling, BYOL App. B)."""
    return base * batch_size / 256


def warmup_cosine(
    step: int | tf.Tensor, peak: float, warmup_steps: int, total_steps: int
) -> float | tf.Tensor:
    """Learning rate: linear from 0 to `peak` at `warmup_steps`, then half a cosine to 0 at the end.

    BYOL App. B and utils/schedules.py of its code. Stays 0 after `total_steps`.
    """

    def formula(step, module):
        rise = step / max(warmup_steps, 1)
        rest = module.maximum(total_steps - step, 0.0) / max(total_steps - warmup_steps, 1)
        return peak * module.where(step < warmup_steps, rise, _half_cosine(rest, module))

    return _at_step(formula, step)


def step_decay(step: int | tf.Tensor, peak: float, drops: Sequence[int]) -> float | tf.Tensor:
    """Learning rate: `peak`, a tenth of it from the step drops[0] on, a hundredth from drops[1] on.

    The linear evaluation of MoCo (main_lincls.py of its code: epochs 60 and 80 of 100).
    """

    def formula(step, module):
        factor = 1.0
        for drop in drops:
            factor = factor * module.where(step < drop, 1.0, 0.1)
        return peak * factor

    return _at_step(formula, step)


def poly_decay(step: int | tf.Tensor, peak: float, total_steps: int) -> float | tf.Tensor:
    """Learning rate: `peak` (1 - step / total_steps)^0.9, 0 from the end on (DeepLab, 4.1)."""

    def formula(step, module):
        return peak * (module.maximum(total_steps - step, 0.0) / total_steps) ** 0.9

    return _at_step(formula, step)


def ema_decay(step: int | tf.Tensor, total_steps: int, base: float) -> float | tf.Tensor:
    """Decay tau of the target network: `base` at step 0, 1 at the end.

    1 - (1 - base) (cos(pi step / total_steps) + 1) / 2 (BYOL section 3.3).
    """

    def formula(step, module):
        rest = module.maximum(total_steps - step, 0.0) / total_steps
        return 1 - (1 - base) * _half_cosine(rest, module)

    return _at_step(formula, step)


def linear_warmup(
    step: int | tf.Tensor, first: float, last: float, warmup_steps: int
) -> float | tf.Tensor:
    """`first` at step 0, rising (or falling) linearly to `last` at `warmup_steps`, then constant.

    DINO's teacher temperature; its code takes one value an epoch, this one moves at every step.
    """

    def formula(step, module):
        risen = module.minimum(step / warmup_steps, 1.0) if warmup_steps else 1.0
        return first + (last - first) * risen

    return _at_step(formula, step)


class WarmupCosine(tf.keras.optimizers.schedules.LearningRateSchedule):
    """`warmup_cosine` for a Keras optimizer.

    Raises:
        ValueError: if the warm-up is longer than the run.
    """

    def __init__(self, peak: float, warmup_steps: int, total_steps: int):
        if not 0 <= warmup_steps <= total_steps:
            raise ValueError(f"{warmup_steps} warm-up steps in a run of {total_steps}")
        self.peak = peak
        self.warmup_steps = warmup_steps
        self.total_steps = total_steps

    def __call__(self, step: int | tf.Tensor) -> float | tf.Tensor:
        return warmup_cosine(step, self.peak, self.warmup_steps, self.total_steps)


class PolyDecay(tf.keras.optimizers.schedules.LearningRateSchedule):
    """`poly_decay` for a Keras optimizer."""

    def __init__(self, peak: float, total_steps: int):
        self.peak = peak
        self.total_steps = total_steps

    def __call__(self, step: int | tf.Tensor) -> float | tf.Tensor:
        return poly_decay(step, self.peak, self.total_steps)


class Warmed(tf.keras.optimizers.schedules.LearningRateSchedule):
    """A schedule whose first steps are multiplied by a linear rise from 1 / steps to 1."""

    def __init__(
        self, schedule: tf.keras.optimizers.schedules.LearningRateSchedule, warmup_steps: int
    ):
        self.schedule = schedule
        self.warmup_steps = warmup_steps

    def __call__(self, step: int | tf.Tensor) -> float | tf.Tensor:
        steps = self.warmup_steps
        return self.schedule(step) * linear_warmup(step, 1 / steps, 1.0, steps - 1)


class StepDecay(tf.keras.optimizers.schedules.LearningRateSchedule):
    """`step_decay` for a Keras optimizer."""

    def __init__(self, peak: float, drops: Sequence[int]):
        self.peak = peak
        self.drops = list(drops)

    def __call__(self, step: int | tf.Tensor) -> float | tf.Tensor:
        return step_decay(step, self.peak, self.drops)


def _half_cosine(rest, module):
    """(1 + cos(pi (1 - rest))) / 2 without its cancellation near 0; 1 at rest 1, 0 at rest 0."""
    return module.sin(math.pi / 2 * rest) ** 2


def _at_step(formula: Callable, step: int | tf.Tensor) -> float | tf.Tensor:
    if tf.is_tensor(step):
        return tf.cast(formula(tf.cast(step, tf.float64), tf), tf.float32)
    return float(formula(np.float64(step), np))
