"""Step counts and learning rate of a run, from its settings and its number of images."""

import dataclasses

from ssl_tf.errors import SettingsError, warn
from ssl_tf.settings import OptimizationSettings
from ssl_tf.training import schedules


@dataclasses.dataclass(frozen=True)
class Plan:
    """Counts of a run; steps are optimizer steps."""

    images: int
    batch_size: int
    total_steps: int
    warmup_steps: int
    learning_rate: float

    def steps_of(self, epochs: float) -> int:
        """A period in epochs as steps, at least one."""
        return max(1, round(epochs * self.images / self.batch_size))

    def steps_until(self, epochs: float) -> int:
        """The first step after a period in epochs, which may be none, and ends within the run."""
        return min(self.steps_of(epochs) if epochs else 0, self.total_steps - 1)

    def learning_rate_schedule(self) -> schedules.WarmupCosine:
        return schedules.WarmupCosine(self.learning_rate, self.warmup_steps, self.total_steps)


# Batches an epoch from which on it matters little that one of them spans two epochs.
_FEW_BATCHES = 4


def make_plan(optimization: OptimizationSettings, images: int) -> Plan:
    """The steps, the warm-up and the scaled learning rate of a run.

    What a short run or few images make of it is told on stderr: a warm-up of most steps, batches
    that hold an image several times.

    Raises:
        SettingsError: the run would have no step.
    """
    batch = optimization.batch_size
    total = schedules.total_steps(optimization.epochs, images, batch)
    if not total:
        raise SettingsError(
            f"--batch_size={batch}: {optimization.epochs:g} epochs of {images} images do not fill "
            "one batch; lower it or raise --epochs"
        )
    if batch > images:
        warn(
            f"--batch_size={batch} is above the {images} images, so a batch holds an "
            "image several times, and a method with negatives takes an image as its own; give "
            f"--batch_size={images} or less"
        )
    elif images % batch and _FEW_BATCHES * batch > images:
        warn(
            f"--batch_size={batch}: {images} images are no whole number of batches, so one that "
            f"spans two epochs holds up to {batch**2 / 4 / images:.0f} images twice, and a method "
            "with negatives takes an image as its own; give a divisor, or a smaller one"
        )
    warmup = schedules.total_steps(optimization.warmup_epochs, images, batch)
    if 2 * warmup > total:
        warn(
            f"--warmup_epochs={optimization.warmup_epochs:g}: the learning rate rises for "
            f"{warmup} of the {total} steps; lower it for a short run"
        )
    if optimization.warmup_epochs and not warmup:
        warn(
            f"--warmup_epochs={optimization.warmup_epochs:g}: less than a batch of {images} "
            "images, so there is no warm-up; raise it, or give 0"
        )
    return Plan(
        images=images,
        batch_size=batch,
        total_steps=total,
        warmup_steps=warmup,
        learning_rate=schedules.scaled_learning_rate(optimization.base_learning_rate, batch),
    )
