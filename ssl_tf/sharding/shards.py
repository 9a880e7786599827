"""Files of arrays that are complete or absent, so that every stage can be resumed."""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from ssl_tf.errors import UserError
from ssl_tf.files import replacing


def shard_path(directory: Path, number: int, suffix: str = ".npz") -> Path:
    return directory / f"{number:06d}{suffix}"


def write_arrays(path: Path, /, **arrays: np.ndarray) -> None:
    """Writes an uncompressed npz."""
    with replacing(path, shared=True) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)


def write_array(path: Path, values: np.ndarray) -> None:
    """Writes an npy, which can be memory-mapped."""
    with replacing(path, shared=True) as temporary, temporary.open("wb") as file:
        np.save(file, values)


class Arrays(dict[str, np.ndarray]):
    """The arrays of an npz by name; an array that is missing is told as damage of its file."""

    def __init__(self, path: Path, arrays: Mapping[str, np.ndarray]):
        super().__init__(arrays)
        self._path = path

    def __missing__(self, name: str) -> np.ndarray:
        raise UserError(f"{self._path} lacks {name}: remove it, it is recomputed")


def read_arrays(path: Path) -> Arrays:
    """The arrays of an npz.

    Raises:
        UserError: the file is damaged.
    """
    # Never pickles: an array of objects is refused.
    with told(path), np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
        if not all(isinstance(array, np.ndarray) for array in arrays.values()):
            raise ValueError("it holds something else than arrays")
        return Arrays(path, arrays)


def array_names(path: Path) -> set[str]:
    """The names of the arrays of an npz, which are not read.

    Raises:
        UserError: the file is damaged.
    """
    with told(path), np.load(path, allow_pickle=False) as file:
        return set(file.files)


def read_array(path: Path) -> np.ndarray:
    """The array of an npy, memory-mapped.

    Raises:
        UserError: the file is damaged.
    """
    with told(path):
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        if not isinstance(array, np.ndarray):
            raise ValueError("it is no single array")
        return array


@contextlib.contextmanager
def told(path: Path) -> Iterator[None]:
    """Turns what NumPy and SciPy raise at a damaged file, any of many, into one line."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        cause = " ".join(str(error).split())[:200] or type(error).__name__
        raise UserError(f"{path} cannot be read ({cause}): remove it, it is recomputed") from None
