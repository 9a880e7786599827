"""The formats of the table of features: one file a shard, complete or absent.

Each format gives back the rows that it was given, so one can be made from another.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path

from ssl_tf.embedding.parquet_rows import read_parquet, write_parquet
from ssl_tf.embedding.record_rows import read_records, write_records
from ssl_tf.embedding.rows import Rows
from ssl_tf.sharding import shards


@dataclasses.dataclass(frozen=True)
class _Format:
    """How rows are stored.

    Attributes:
        suffix: of the files.
        write: writes rows at a path.
        read: the rows at a path; its second argument are rows with the same columns and types.
    """

    suffix: str
    write: Callable[[Path, Rows], None]
    read: Callable[[Path, Rows], Rows]


def _write_numpy(path: Path, rows: Rows) -> None:
    shards.write_arrays(path, **rows.columns())


def _read_numpy(path: Path, layout: Rows) -> Rows:
    arrays = shards.read_arrays(path)
    return Rows(**{name: arrays[name] for name in layout.columns()})


# In the order in which the report prefers to read them.
_FORMATS = {
    "numpy": _Format(".npz", _write_numpy, _read_numpy),
    "parquet": _Format(".parquet", write_parquet, read_parquet),
    "tfrecord": _Format(".tfrecord", write_records, read_records),
}


def rows_path(output: Path, name: str, number: int) -> Path:
    """The file of a shard in a format, `NAME/NUMBER.SUFFIX` in the output directory."""
    return shards.shard_path(output / name, number, _FORMATS[name].suffix)


def write_rows(output: Path, name: str, number: int, rows: Rows) -> None:
    """Writes the file of a shard in a format."""
    path = rows_path(output, name, number)
    path.parent.mkdir(exist_ok=True)
    _FORMATS[name].write(path, rows)


def stored_format(output: Path, number: int) -> str | None:
    """A format in which a shard is there; None if there is none."""
    return next((name for name in _FORMATS if rows_path(output, name, number).exists()), None)


def read_rows(output: Path, number: int, layout: Rows) -> Rows:
    """The rows of a shard that is there in any format.

    Args:
        output: the output directory.
        number: of the shard.
        layout: rows with the same columns and types, of any number.

    Raises:
        UserError: the file is damaged.
    """
    name = stored_format(output, number)
    path = rows_path(output, name, number)
    with shards.told(path):
        return _FORMATS[name].read(path, layout)
