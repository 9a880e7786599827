"""What errors of TensorFlow say of the images that were read when they came."""

from typing import Protocol

import tensorflow as tf

from ssl_tf.data.unreadable import UnreadableImages
from ssl_tf.errors import UserError

# Operations that decode without a guard, because these images have been decoded before.
_DECODERS = ("DecodeImage", "DecodeJpeg", "ExtractJpegShape")


class ReadSource(Protocol):
    """What is asked of a source.

    Attributes:
        name: of the source.
        unreadable: its unreadable images.
    """

    name: str
    unreadable: UnreadableImages

    def verify(self) -> None: ...


def check_data(error: tf.errors.OpError, source: ReadSource) -> None:
    """Does nothing if an error has another cause than the images.

    Args:
        error: that came while images were read.
        source: of the images; it names the file and the record, of which a graph error says little.

    Raises:
        UserError: too many images are unreadable, or the stored data is damaged or gone.
    """
    source.unreadable.check()
    source.verify()
    told = error.message.splitlines()[0] if error.message else ""
    if isinstance(error, tf.errors.InvalidArgumentError) and any(
        name in error.message for name in _DECODERS
    ):
        raise UserError(
            f"{source.name}: an image was damaged while the run went on; the same command goes on "
            "from the newest checkpoint, and names it"
        ) from None
    if isinstance(error, (tf.errors.DataLossError, tf.errors.NotFoundError)):
        raise UserError(f"{source.name} cannot be read any more: {told}") from None
