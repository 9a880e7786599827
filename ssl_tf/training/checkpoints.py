"""Checkpoints named by their step, with checksums that detect damage."""

import re
import shutil
import sys
from pathlib import Path

import tensorflow as tf

from ssl_tf.errors import SettingsError, UserError, warn
from ssl_tf.files import UNFINISHED, NotWritten, remove, replacing, sha256_of

# In the format of sha256sum, so that `sha256sum -c SHA256SUMS` checks a checkpoint by hand.
# TensorFlow keeps a checksum of each tensor, but none that covers its index.
SUMS = "SHA256SUMS"
_STATE = "state"
_NAME = re.compile(r"step_(\d{8,})")
# Left behind by a process that was killed while it wrote or removed a checkpoint.
_LEFTOVERS = (f"*{UNFINISHED}", "*.removing")


class Checkpoints:
    """Saves and restores the variables of a run under `directory`.

    A checkpoint is written under a temporary name, synced to the disk and renamed when it is
    complete. It holds the networks and the optimizer with its step. It holds no state of `tf.data`,
    because the position in the data is a function of the step.
    """

    def __init__(self, directory: Path, keep: int, **items: tf.Module):
        """
        Args:
            directory: of all checkpoints; created if missing.
            keep: number of checkpoints to keep, the newest ones.
            items: the objects to save, by name.

        Raises:
            SettingsError: as in `check_name`.
        """
        check_name(directory)
        self._directory = directory
        self._keep = keep
        self._items = items
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
        path = self.path(step)
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            self._clean()
            with replacing(path) as temporary:
                self._checkpoint.write(str(temporary / _STATE))
                sums = "".join(
                    f"{sha256_of(file)}  {file.name}\n" for file in sorted(temporary.iterdir())
                )
                (temporary / SUMS).write_text(sums)
                if path.exists():
                    _remove(path)
        except (NotWritten, tf.errors.OpError, OSError) as error:
            cause = error.cause if isinstance(error, NotWritten) else str(error)
            cause = " ".join(cause.split())[:200]
            raise UserError(
                f"checkpoint of step {step} not written to {self._directory} ({cause}); earlier "
                "ones are untouched: make room and start the same command again"
            ) from None
        for old in self.steps()[: -self._keep]:
            _remove(self.path(old))
        return path

    def newest(self) -> int | None:
        """Step of the newest undamaged checkpoint; None if there is no checkpoint.

        Each damaged checkpoint that is passed over is reported on stderr.

        Raises:
            UserError: there are checkpoints and all of them are damaged.
        """
        steps = self.steps()
        for step in reversed(steps):
            reason = damage(self.path(step))
            if reason is None:
                return step
            warn(f"{self.path(step)} is damaged ({reason})")
        if steps:
            raise UserError(
                f"no checkpoint in {self._directory} is whole; remove that directory to start from "
                "scratch, or put back a copy"
            )
        return None

    def resume(self) -> int | None:
        """Restores the newest undamaged checkpoint into the items, for the run that writes here.

        Newer, damaged checkpoints are moved to `step_XXXXXXXX.damaged`. Unfinished files of a
        killed process are removed.

        Returns:
            The restored step; None if there is no checkpoint.

        Raises:
            UserError: the checkpoint is of another model, or all of them are damaged.
        """
        newest = self.newest()
        if newest is not None:
            self.restore(newest)
            for step in self.steps():
                if step > newest:
                    self._set_aside(step, newest)
        if self._directory.is_dir():
            self._clean()
        return newest

    def restore(self, step: int, partial: bool = False) -> None:
        """Restores the checkpoint of a step, which must hold every variable of the items.

        Args:
            step: of the checkpoint.
            partial: whether the checkpoint may hold further items, as when only the encoder of a
                run is needed.

        Raises:
            UserError: the checkpoint is damaged, or of another model.
        """
        read_checkpoint(self.path(step), self._items, partial)

    def _clean(self) -> None:
        for pattern in _LEFTOVERS:
            for leftover in self._directory.glob(pattern):
                remove(leftover)

    def _set_aside(self, step: int, used: int) -> None:
        path = self.path(step)
        aside = path.with_name(path.name + ".damaged")
        remove(aside)
        path.rename(aside)
        print(
            f"resuming from step {used}; the damaged checkpoint of step {step} is now {aside}, "
            "which nothing reads: remove it when you like",
            file=sys.stderr,
        )


def check_name(directory: Path) -> None:
    """Checks that TensorFlow can read back what it saves in a directory of this name.

    It looks for a checkpoint by a pattern, in which brackets and backslashes are no letters.

    Raises:
        SettingsError: it cannot.
    """
    name = str(directory)
    try:
        name.encode()
    except UnicodeEncodeError:
        raise SettingsError(
            f"directory {ascii(name)}: its name is no UTF-8, TensorFlow cannot save there; give "
            "another name"
        ) from None
    if set(name) & set("[]\\"):
        raise SettingsError(
            f"directory {name}: TensorFlow cannot read checkpoints back from a name with [, ] or "
            "\\; give another name"
        )


def is_checkpoint(path: Path) -> bool:
    """Whether a directory is a checkpoint, damaged or not."""
    return (path / SUMS).is_file() or (path / f"{_STATE}.index").is_file()


def damage(path: Path) -> str | None:
    """The damage to the files of a checkpoint, in a few words; None if there is none."""
    try:
        recorded = (path / SUMS).read_text(errors="replace").splitlines()
        sums = {name: digest for digest, _, name in (line.partition("  ") for line in recorded)}
        for name in sorted({f"{_STATE}.index", *(file.name for file in path.glob(f"{_STATE}.*"))}):
            if name not in sums:
                return f"{name} is not in {SUMS}"
        for name, digest in sums.items():
            if sha256_of(path / name) != digest:
                return f"{name} is not what was written"
    except FileNotFoundError as error:
        return f"{Path(error.filename).name} is missing"
    except OSError as error:
        return f"{Path(error.filename or path).name}: {error.strerror}"
    return None


def read_checkpoint(path: Path, items: dict[str, tf.Module], partial: bool) -> None:
    """Reads one checkpoint into `items`.

    Args:
        path: of the checkpoint.
        items: by the names under which they were saved.
        partial: whether the checkpoint may hold further items.

    Raises:
        UserError: the checkpoint is damaged, or variables are unmatched; the message names them.
    """
    check_name(path)
    reason = damage(path)
    if reason:
        raise UserError(f"{path} is damaged ({reason}); give another checkpoint")
    prefix = str(path / _STATE)
    try:
        if partial:
            _check_counts(prefix, items)
        status = tf.train.Checkpoint(**items).read(prefix)
        status.assert_existing_objects_matched()
        if partial:
            status.expect_partial()
        else:
            status.assert_consumed()
    except (tf.errors.OpError, AssertionError, ValueError) as error:
        raise UserError(
            f"{path} does not fit this model: {_unmatched(str(error))}; give the flags of the run "
            "it comes from, or another checkpoint"
        ) from None


def item_names(path: Path) -> set[str]:
    """Names of a checkpoint's items that are networks or optimizers, not single variables."""
    keys = (name.split("/") for name, _ in tf.train.list_variables(str(path / _STATE)))
    return {key[0] for key in keys if len(key) > 1 and key[1] != ".ATTRIBUTES"}


def checkpoint_bytes(variables: list[tf.Variable]) -> int:
    """Size of these variables on disk, in bytes."""
    return sum(variable.dtype.size * variable.shape.num_elements() for variable in variables)


def _check_counts(prefix: str, items: dict[str, tf.Module]) -> None:
    """Checks that a checkpoint holds no more variables of an item than the item has.

    TensorFlow reports the variables that a checkpoint lacks. It does not report the variables of an
    item that it leaves unread.

    Raises:
        ValueError: the checkpoint holds more.
    """
    names = [name for name, _ in tf.train.list_variables(prefix)]
    for item, module in items.items():
        saved = sum(name.startswith(f"{item}/") for name in names)
        if saved > len(module.variables):
            raise ValueError(f"{item} has {saved} variables there, {len(module.variables)} here")


def _unmatched(message: str) -> str:
    """TensorFlow's message on one line, with the names of the variables but not their values."""
    names = re.findall(r"<tf\.Variable '([^']+)'", message)
    if names:
        count = re.search(r"Found (\d+) Python objects", message)
        total = int(count[1]) if count else len(names)
        more = f" and {total - len(names)} more" if total > len(names) else ""
        return f"not in it: {', '.join(names)}{more}"
    unresolved = re.search(r"Unresolved object in checkpoint \(root\)\.([^:\s]+)", message)
    if unresolved:
        return f"{unresolved[1]} in it has no place here"
    return " ".join(message.split())[:300].rstrip(".")


def _remove(path: Path) -> None:
    """Removes a checkpoint; a part of it never lies under its name."""
    removing = path.with_name(path.name + ".removing")
    remove(removing)
    path.rename(removing)
    shutil.rmtree(removing)
