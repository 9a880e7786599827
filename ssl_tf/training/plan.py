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


def make_plan(optimization: OptimizationSettings, images: int) -> Plan:
    """The steps, the warm-up and the scaled learning rate of a run.

    A batch above the number of images holds an image several times; this is told on stderr.

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
    return Plan(
        images=images,
        batch_size=batch,
        total_steps=total,
        warmup_steps=schedules.total_steps(optimization.warmup_epochs, images, batch),
        learning_rate=schedules.scaled_learning_rate(optimization.base_learning_rate, batch),
    )
