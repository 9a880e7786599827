"""From encoded bytes to pixels, without letting one bad file end a run."""

import sys
import threading

import numpy as np
import tensorflow as tf

from ssl_tf.errors import UserError
from ssl_tf.views.compilation import branch

# Of files that `decode` reads.
EXTENSIONS = (".jpg", ".jpeg", ".png", ".bmp", ".gif")
# What stands in for an unreadable image until its place in the batch is filled: large enough for
# any crop.
_STAND_IN = (64, 64, 3)
_LISTED = 10


class UnreadableImages:
    """Counts the distinct images that could not be decoded and ends the run beyond a limit.

    Shared by the threads of all input pipelines of a run.
    """

    def __init__(self, limit: int):
        """Args:

        limit: how many distinct images may be unreadable (--max_bad_images).
        """
        self.limit = limit
        self._ids: dict[str, None] = {}
        self._error: UserError | None = None
        self._lock = threading.Lock()

    @property
    def count(self) -> int:
        """Number of distinct unreadable images so far."""
        return len(self._ids)

    def add(self, identity: bytes) -> None:
        """Counts an image, warns on stderr when it is new.

        Raises:
          UserError: more than `limit` images are unreadable.
        """
        name = identity.decode("utf-8", errors="backslashreplace")
        with self._lock:
            if name not in self._ids:
                self._ids[name] = None
                self._warn(name)
            if self.count > self.limit:
                self._fail(
                    f"{self.count} images cannot be decoded (the first: "
                    f"{self._first(3)}), more than "
                    f"--max_bad_images={self.limit}: mend or remove them, or raise the flag"
                )

    def refuse_batch(self) -> None:
        """Ends the run because not one image of a batch could be decoded.

        Raises:
          UserError: always.
        """
        with self._lock:
            self._fail(
                f"no image of a whole batch can be decoded ({self.count} so far, the first: "
                f"{self._first(3)}): check the data and --max_bad_images"
            )

    def refuse(self, message: str) -> None:
        """Ends the run for another reason that lies in the images.

        Raises:
          UserError: always, with the message.
        """
        with self._lock:
            self._fail(message)

    def check(self) -> None:
        """Raises the UserError that ended a pipeline; TensorFlow reports it as an error of its own.

        Raises:
          UserError: `add`, `refuse_batch` or `refuse` has ended the run.
        """
        if self._error is not None:
            raise self._error

    def summary(self) -> str:
        """Returns the count and the first names, to stand at the end of a line; empty when none."""
        if not self._ids:
            return ""
        more = ", ..." if self.count > _LISTED else ""
        return f"; {self.count} unreadable images: {self._first(_LISTED)}{more}"

    def _first(self, count: int) -> str:
        return ", ".join(list(self._ids)[:count])

    def _warn(self, name: str) -> None:
        if self.count <= _LISTED:
            print(f"warning: cannot decode {name}, another image takes its place", file=sys.stderr)
        elif self.count == _LISTED + 1:
            print("warning: further unreadable images are counted, not listed", file=sys.stderr)

    def _fail(self, message: str) -> None:
        self._error = self._error or UserError(message)
        raise self._error


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
    """Returns the record with decoded pixels and "readable", in graph mode.

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
    """Returns the uint8 [H, W, 3] image of encoded bytes; fails where they are no image."""
    image = tf.io.decode_image(encoded, channels=3, expand_animations=False)
    image.set_shape([None, None, 3])
    return image


def read_file(path: tf.Tensor) -> tf.Tensor:
    """Returns the bytes of a file, empty (which no decoder accepts) where it cannot be read."""
    return attempt(tf.io.read_file, path, tf.constant(b""))[0]


def attempt(function, argument: tf.Tensor, otherwise: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns (function(argument), True), or (otherwise, False) where the function fails.

    A graph has no exceptions; a data set can drop its failed elements. So the call is a data set
    of one element, followed by the alternative, of which the first that is left is taken.
    """
    tried = tf.data.Dataset.from_tensors(argument).map(lambda value: (function(value), True))
    fallback = tf.data.Dataset.from_tensors((otherwise, False))
    return tried.ignore_errors().concatenate(fallback).take(1).get_single_element()
