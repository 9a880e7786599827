"""Checkpoints: the step is the name, a directory that is there is whole."""

import re
import shutil
from pathlib import Path

import tensorflow as tf

from ssl_tf.errors import UserError

_NAME = re.compile(r"step_(\d{8,})")


class Checkpoints:
    """Saves and restores the variables of a run under `directory`.

    A checkpoint is written under a temporary name and renamed when it is complete. It holds
    networks and optimizer (and with it the step), and nothing of `tf.data`: the position in the
    data is a function of the step.
    """

    def __init__(self, directory: Path, keep: int, **items: tf.Module):
        """
        Args:
            directory: made where missing.
            keep: how many of the newest to keep.
            items: what is saved, by name.
        """
        self._directory = directory
        self._keep = keep
        self._checkpoint = tf.train.Checkpoint(**items)

    def steps(self) -> list[int]:
        """Steps of the complete checkpoints, oldest first."""
        if not self._directory.is_dir():
            return []
        names = (_NAME.fullmatch(path.name) for path in self._directory.iterdir())
        return sorted(int(name[1]) for name in names if name)

    def path(self, step: int) -> Path:
        return self._directory / f"step_{step:08d}"

    def save(self, step: int) -> Path:
        """Writes the checkpoint of a step and removes those beyond `keep`.

        Raises:
            UserError: it cannot be written (a full disk); earlier checkpoints are untouched.
        """
        self._directory.mkdir(parents=True, exist_ok=True)
        for unfinished in self._directory.glob("*.writing"):
            shutil.rmtree(unfinished)
        temporary = self._directory / f"{self.path(step).name}.writing"
        try:
            self._checkpoint.write(str(temporary / "state"))
            if self.path(step).exists():
                shutil.rmtree(self.path(step))
            temporary.rename(self.path(step))
        except (tf.errors.OpError, OSError) as error:
            shutil.rmtree(temporary, ignore_errors=True)
            cause = str(error).splitlines()[0]
            raise UserError(
                f"checkpoint of step {step} not written to {self._directory} ({cause}); earlier "
                "ones are untouched: make room and start the same command again"
            ) from None
        for old in self.steps()[: -self._keep]:
            shutil.rmtree(self.path(old))
        return self.path(step)

    def restore_latest(self) -> int | None:
        """Restores the newest checkpoint into the items; its step, or None where there is none.

        Raises:
            UserError: the checkpoint is of another model or damaged.
        """
        steps = self.steps()
        if not steps:
            return None
        self.restore(steps[-1])
        return steps[-1]

    def restore(self, step: int) -> None:
        """Restores the checkpoint of a step; every variable must be matched.

        Raises:
            UserError: the checkpoint is of another model or damaged.
        """
        path = self.path(step)
        try:
            status = self._checkpoint.read(str(path / "state"))
            # All of the items must be found; that an encoder leaves the rest alone is no news.
            status.assert_existing_objects_matched().expect_partial()
        except (tf.errors.OpError, AssertionError, ValueError) as error:
            cause = " ".join(str(error).split())[:300]
            raise UserError(
                f"{path} does not fit this model or is damaged ({cause}); remove it to use the one "
                "before, or give another --run_dir"
            ) from None


def checkpoint_bytes(variables: list[tf.Variable]) -> int:
    """Size of these variables on disk, in bytes."""
    return sum(variable.dtype.size * variable.shape.num_elements() for variable in variables)
