"""Decoding of images; an unreadable file does not end a run."""

import functools

import numpy as np
import tensorflow as tf

from ssl_tf.data import orientation, unusual
from ssl_tf.data.unreadable import UnreadableImages
from ssl_tf.views.compilation import branch

# Extensions of the files that `decode` reads.
EXTENSIONS = (".jpg", ".jpeg", ".png", ".bmp", ".gif")
# Shape of the black image that replaces an unreadable one until the batch is complete: large enough
# for any crop.
_PLACEHOLDER_SHAPE = (64, 64, 3)


class KnownImages:
    """The images of a source that have been decoded before, by index.

    They need no guard (`attempt`) any more. The guard changes threads, which costs a tenth of the
    time to decode and crop a photograph. The indices are in a table, because one of several workers
    may meet an image in any epoch; it takes 44 bytes an image.
    """

    def __init__(self, all_known: bool = False):
        """Creates the table.

        Args:
            all_known: all images count as decoded before.
        """
        # Anonymous: it lives as long as the graphs that refer to it.
        self._table = tf.lookup.experimental.MutableHashTable(
            tf.int64, tf.int32, default_value=int(all_known), experimental_is_anonymous=True
        )

    def note(self, index: tf.Tensor, readable: tf.Tensor) -> None:
        """Remembers whether an image (index, int64 scalar) could be decoded (bool scalar)."""
        self._table.insert(index, tf.cast(readable, tf.int32))

    def contains(self, index: tf.Tensor) -> tf.Tensor:
        """Whether the image of an index (int64 scalar) has been decoded before: bool scalar."""
        return self._table.lookup(index) > 0


def decode_fast(
    example: dict[str, tf.Tensor],
    unreadable: UnreadableImages,
    known: KnownImages,
    side: int | None = None,
) -> dict[str, tf.Tensor]:
    """The result of `decode`, faster for an image that has been decoded before.

    A known image counts as unreadable if its file cannot be read any more. It ends the pipeline if
    its bytes have been damaged since then.

    Args:
        example: as in `decode`, with "index" (int64 scalar) in addition.
        unreadable: as in `decode`.
        known: the images that have been decoded before; the image is added.
        side: as in `decode`.
    """
    if example["image"].dtype == tf.uint8:
        return _decoded(example, example["image"], tf.shape(example["image"])[:2], True, side)

    @branch
    def decode_unknown(image_id: tf.Tensor, encoded: tf.Tensor, index: tf.Tensor, row: tf.Tensor):
        image, sides, readable, plain = _decode(image_id, encoded, row, unreadable, side)
        known.note(index, readable & plain)
        return image, sides, readable

    @branch
    def decode_known(image_id: tf.Tensor, encoded: tf.Tensor, index: tf.Tensor, row: tf.Tensor):
        return *_pixels(encoded, side), True

    arguments = example["id"], example["image"], example["index"], _row(example)
    is_known = known.contains(example["index"]) & (tf.strings.length(example["image"]) > 0)
    image, sides, readable = tf.cond(
        is_known, lambda: decode_known(*arguments), lambda: decode_unknown(*arguments)
    )
    return _decoded(example, image, sides, readable, side)


def decode(
    example: dict[str, tf.Tensor], unreadable: UnreadableImages, side: int | None = None
) -> dict[str, tf.Tensor]:
    """The example with its image decoded, in graph mode.

    JPEG (also CMYK), PNG, BMP and the first frame of a GIF become RGB. Grey is repeated,
    transparency is dropped (the stored colour stays), and 16 bits are cut to the upper 8. A PNG of
    16 bits that uses the lower 12 alone, as cameras and scanners write it, would become black: it
    counts as unreadable. Pixels stay as they are.

    Args:
        example: has "id" and "image" (encoded bytes), string scalars, where the id may repeat its
            "row", and where the image is to be turned upright its "orientation". An "image" of
            uint8 [H, W, 3] is decoded already.
        unreadable: counts the image if it cannot be decoded.
        side: a JPEG that is longer is decoded at the largest scale of 1/2, 1/4 and 1/8 at which it
            is not, or else at 1/8; that costs a fraction of the time. None: at its own size.

    Returns:
        The example with "image" uint8 [H, W, 3] and "readable" bool scalar; an unreadable image is
        black. With `side` it has "sides" int32 [2], too, the height and width of the image at its
        own size, upright.
    """
    if example["image"].dtype == tf.uint8:
        return _decoded(example, example["image"], tf.shape(example["image"])[:2], True, side)
    image, sides, readable, _ = _decode(
        example["id"], example["image"], _row(example), unreadable, side
    )
    return _decoded(example, image, sides, readable, side)


def _decoded(
    example: dict[str, tf.Tensor],
    image: tf.Tensor,
    sides: tf.Tensor,
    readable: tf.Tensor | bool,
    side: int | None,
) -> dict[str, tf.Tensor]:
    """The example with what is made of it, upright."""
    image.set_shape([None, None, 3])
    if "orientation" in example:
        is_turned = example["orientation"] >= orientation.TRANSPOSED
        sides = tf.where(is_turned, tf.reverse(sides, [0]), sides)
    own_sides = {} if side is None else {"sides": sides}
    readable = tf.convert_to_tensor(readable)
    return {**example, "image": upright(image, example), "readable": readable, **own_sides}


def _row(example: dict[str, tf.Tensor]) -> tf.Tensor:
    """The row of an example, int64 scalar; -1 where it has none."""
    return tf.cast(example.get("row", -1), tf.int64)


def upright(image: tf.Tensor, example: dict[str, tf.Tensor]) -> tf.Tensor:
    """The decoded image of an example, upright if the example has its "orientation"."""
    if "orientation" not in example:
        return image
    return orientation.upright(image, example["orientation"])


def _decode(
    image_id: tf.Tensor,
    encoded: tf.Tensor,
    row: tf.Tensor,
    unreadable: UnreadableImages,
    side: int | None = None,
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
    """The image, its own sides, whether it is readable, and whether `_pixels` alone gives it."""

    def placeholder() -> tf.Tensor:
        def count(
            image_id: bytes | np.ndarray, reason: bytes | np.ndarray, row: np.ndarray
        ) -> bool:
            # Graphs pass bytes, eager calls an array of them.
            name, why = (np.asarray(text, object).item() for text in (image_id, reason))
            unreadable.add(name, why.decode(), int(row))
            return False

        reason, _ = attempt(unusual.refusal, encoded, tf.constant(""))
        counted = tf.numpy_function(count, [image_id, reason, row], tf.bool)
        with tf.control_dependencies([counted]):
            return tf.zeros(_PLACEHOLDER_SHAPE, tf.uint8)

    nothing = tf.zeros([0, 0, 3], tf.uint8), tf.zeros([2], tf.int32), tf.constant(False)
    decoded, readable = attempt(functools.partial(_any_pixels, side=side), encoded, nothing)
    image, sides, plain = decoded
    image = tf.cond(readable, lambda: image, placeholder)
    sides = tf.where(readable, sides, _PLACEHOLDER_SHAPE[:2])
    return image, sides, readable, plain


def image_of(encoded: tf.Tensor) -> tf.Tensor:
    """The image that `decode` makes of encoded bytes, alone; fails if it counts as unreadable.

    Args:
        encoded: string or uint8 [H, W, 3], which is returned.

    Returns:
        uint8 [H, W, 3].
    """
    encoded = tf.convert_to_tensor(encoded)
    return encoded if encoded.dtype == tf.uint8 else _any_pixels(encoded)[0]


def _any_pixels(
    encoded: tf.Tensor, side: int | None = None
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """The image of encoded bytes, its own sides, and whether `_pixels` gives it.

    Fails if they are no image.
    """

    def decode_unusual() -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        image = unusual.decode(encoded)
        return image, tf.shape(image)[:2], unusual.is_plain(encoded)

    # The header tells an unusual file, so all others pay for the comparison of a few bytes, and
    # that only until they are known.
    image, sides, plain = tf.cond(
        unusual.is_unusual(encoded),
        decode_unusual,
        lambda: (*_pixels(encoded, side), tf.constant(True)),
    )
    image.set_shape([None, None, 3])
    sides.set_shape([2])
    plain.set_shape([])
    return image, sides, plain


def pixels(encoded: tf.Tensor) -> tf.Tensor:
    """The uint8 [H, W, 3] image of encoded bytes, or of pixels; fails if they are no image.

    Args:
        encoded: string or uint8 [H, W, 3].
    """
    encoded = tf.convert_to_tensor(encoded)
    return encoded if encoded.dtype == tf.uint8 else _own_size(encoded)


def _pixels(encoded: tf.Tensor, side: int | None) -> tuple[tf.Tensor, tf.Tensor]:
    """The image of encoded bytes, and its own sides, int32 [2]; `side` is as in `decode`."""
    if side is None:
        image = _own_size(encoded)
        return image, tf.shape(image)[:2]

    def longer_jpeg(halvings: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        scales = [
            functools.partial(tf.io.decode_jpeg, encoded, channels=3, ratio=ratio)
            for ratio in (2, 4, 8)
        ]
        return tf.switch_case(halvings - 1, scales), tf.io.extract_jpeg_shape(encoded)[:2]

    halvings = tf.cond(tf.io.is_jpeg(encoded), lambda: _halvings(encoded, side), lambda: 0)
    image, sides = tf.cond(
        halvings > 0, lambda: longer_jpeg(halvings), lambda: _pixels(encoded, None)
    )
    image.set_shape([None, None, 3])
    return image, sides


def _own_size(encoded: tf.Tensor) -> tf.Tensor:
    image = tf.io.decode_image(encoded, channels=3, expand_animations=False)
    image.set_shape([None, None, 3])
    return image


def _halvings(encoded: tf.Tensor, side: int) -> tf.Tensor:
    """How often a JPEG is to be halved, 0 to 3: int32 scalar."""
    longer = tf.reduce_max(tf.io.extract_jpeg_shape(encoded)[:2])
    # The decoder rounds halves up.
    return tf.reduce_sum(tf.cast(longer > [side, 2 * side, 4 * side], tf.int32))


def read_file(path: tf.Tensor) -> tf.Tensor:
    """The bytes of a file; empty, which no decoder accepts, if it cannot be read."""
    return attempt(tf.io.read_file, path, tf.constant(b""))[0]


def attempt(function, argument: tf.Tensor, otherwise) -> tuple:
    """(function(argument), True), or (otherwise, False), of the same structure, if it fails.

    A graph has no exceptions, but a data set can drop the elements that fail. So the call is a data
    set of one element, the alternative follows it, and the first remaining element is taken.
    """
    tried = tf.data.Dataset.from_tensors(argument).map(lambda value: (function(value), True))
    fallback = tf.data.Dataset.from_tensors((otherwise, False))
    return tried.ignore_errors().concatenate(fallback).take(1).get_single_element()
