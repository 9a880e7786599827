"""The decoding of training as operations of TensorFlow alone, for graphs that leave Python."""

import tensorflow as tf

from ssl_tf.data import orientation, unusual
from ssl_tf.data.decoding import attempt, pixels
from ssl_tf.exporters.encoded_orientation import orientation_of
from ssl_tf.views.evaluation_crop import evaluation_crop

# Where a BMP has its numbers: bytes from the start of the file.
_START, _HEADER, _WIDTH, _HEIGHT, _BITS, _COMPRESSION, _COLOURS = 10, 14, 18, 22, 28, 30, 46
_FILE_HEADER = 14


def readable_crop(
    encoded: tf.Tensor, image_size: int, orient: bool = False
) -> tuple[tf.Tensor, tf.Tensor]:
    """The evaluation crop of an encoded image, in graph mode.

    The image is what `ssl_tf.data.decoding.decode` makes of it, and what training skips is not
    readable here, too. One kind differs: a BMP with a run-length code is not readable.

    Args:
        encoded: string scalar, the bytes of a JPEG, PNG, BMP or GIF.
        image_size: side of the crop, in pixels.
        orient: turn the image upright, as its EXIF orientation says.

    Returns:
        image: uint8 [image_size, image_size, 3]; black if it is not readable.
        readable: bool scalar.
    """
    black = tf.zeros([image_size, image_size, 3], tf.uint8)

    def crop(content: tf.Tensor) -> tf.Tensor:
        image = _decode(content)
        if orient:
            image = orientation.upright(image, orientation_of(content))
        return evaluation_crop(image, image_size)

    return attempt(crop, encoded, black)


def readable_crops(
    encoded: tf.Tensor, image_size: int, orient: bool
) -> tuple[tf.Tensor, tf.Tensor]:
    """`readable_crop` of each of several images.

    Args:
        encoded: string [N].
        image_size, orient: as in `readable_crop`.

    Returns:
        images: uint8 [N, image_size, image_size, 3].
        readable: bool [N].
    """
    return tf.map_fn(
        lambda content: readable_crop(content, image_size, orient),
        encoded,
        fn_output_signature=(
            tf.TensorSpec([image_size, image_size, 3], tf.uint8),
            tf.TensorSpec([], tf.bool),
        ),
    )


def readable_image(encoded: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """An encoded image at its own size, in graph mode.

    Args:
        encoded: as in `readable_crop`.

    Returns:
        image: uint8 [H, W, 3]; one black pixel if it is not readable.
        readable: bool scalar.
    """
    image, readable = attempt(_decode, encoded, tf.zeros([1, 1, 3], tf.uint8))
    image.set_shape([None, None, 3])
    return image, readable


def _decode(encoded: tf.Tensor) -> tf.Tensor:
    """The uint8 [H, W, 3] image of encoded bytes; fails if training would skip them."""

    image = tf.cond(
        unusual.is_unusual(encoded),
        lambda: unusual.decode(encoded, _palette_bmp),
        lambda: pixels(encoded),
    )
    image.set_shape([None, None, 3])
    return image


def _palette_bmp(encoded: tf.Tensor) -> tf.Tensor:
    """A BMP whose pixels are 1, 4 or 8 bits that count in a palette; fails for other files."""

    def number(start: int, kind: tf.DType = tf.int32) -> tf.Tensor:
        return tf.io.decode_raw(tf.strings.substr(encoded, start, kind.size), kind)[0]

    header, width, height = number(_HEADER), number(_WIDTH), number(_HEIGHT)
    bits = tf.cast(number(_BITS, tf.uint16), tf.int32)
    plain = (header >= 40) & (number(_COMPRESSION) == 0) & (width > 0)
    known = plain & tf.reduce_any(bits == [1, 4, 8])
    with tf.control_dependencies([tf.debugging.assert_equal(known, True)]):
        rows = tf.abs(height)
    # A row is filled up to a multiple of 4 bytes.
    row_bytes = (width * bits + 31) // 32 * 4
    packed = tf.io.decode_raw(
        tf.strings.substr(encoded, number(_START), rows * row_bytes), tf.uint8
    )
    packed = tf.reshape(tf.cast(packed, tf.int32), [rows, row_bytes, 1])
    shifts = tf.range(8 - bits, -1, -bits)
    indices = tf.bitwise.right_shift(packed, shifts) % tf.bitwise.left_shift(1, bits)
    indices = tf.reshape(indices, [rows, row_bytes * tf.size(shifts)])[:, :width]
    # A positive height counts from below.
    indices = tf.cond(height > 0, lambda: indices[::-1], lambda: indices)
    return tf.gather(_palette(encoded, header, number(_COLOURS), bits), indices)


def _palette(encoded: tf.Tensor, header: tf.Tensor, count: tf.Tensor, bits: tf.Tensor) -> tf.Tensor:
    """The colours of a BMP, uint8 [256, 3]; black behind those that it has, as in Pillow."""
    count = tf.minimum(tf.where(count > 0, count, tf.bitwise.left_shift(1, bits)), 256)
    content = tf.strings.substr(encoded, _FILE_HEADER + header, 4 * count)
    # Blue, green, red and a byte without a meaning.
    colours = tf.reshape(tf.io.decode_raw(content, tf.uint8), [count, 4])[:, 2::-1]
    return tf.pad(colours, [[0, 256 - count], [0, 0]])
