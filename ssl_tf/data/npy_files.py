"""What a .npy file holds, objects included, read without running anything in it."""

from typing import Any, BinaryIO

import numpy as np

from ssl_tf.pickles import ClosedUnpickler, damage_told, plain

_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def read_npy(path: str) -> Any:
    """The array of a .npy file; where it has no dimension, the object in it.

    `numpy.save` pickles a dictionary into an array of one object. A bare pickle is read, too, as by
    `numpy.load`.

    Returns:
        An array of numbers, text or objects; or a number, text, a dictionary, a list or a tuple of
        such things.

    Raises:
        Refused: the file names something else.
        ValueError: it is damaged.
        OSError: it cannot be read.
    """
    with damage_told(), open(path, "rb") as file:
        if _is_pickled(file):
            value = plain(ClosedUnpickler(file, "number, text or array", "Save it as JSON").load())
        else:
            file.seek(0)
            value = np.load(file, allow_pickle=False)
        return value.item() if isinstance(value, np.ndarray) and not value.shape else value


def _is_pickled(file: BinaryIO) -> bool:
    """Whether what follows in the file is a pickle."""
    try:
        version = np.lib.format.read_magic(file)
    except ValueError:
        file.seek(0)
        return True
    header = _HEADERS.get(version)  # later ones are of records with names beyond Latin letters
    return header is not None and header(file)[2].hasobject
