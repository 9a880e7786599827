"""Which images of a training could not be decoded, in a file beside its checkpoints."""

from pathlib import Path

import tensorflow as tf

from ssl_tf.data.unreadable import UnreadableImages
from ssl_tf.errors import UserError
from ssl_tf.files import read_json, write_json

RECORD = "unreadable.json"
_REMEDY = "remove it, and those that are met from here on are counted"


class UnreadableRecord(tf.keras.callbacks.Callback):
    """Writes the unreadable images as they are met, and knows those of earlier processes.

    So a training that was killed reports as many as an uninterrupted one.
    """

    def __init__(self, directory: Path, unreadable: UnreadableImages):
        """
        Args:
            directory: of the training.
            unreadable: of the source of its images.

        Raises:
            UserError: the file is damaged.
        """
        super().__init__()
        self._path = directory / RECORD
        self._unreadable = unreadable
        kept = _read(self._path) if self._path.exists() else []
        unreadable.remember(kept)
        self._written = len(kept)

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        rows = self._unreadable.rows
        if len(rows) > self._written:
            # A name of a file may have any bytes.
            named = [[image_id.decode("utf-8", "surrogateescape"), row] for image_id, row in rows]
            write_json(self._path, named)
            self._written = len(rows)


def _read(path: Path) -> list[tuple[bytes, int]]:
    try:
        return [
            (name.encode("utf-8", "surrogateescape"), int(row))
            for name, row in read_json(path, list, _REMEDY)
        ]
    except (AttributeError, TypeError, ValueError):
        raise UserError(f"{path} is damaged; {_REMEDY}") from None
