"""From encoded bytes to pixels, without letting one bad file end a run."""

import numpy as np
import tensorflow as tf

from ssl_tf.data.unreadable import UnreadableImages
from ssl_tf.views.compilation import branch

# Of files that `decode` reads.
EXTENSIONS = (".jpg", ".jpeg", ".png", ".bmp", ".gif")
# What stands in for an unreadable image until its place in the batch is filled: large enough for
# any crop.
_STAND_IN = (64, 64, 3)


class KnownImages:
    """The images of a source that have been decoded once, by their index.

    They need no guard (`attempt`) any more, whose cost is that of a tenth of decoding and cropping
    a photograph: it changes threads. A table, because a worker of several meets an image in any
    epoch; it takes 44 bytes an image.
    """

    def __init__(self, all_of_them: bool = False):
        """Args:

        all_of_them: of a source that has been read through.
        """
        # Anonymous: it lives as long as the graphs that hold it.
        self._table = tf.lookup.experimental.MutableHashTable(
            tf.int64, tf.int32, default_value=int(all_of_them), experimental_is_anonymous=True
        )

    def note(self, index: tf.Tensor, readable: tf.Tensor) -> None:
        """Remembers whether an image, by an int64 scalar, could be decoded, a bool scalar."""
        self._table.insert(index, tf.cast(readable, tf.int32))

    def contains(self, index: tf.Tensor) -> tf.Tensor:
        """Whether an int64 scalar is that of an image which could be decoded, bool scalar."""
        return self._table.lookup(index) > 0


def decode_again(
    record: dict[str, tf.Tensor], unreadable: UnreadableImages, known: KnownImages
) -> dict[str, tf.Tensor]:
    """What `decode` returns, sooner for an image that has been decoded before.

    One whose file cannot be read any more is unreadable; one whose bytes are damaged since then
    ends the pipeline.

    Args:
        record: holds "index" (int64), too.
        unreadable: as in `decode`.
        known: is asked about the image, and told of it.
    """

    @branch
    def for_the_first_time(identity: tf.Tensor, encoded: tf.Tensor, index: tf.Tensor):
        decoded = decode({"id": identity, "image": encoded}, unreadable)
        known.note(index, decoded["readable"])
        return decoded["image"], decoded["readable"]

    @branch
    def once_more(identity: tf.Tensor, encoded: tf.Tensor, index: tf.Tensor):
        return pixels(encoded), True

    arguments = record["id"], record["image"], record["index"]
    sure = known.contains(record["index"]) & (tf.strings.length(record["image"]) > 0)
    image, readable = tf.cond(
        sure, lambda: once_more(*arguments), lambda: for_the_first_time(*arguments)
    )
    image.set_shape([None, None, 3])
    return {**record, "image": image, "readable": readable}


def decode(record: dict[str, tf.Tensor], unreadable: UnreadableImages) -> dict[str, tf.Tensor]:
    """The record with decoded pixels and "readable", in graph mode.

    JPEG (CMYK too), PNG, BMP and the first frame of a GIF become 3 channels: grey is repeated,
    transparency dropped (the stored colour stays), 16 bit cut to the upper 8.

    Args:
        record: holds "id" and "image" (encoded bytes), string scalars.
        unreadable: is told the id of an image that cannot be decoded.

    Returns:
        The record with "image" uint8 [H, W, 3] and "readable" bool scalar; an unreadable image is
        black.
    """

    def stand_in() -> tf.Tensor:
        def note(identity: bytes | np.ndarray) -> bool:
            # Graphs hand over bytes, eager calls an array that holds them.
            unreadable.add(np.asarray(identity).item())
            return False

        noted = tf.numpy_function(note, [record["id"]], tf.bool)
        with tf.control_dependencies([noted]):
            return tf.zeros(_STAND_IN, tf.uint8)

    image, readable = attempt(pixels, record["image"], tf.zeros([0, 0, 3], tf.uint8))
    image = tf.cond(readable, lambda: image, stand_in)
    image.set_shape([None, None, 3])
    return {**record, "image": image, "readable": readable}


def pixels(encoded: tf.Tensor) -> tf.Tensor:
    """The uint8 [H, W, 3] image of encoded bytes; fails where they are no image."""
    image = tf.io.decode_image(encoded, channels=3, expand_animations=False)
    image.set_shape([None, None, 3])
    return image


def read_file(path: tf.Tensor) -> tf.Tensor:
    """The bytes of a file, empty (which no decoder accepts) where it cannot be read."""
    return attempt(tf.io.read_file, path, tf.constant(b""))[0]


def attempt(function, argument: tf.Tensor, otherwise: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns (function(argument), True), or (otherwise, False) where the function fails.

    A graph has no exceptions; a data set can drop its failed elements. So the call is a data set
    of one element, followed by the alternative, of which the first that is left is taken.
    """
    tried = tf.data.Dataset.from_tensors(argument).map(lambda value: (function(value), True))
    fallback = tf.data.Dataset.from_tensors((otherwise, False))
    return tried.ignore_errors().concatenate(fallback).take(1).get_single_element()
