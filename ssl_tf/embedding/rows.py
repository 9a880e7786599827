"""The rows of a shard: the readable images of a stretch of the source, with their features."""

import dataclasses
from collections.abc import Iterable, Sequence

import numpy as np

from ssl_tf.data.source import Source
from ssl_tf.data.sources.folder import ImageFolder


@dataclasses.dataclass(frozen=True)
class Rows:
    """Columns of equal length, in the order of the source.

    Attributes:
        index: int64 [n], numbers of the images in the source.
        id: str [n], their ids; bytes that are no UTF-8 are escaped.
        features: float32 or float16 [n, D].
        path: str [n], their files; None if the source is no folder.
        label: int64 [n], or float32 [n, C] of 0 and 1; None without labels.
    """

    index: np.ndarray
    id: np.ndarray
    features: np.ndarray
    path: np.ndarray | None = None
    label: np.ndarray | None = None

    @property
    def single_label(self) -> np.ndarray | None:
        """The label column where an image has one class; else None."""
        return self.label if self.label is not None and self.label.ndim == 1 else None

    def columns(self) -> dict[str, np.ndarray]:
        """Name -> column, without those that are None."""
        found = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {name: column for name, column in found.items() if column is not None}

    def __len__(self) -> int:
        return len(self.index)


def no_rows(source: Source, dimension: int, dtype: str) -> Rows:
    """Rows of no image, with the columns and types that the rows of a source have.

    Args:
        source: of the images.
        dimension: D.
        dtype: of the features.
    """
    label = None
    if source.num_classes:
        label = np.zeros([0, source.num_classes] if source.multi_label else [0])
        label = label.astype(np.float32 if source.multi_label else np.int64)
    return Rows(
        index=np.zeros([0], np.int64),
        id=np.zeros([0], np.str_),
        features=np.zeros([0, dimension], dtype),
        path=np.zeros([0], np.str_) if isinstance(source, ImageFolder) else None,
        label=label,
    )


def joined(parts: Sequence[Rows]) -> Rows:
    """The rows of all parts, in their order; one or more parts with the same columns."""
    columns = [part.columns() for part in parts]
    return Rows(**{name: np.concatenate([c[name] for c in columns]) for name in columns[0]})


def texts(values: Iterable[bytes]) -> np.ndarray:
    """Bytes as text, str [n]; what is no UTF-8 is escaped as in `\\xff`."""
    return np.array([value.decode("utf-8", "backslashreplace") for value in values], np.str_)
