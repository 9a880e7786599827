"""The EXIF orientation by operations of TensorFlow alone, for graphs that leave Python."""

import tensorflow as tf

from ssl_tf.data.orientation import HEAD_BYTES, MARK, TAG

# The head of a TIFF file, by which EXIF begins: byte order, 42, place of the first directory.
_TIFF_HEAD, _TIFF_PLACE = 8, 4
# An entry of a directory: tag, type, count, value. Types of an integer -> their bytes.
_ENTRY, _TYPE, _COUNT, _VALUE = 12, 2, 4, 8
_INTEGERS = {3: 2, 4: 4}
_COUNT_BYTES = 2


def orientation_of(encoded: tf.Tensor) -> tf.Tensor:
    """The EXIF orientation of a file (string scalar): int32 scalar, 1 to 8; 1 without EXIF.

    It is that of `ssl_tf.data.orientation.of`, which asks Pillow, for what the standard allows: one
    unsigned integer of 16 bits, or of 32. EXIF is looked for in the first 64 KiB alone.
    """
    head = tf.cast(tf.io.decode_raw(tf.strings.substr(encoded, 0, HEAD_BYTES), tf.uint8), tf.int64)
    # So that what lies behind the end can be read; it is checked where it could count.
    size, head = tf.size(head, tf.int64), tf.pad(head, [[0, len(MARK) + _TIFF_HEAD]])
    is_mark = tf.reduce_all([head[n : size + n] == byte for n, byte in enumerate(MARK)], axis=0)
    marks = tf.where(is_mark)[:, 0]
    is_jpeg = tf.reduce_all(head[:2] == [0xFF, 0xD8])
    return tf.cond(
        is_jpeg & (tf.size(marks) > 0),
        lambda: _of_exif(head[marks[0] + len(MARK) : size]),
        lambda: 1,
    )


def _of_exif(exif: tf.Tensor) -> tf.Tensor:
    """The orientation in the bytes of EXIF behind its mark, int64 [N]."""
    size = tf.size(exif, tf.int64)
    exif = tf.pad(exif, [[0, _TIFF_HEAD]])
    is_little = tf.reduce_all(exif[:4] == [0x49, 0x49, 42, 0])
    is_big = tf.reduce_all(exif[:4] == [0x4D, 0x4D, 0, 42])

    def number(places: tf.Tensor, count: int) -> tf.Tensor:
        """Numbers of some bytes at places, int64 [...] -> int64 [...]; 0 behind the end."""
        digits = [
            tf.where(places + n < size, tf.gather(exif, tf.minimum(places + n, size)), 0)
            for n in range(count)
        ]
        little = tf.add_n([digit * 256**n for n, digit in enumerate(digits)])
        big = tf.add_n([digit * 256**n for n, digit in enumerate(reversed(digits))])
        return tf.where(is_little, little, big)

    directory = number(tf.constant(_TIFF_PLACE, tf.int64), 4)
    places = directory + _COUNT_BYTES + _ENTRY * tf.range(number(directory, _COUNT_BYTES))
    # Pillow reads up to the first entry that is cut.
    places = tf.boolean_mask(places, places + _ENTRY <= size)
    kinds = number(places + _TYPE, 2)
    known = tf.reduce_any(kinds[:, tf.newaxis] == [*_INTEGERS], axis=1)
    is_turn = (number(places, 2) == TAG) & known & (number(places + _COUNT, 4) == 1)
    values = tf.reduce_sum(
        [
            tf.where(kinds == kind, number(places + _VALUE, length), 0)
            for kind, length in _INTEGERS.items()
        ],
        axis=0,
    )
    found = tf.concat([[1], tf.boolean_mask(values, is_turn)], 0)[-1]
    sound = (is_little | is_big) & (found >= 1) & (found <= 8)
    return tf.where(sound, tf.cast(found, tf.int32), 1)
