"""Files of arrays that are complete or absent, which is what makes every stage resumable."""

import os
from pathlib import Path

import numpy as np

from ssl_tf.errors import UserError


def shard_path(directory: Path, number: int, suffix: str = ".npz") -> Path:
    return directory / f"{number:06d}{suffix}"


def write_arrays(path: Path, **arrays: np.ndarray) -> None:
    """Writes an uncompressed npz under a temporary name, then renames it."""
    temporary = temporary_name(path)
    with temporary.open("wb") as file:
        np.savez(file, **arrays)
    temporary.replace(path)


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Raises UserError where the file is damaged."""
    try:
        # Never pickles: an array of objects is refused.
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (ValueError, EOFError, KeyError, OSError) as error:
        raise UserError(f"{path} cannot be read ({error}): remove it, it is made anew") from None


def temporary_name(path: Path) -> Path:
    """A name of this process beside the path, so that two workers do not share one."""
    return path.with_name(f"{path.name}.{os.getpid()}.writing")
