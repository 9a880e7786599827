"""The base class of annotated sources whose images are files."""

import os
from collections import Counter
from collections.abc import Sequence
from typing import Any

from ssl_tf.data.annotations.annotated_source import AnnotatedSource
from ssl_tf.errors import UserError


class AnnotatedFiles(AnnotatedSource):
    """An annotated source of image files, whose paths `_paths` has by row.

    Raises:
        UserError: a file is listed twice: a part of the images would hold copies of another.
    """

    are_files = True
    _paths: list[str]

    def __init__(self, name: str, ids: Sequence[bytes], *arguments: Any, **options: Any):
        """Takes what `AnnotatedSource` takes, once `_paths` is set."""
        count = Counter(map(os.path.normpath, self._paths))
        twice = [path for path, times in count.items() if times > 1]
        if twice:
            raise UserError(
                f"{name}: {len(twice)} images are listed twice, such as {twice[0]}; list each "
                "once, with all its annotations"
            )
        super().__init__(name, ids, *arguments, **options)

    def _encoded(self, row: int) -> bytes:
        return read_bytes(self._paths[row])

    def _detail(self, row: int) -> bytes:
        return b"%d " % os.path.getsize(self._paths[row]) + super()._detail(row)

    def files(self) -> set[bytes]:
        return {os.fsencode(os.path.realpath(self._paths[row])) for row in self._row_numbers()}


def read_bytes(path: str) -> bytes:
    """The bytes of a file; empty, which no decoder accepts, if it cannot be read."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""
