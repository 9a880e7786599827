"""Rows as a Parquet file."""

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ssl_tf.embedding.rows import Rows
from ssl_tf.files import replacing

_TYPES = {
    "float16": pa.float16(),
    "float32": pa.float32(),
    "int64": pa.int64(),
}


def write_parquet(path: Path, rows: Rows) -> None:
    """Writes one column for each of the rows'; features and several labels are lists of fixed size.

    Texts are strings. The bytes of the file are a function of the rows.
    """
    table = pa.table({name: _column(values) for name, values in rows.columns().items()})
    content = io.BytesIO()
    # Dictionaries are for values that repeat; features do not.
    pq.write_table(table, content, use_dictionary=False)
    with replacing(path, shared=True) as temporary:
        temporary.write_bytes(content.getbuffer())


def read_parquet(path: Path, layout: Rows) -> Rows:
    """The rows of a file that `write_parquet` wrote.

    Args:
        path: of the file.
        layout: rows with the same columns and types, of any number.
    """
    table = pq.read_table(path)
    columns = {}
    for name, like in layout.columns().items():
        column = table.column(name).combine_chunks()
        if like.ndim == 2:
            values = column.flatten().to_numpy(zero_copy_only=False)
            columns[name] = values.reshape(len(table), like.shape[1])
        elif like.dtype.kind == "U":
            columns[name] = np.array(column.to_pylist(), np.str_)
        else:
            columns[name] = column.to_numpy(zero_copy_only=False)
    return Rows(**columns)


def _column(values: np.ndarray) -> pa.Array:
    if values.dtype.kind == "U":
        return pa.array(values.tolist(), pa.string())
    kind = _TYPES[values.dtype.name]
    flat = pa.array(values.reshape(-1), kind)
    return flat if values.ndim == 1 else pa.FixedSizeListArray.from_arrays(flat, values.shape[1])
