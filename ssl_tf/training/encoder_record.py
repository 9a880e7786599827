"""The record of the encoder of a directory, so that no later start goes on with another one."""

from pathlib import Path
from typing import Any

from ssl_tf.errors import UserError
from ssl_tf.files import read_json, write_json

ENCODER = "encoder.json"


def keep_encoder(directory: Path, facts: dict[str, Any]) -> None:
    """Checks that a directory goes on with its encoder, or records that of its first start.

    Args:
        directory: with a lock that this process holds.
        facts: of the encoder: "sha256" of its weights, "origin" in words, and others.

    Raises:
        UserError: the encoder is not that of the first start.
    """
    path = directory / ENCODER
    if not path.exists():
        write_json(path, facts)
        return
    before = read_json(path, dict, "give a new --output")
    if before.get("sha256") != facts["sha256"]:
        raise UserError(
            f"{path}: the features there are of another encoder ({before.get('origin')}), not of "
            f"{facts['origin']}; give that --encoder and --step, or a new --output"
        )
