"""Files of arrays that are complete or absent, so that every stage can be resumed."""

from pathlib import Path

import numpy as np

from ssl_tf.errors import UserError
from ssl_tf.files import replacing


def shard_path(directory: Path, number: int, suffix: str = ".npz") -> Path:
    return directory / f"{number:06d}{suffix}"


def write_arrays(path: Path, **arrays: np.ndarray) -> None:
    """Writes an uncompressed npz."""
    with replacing(path, shared=True) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)


def write_array(path: Path, values: np.ndarray) -> None:
    """Writes an npy, which can be memory-mapped."""
    with replacing(path, shared=True) as temporary, temporary.open("wb") as file:
        np.save(file, values)


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of an npz.

    Raises:
        UserError: the file is damaged.
    """
    try:
        # Never pickles: an array of objects is refused.
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (ValueError, EOFError, KeyError, OSError) as error:
        raise UserError(f"{path} cannot be read ({error}): remove it, it is recomputed") from None
