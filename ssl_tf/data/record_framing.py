"""The framing of TFRecord files, which shows whether a file is damaged."""

import itertools
import os
import struct
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from ssl_tf.errors import UserError

# Bytes around each record of a file: its length, the checksum of the length and that of the data.
# The reader takes a file that breaks off inside the first 12 of them for complete, so sizes are
# compared as well.
FRAME_BYTES = 16
# Of these the first 12 stand before its data.
DATA_AT = 12
# Records of a file whose checksums tell it from a file of equal size: enough to meet data that was
# made anew, and few, so that a thousand large files on a slow disk cost seconds.
FIRST_RECORDS = 16
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
    frames = [(begin, length) for begin, length, _ in _frames(file)]
    begins, lengths = np.array(frames, np.int64).reshape(-1, 2).T
    return begins, lengths


def first_checksums(file: str) -> bytes:
    """The stored checksums of the data of the first `FIRST_RECORDS` records, four bytes each.

    The data itself is not read. A shorter file has fewer.

    Raises:
        UserError: the file cannot be read, or ends inside one of these records.
    """
    frames = itertools.islice(_frames(file), FIRST_RECORDS)
    return b"".join(checksum for _, _, checksum in frames)


def _frames(file: str) -> Iterator[tuple[int, int, bytes]]:
    """Yields where each record begins, the length of its data, and the checksum of its data.

    Raises:
        UserError: as in `record_lengths`.
    """
    begin, count = 0, 0
    try:
        with open(file, "rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            while begin < size:
                # The next head follows the last checksum: the buffer of the stream has it already.
                stream.seek(begin)
                head = stream.read(8)
                length = struct.unpack("<Q", head)[0] if len(head) == 8 else size
                if begin + FRAME_BYTES + length > size:
                    raise damaged(file, count)
                stream.seek(begin + DATA_AT + length)
                yield begin, length, stream.read(4)
                begin, count = begin + FRAME_BYTES + length, count + 1
    except OSError as error:
        raise UserError(f"cannot read {file}: {error.strerror}") from None


def damaged(file: str, record: int) -> UserError:
    """The error for a file that cannot be read from a given record on."""
    return UserError(
        f"{file} is damaged or truncated at record {record} (counted from 0): "
        "restore the file, or check that it is an uncompressed TFRecord file"
    )
