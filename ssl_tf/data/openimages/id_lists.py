"""The reader of lists of image ids: text, JSON, and the published NumPy dictionaries."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from ssl_tf.data.npy_files import read_npy
from ssl_tf.data.openimages.box_csv import parse_id
from ssl_tf.errors import UserError
from ssl_tf.pickles import Refused

_SHOWN = 80


def read_ids(path: Path, flag: str) -> np.ndarray:
    """The distinct ids of a list: uint64 [n], ascending.

    Args:
        path: `.json`, a list of ids or an object whose keys are ids; `.npy`, an array of ids or a
            pickled dictionary whose keys are ids, in which nothing is run; any other extension,
            text with one id a line. An id may have a folder before it and an extension after it:
            train/0001eeaf4aed83f9.jpg.
        flag: flag that named the file, for messages.

    Raises:
        UserError: the file cannot be read, is empty, or has an entry that is no id.
    """
    try:
        if path.suffix == ".npy":
            entries = _listed(read_npy(str(path)))
        elif path.suffix == ".json":
            entries = json.loads(path.read_text(encoding="utf-8-sig"))
        else:
            entries = [
                line for line in path.read_text(encoding="utf-8-sig").split("\n") if line.strip()
            ]
    except Refused as error:
        raise UserError(f"{flag}={path} {error}") from None
    except OSError as error:
        raise UserError(f"{flag}={path}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        told = " ".join(str(error).split())
        raise UserError(f"{flag}={path} cannot be read: {told}") from None
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


def _listed(content: Any) -> list | None:
    """The values of an array, or the keys of a dictionary; None of anything else."""
    if isinstance(content, np.ndarray):
        return content.ravel().tolist()
    return list(content) if isinstance(content, dict | list | tuple) else None
