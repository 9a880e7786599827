"""Rows as a TFRecord file of tf.train.Example."""

from pathlib import Path

import numpy as np
import tensorflow as tf

from ssl_tf.data.record_framing import FRAME_BYTES
from ssl_tf.embedding.rows import Rows, texts
from ssl_tf.files import replacing


def write_records(path: Path, rows: Rows) -> None:
    """Writes one example a row, with a feature for each column.

    Texts are bytes_list, integers int64_list, features and several labels float_list; a feature of
    float16 keeps its value. The bytes of the file are a function of the rows.
    """
    columns = rows.columns()
    with (
        replacing(path, shared=True) as temporary,
        tf.io.TFRecordWriter(str(temporary)) as writer,
    ):
        for number in range(len(rows)):
            values = {name: _feature(column[number]) for name, column in columns.items()}
            example = tf.train.Example(features=tf.train.Features(feature=values))
            writer.write(example.SerializeToString(deterministic=True))


def read_records(path: Path, layout: Rows) -> Rows:
    """The rows of a file that `write_records` wrote.

    Args:
        path: of the file.
        layout: rows with the same columns and types, of any number.

    Raises:
        ValueError: the file is cut short.
    """
    like = layout.columns()
    kinds = {"U": tf.string, "i": tf.int64, "f": tf.float32}
    wanted = {
        name: tf.io.FixedLenFeature(column.shape[1:], kinds[column.dtype.kind])
        for name, column in like.items()
    }
    records = list(tf.data.TFRecordDataset(str(path)).as_numpy_iterator())
    if sum(len(record) + FRAME_BYTES for record in records) != path.stat().st_size:
        raise ValueError("it is cut short")
    parsed = tf.io.parse_example(np.array(records, object), wanted)
    return Rows(
        **{
            name: texts(parsed[name].numpy().tolist())
            if column.dtype.kind == "U"
            else parsed[name].numpy().astype(column.dtype)
            for name, column in like.items()
        }
    )


def _feature(value: np.ndarray) -> tf.train.Feature:
    """One value of a column."""
    if isinstance(value, str):
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value.encode()]))
    values = np.atleast_1d(value)
    if values.dtype.kind == "i":
        return tf.train.Feature(int64_list=tf.train.Int64List(value=values))
    return tf.train.Feature(float_list=tf.train.FloatList(value=values.astype(np.float32)))
