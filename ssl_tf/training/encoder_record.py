"""The record of the encoder of a directory, so that no later start goes on with another one."""

from pathlib import Path
from typing import Any

from ssl_tf.errors import UserError
from ssl_tf.files import read_json, write_json

ENCODER = "encoder.json"
_REMEDY = "give a new --output"


def keep_encoder(directory: Path, facts: dict[str, Any]) -> None:
    """Checks that a directory goes on with its encoder, or records that of its first start.

    Args:
        directory: with a lock that this process holds.
        facts: of the encoder: "sha256" of its weights, "origin" in words, "step" of the checkpoint
            where it is of a run, and others.

    Raises:
        UserError: the encoder is not that of the first start.
    """
    path = directory / ENCODER
    if not path.exists():
        write_json(path, facts)
        return
    before = read_json(path, dict, _REMEDY)
    if before.get("sha256") != facts["sha256"]:
        raise UserError(
            f"{path}: the features there are of another encoder ({before.get('origin')}), not of "
            f"{facts['origin']}; give that --encoder and --step, or a new --output"
        )


def recorded_step(directory: Path) -> int:
    """The step of the checkpoint that the first start opened; 0 where no run or none is recorded.

    Raises:
        UserError: the record is damaged.
    """
    path = directory / ENCODER
    return read_json(path, dict, _REMEDY).get("step", 0) if path.exists() else 0
