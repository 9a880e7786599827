"""The framing of TFRecord files, which shows whether a file is damaged."""

import os
import struct

import numpy as np
import tensorflow as tf

from ssl_tf.errors import UserError

# Bytes around each record of a file: its length, the checksum of the length and that of the data.
# The reader takes a file that breaks off inside the first 12 of them for complete, so sizes are
# compared as well.
FRAME_BYTES = 16
# Of these the first 12 stand before its data.
DATA_AT = 12
# What TensorFlow raises for a record that is no tf.train.Example, or one of other fields. The
# second, because its message quotes the record, whose bytes need not be text.
UNPARSED = (tf.errors.InvalidArgumentError, UnicodeDecodeError)


def count_records(file: str) -> int:
    """The number of records in a TFRecord file, counted by reading it through.

    Raises:
        UserError: the file cannot be read or is damaged; the message names the record.
    """
    count, length = 0, 0
    try:
        for record in tf.data.TFRecordDataset(file):
            count += 1
            length += len(record.numpy()) + FRAME_BYTES
    except tf.errors.DataLossError:
        raise damaged(file, count) from None
    except tf.errors.OpError as error:
        raise UserError(f"cannot read {file}: {error.message}") from None
    if length != tf.io.gfile.stat(file).length:
        raise damaged(file, count)
    return count


def record_lengths(file: str) -> tuple[np.ndarray, np.ndarray]:
    """Where the records of a TFRecord file begin, and the lengths of their data, in bytes.

    Only the lengths are read, not the data.

    Raises:
        UserError: the file cannot be read, or ends inside a record.
    """
    begins, lengths, begin = [], [], 0
    try:
        with open(file, "rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            while begin < size:
                stream.seek(begin)
                head = stream.read(8)
                length = struct.unpack("<Q", head)[0] if len(head) == 8 else size
                if begin + FRAME_BYTES + length > size:
                    raise damaged(file, len(begins))
                begins.append(begin)
                lengths.append(length)
                begin += FRAME_BYTES + length
    except OSError as error:
        raise UserError(f"cannot read {file}: {error.strerror}") from None
    return np.array(begins, np.int64), np.array(lengths, np.int64)


def damaged(file: str, record: int) -> UserError:
    """The error for a file that cannot be read from a given record on."""
    return UserError(
        f"{file} is damaged or truncated at record {record} (counted from 0): "
        "restore the file, or check that it is an uncompressed TFRecord file"
    )
