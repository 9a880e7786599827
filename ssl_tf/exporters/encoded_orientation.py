"""The EXIF orientation by operations of TensorFlow alone, for graphs that leave Python."""

import tensorflow as tf

from ssl_tf.data.orientation import (
    APP1,
    CHUNK_HEAD,
    CHUNK_SUM,
    HEAD_BYTES,
    LAST,
    MARK,
    MOST_CHUNKS,
    PNG,
    PNG_EXIF,
    PNG_LAST,
    START,
    TAG,
    WITHOUT_SEGMENT,
)

# A marker of JPEG and the length of its segment, in bytes; what is read beyond the end of a file.
_SEGMENT, _ZEROS = 4, bytes(10)
# Markers, and bytes between them, to look at: a file that is damaged shall not take seconds.
_MOST_MARKERS = 4096

# The head of a TIFF file, by which EXIF begins: byte order, 42, place of the first directory.
_TIFF_HEAD, _TIFF_PLACE = 8, 4
# An entry of a directory: tag, type, count, value. Types of an integer -> their bytes.
_ENTRY, _TYPE, _COUNT, _VALUE = 12, 2, 4, 8
_INTEGERS = {3: 2, 4: 4}
_COUNT_BYTES = 2


def orientation_of(encoded: tf.Tensor) -> tf.Tensor:
    """The EXIF orientation of a file (string scalar): int32 scalar, 1 to 8; 1 without EXIF.

    It is that of `ssl_tf.data.orientation.of`, which asks Pillow, for what the standard allows: one
    unsigned integer of 16 bits, or of 32.
    """
    is_jpeg = tf.strings.substr(encoded, 0, len(START)) == START
    is_png = tf.strings.substr(encoded, 0, len(PNG)) == PNG
    place = tf.case(
        [
            (is_jpeg, lambda: _place_in_jpeg(encoded)),
            (is_png, lambda: _place_in_png(encoded)),
        ],
        default=lambda: tf.constant(-1, tf.int64),
    )
    begin = tf.clip_by_value(place, 0, tf.cast(tf.strings.length(encoded), tf.int64))
    exif = tf.strings.substr(encoded, begin, HEAD_BYTES - len(MARK))
    return tf.cond(
        place >= 0,
        lambda: _of_exif(tf.cast(tf.io.decode_raw(exif, tf.uint8), tf.int64)),
        lambda: 1,
    )


def _place_in_jpeg(encoded: tf.Tensor) -> tf.Tensor:
    """Where the EXIF of a JPEG (string scalar) begins behind its mark: int64 scalar; -1 without."""
    size = tf.strings.length(encoded)

    def look(place: tf.Tensor, found: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """One marker, or a byte before the next, which decoders skip."""
        piece = tf.strings.substr(encoded, place, _SEGMENT + len(MARK)) + _ZEROS
        head = tf.cast(tf.io.decode_raw(piece, tf.uint8), tf.int32)
        code, length = head[1], tf.maximum(256 * head[2] + head[3], 2)
        is_marker = (head[0] == 0xFF) & (code != 0xFF) & (code != 0)
        has_segment = tf.reduce_all(code != WITHOUT_SEGMENT)
        step = tf.where(is_marker, tf.where(has_segment, 2 + length, 2), 1)
        is_end = is_marker & tf.reduce_any(code == LAST)
        is_exif = is_marker & (code == APP1) & (length >= 2 + len(MARK))
        is_exif &= tf.strings.substr(piece, _SEGMENT, len(MARK)) == MARK
        found = tf.where(is_exif, place + _SEGMENT + len(MARK), found)
        return tf.where(is_end, size, place + step), found

    _, found = tf.while_loop(
        lambda place, found: (place < size) & (found < 0),
        look,
        [len(START), -1],
        maximum_iterations=_MOST_MARKERS,
    )
    return tf.cast(found, tf.int64)


def _place_in_png(encoded: tf.Tensor) -> tf.Tensor:
    """Where the EXIF of a PNG (string scalar) begins: int64 scalar; -1 without."""
    size = tf.cast(tf.strings.length(encoded), tf.int64)

    def look(place: tf.Tensor, found: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """One chunk."""
        head = tf.strings.substr(encoded, place, CHUNK_HEAD)
        kind = tf.strings.substr(head, 4, 4)
        length = tf.io.decode_raw(head + _ZEROS, tf.uint8)[:4]
        length = tf.reduce_sum(tf.cast(length, tf.int64) * [2**24, 2**16, 2**8, 1])
        # Some writers keep the mark of a JPEG.
        is_marked = tf.strings.substr(encoded, place, CHUNK_HEAD + len(MARK))
        is_marked = tf.strings.substr(is_marked, CHUNK_HEAD, len(MARK)) == MARK
        begin = place + CHUNK_HEAD + tf.where(is_marked, tf.constant(len(MARK), tf.int64), 0)
        found = tf.where(kind == PNG_EXIF, begin, found)
        step = CHUNK_HEAD + length + CHUNK_SUM
        return tf.where(kind == PNG_LAST, size, place + step), found

    _, found = tf.while_loop(
        lambda place, found: (place + CHUNK_HEAD <= size) & (found < 0),
        look,
        [tf.constant(len(PNG), tf.int64), tf.constant(-1, tf.int64)],
        maximum_iterations=MOST_CHUNKS,
    )
    return found


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
