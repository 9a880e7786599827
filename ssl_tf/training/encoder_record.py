"""The record of the encoder of a directory, so that no later start goes on with another one."""

import os
from pathlib import Path
from typing import Any

from ssl_tf.errors import UserError
from ssl_tf.files import read_json, write_json

ENCODER = "encoder.json"


def recorded_encoder(directory: Path) -> dict[str, Any]:
    """The facts of the encoder of a directory; empty where none is recorded.

    Raises:
        UserError: the record is damaged.
    """
    path = directory / ENCODER
    return read_json(path, dict, "give a new --output") if path.exists() else {}


def place_of(given: str) -> str:
    """What a record says of where an encoder was: without links; empty without an encoder."""
    return os.path.realpath(given) if given else ""


def first_step(directory: Path, given: str) -> int:
    """The step at which a directory began with the encoder that is given now; 0 for another one.

    So that a run that goes on meanwhile gives the same features to all starts.

    Args:
        directory: of the record.
        given: the run, export or file that is given now.

    Raises:
        UserError: the record is damaged.
    """
    record = recorded_encoder(directory)
    return record["step"] if record.get("given") == place_of(given) else 0


def keep_encoder(directory: Path, facts: dict[str, Any]) -> None:
    """Checks that a directory goes on with its encoder, or records that of its first start.

    Args:
        directory: with a lock that this process holds.
        facts: of the encoder: "sha256" of its weights, "origin" in words, and others, of which
            "image_size" must stay, too; "step" of its run and "given", its `place_of`, are for
            `first_step`.

    Raises:
        UserError: the encoder is not that of the first start.
    """
    path, before = directory / ENCODER, recorded_encoder(directory)
    if not before:
        write_json(path, facts)
        return
    if before.get("sha256") != facts["sha256"]:
        raise UserError(
            f"{path}: the features there are of another encoder ({before.get('origin')}), not of "
            f"{facts['origin']}; give that --encoder and --step, or a new --output"
        )
    there, here = before.get("image_size"), facts.get("image_size")
    if None not in (there, here) and there != here:
        raise UserError(
            f"{path}: the features there are of images of {there} pixels, not of {here}; give "
            f"--image_size={there}, or a new --output"
        )
