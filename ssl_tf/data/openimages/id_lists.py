"""The reader of lists of image ids: text, JSON, and the published NumPy dictionaries."""

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from ssl_tf.data.openimages.box_csv import parse_id
from ssl_tf.errors import SettingsError, UserError

_SHOWN = 80


def read_ids(path: Path, flag: str, allow_pickle: bool = False) -> np.ndarray:
    """The distinct ids of a list: uint64 [n], ascending.

    Args:
        path: `.json`, a list of ids or an object whose keys are ids; `.npy`, an array of ids or a
            pickled dictionary whose keys are ids; any other extension, text with one id a line. An
            id may have a folder before it and an extension after it:
            train/0001eeaf4aed83f9.jpg.
        flag: flag that named the file, for messages.
        allow_pickle: unpickle a `.npy` file, which runs any code in it.

    Raises:
        SettingsError: the file is pickled, and `allow_pickle` is False.
        UserError: the file cannot be read, is empty, or has an entry that is no id.
    """
    try:
        if path.suffix == ".npy":
            entries = _read_array(path, flag, allow_pickle)
        elif path.suffix == ".json":
            entries = json.loads(path.read_text(encoding="utf-8-sig"))
        else:
            entries = [
                line for line in path.read_text(encoding="utf-8-sig").split("\n") if line.strip()
            ]
    except OSError as error:
        raise UserError(f"{flag}={path}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{flag}={path} cannot be read: {error}") from None
    if not isinstance(entries, list | dict) or not entries:
        raise UserError(f"{flag}={path} holds no list of ids")
    numbers = []
    for place, entry in enumerate(entries, 1):
        try:
            numbers.append(parse_id(Path(str(entry).strip()).stem))
        except ValueError:
            shown = " ".join(repr(entry).split())[:_SHOWN]
            raise UserError(f"{flag}={path}: entry {place}, {shown}, is no image id") from None
    return np.unique(np.array(numbers, np.uint64))


def _read_array(path: Path, flag: str, allow_pickle: bool) -> list:
    try:
        loaded = np.load(path, allow_pickle=allow_pickle)
    except ValueError as error:
        if "allow_pickle" not in str(error):
            raise
        raise SettingsError(
            f"{flag}={path} holds pickled objects, which can run any code: convert it to JSON, or "
            "give --allow_pickle if you trust where it comes from"
        ) from None
    except (OSError, SettingsError):
        raise
    except Exception as error:  # a pickle may raise anything
        raise UserError(f"{flag}={path} cannot be read: {' '.join(str(error).split())}") from None
    if isinstance(loaded, np.ndarray):
        loaded = loaded.item() if loaded.shape == () else loaded.ravel()
    if not isinstance(loaded, Iterable):
        raise UserError(f"{flag}={path} holds no list of ids")
    return list(loaded)
