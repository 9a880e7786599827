"""What an output directory was begun with, opened again by the workers of its stages."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ssl_tf.data.source import Source
from ssl_tf.errors import UserError
from ssl_tf.training.data_places import DATA
from ssl_tf.training.data_record import keep_data
from ssl_tf.training.encoder_record import ENCODER, keep_encoder

# What a user can do who does not want the data of the first start back, for messages.
NEW_OUTPUT = "give a new --output"


def open_begun(
    output: Path,
    part: str,
    open_source: Callable[[], Source],
    open_encoder: Callable[[], Any],
    facts: Sequence[str] = ("sha256", "origin"),
) -> tuple[Source, Any]:
    """The images and the encoder that an output was begun with, in a worker.

    A worker lists the images by itself, maybe hours after the start and on another machine. A shard
    is a range of that list, so that one image more moves images from shard to shard. The images are
    compared once, before the first shard. Nothing is written.

    Args:
        output: whose start has recorded both, and holds its lock.
        part: of the images in the record of the data.
        open_source, open_encoder: open what the settings name, as the start does.
        facts: attributes of the encoder that are compared.

    Returns:
        The images, and the encoder.

    Raises:
        UserError: a record is gone, or the images or the encoder are not those of the first start.
    """
    # A record that is there is complete. Without one, a worker would record what it sees itself.
    for path in (output / DATA, output / ENCODER):
        if not path.is_file():
            raise UserError(
                f"{path} is not there, which tells what this was begun with; let every worker see "
                "--output under its path"
            )
    source = open_source()
    keep_data(output, {part: source}, NEW_OUTPUT)
    encoder = open_encoder()
    keep_encoder(output, {name: getattr(encoder, name) for name in facts})
    return source, encoder
