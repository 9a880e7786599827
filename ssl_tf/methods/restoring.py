"""What a run left behind: its checkpoints, bound to a method or to an encoder alone."""

from pathlib import Path

import tensorflow as tf

from ssl_tf.errors import UserError
from ssl_tf.methods.base import Method
from ssl_tf.methods.blueprint import build_encoder
from ssl_tf.settings import PretrainSettings
from ssl_tf.training.checkpoints import Checkpoints
from ssl_tf.training.run_directory import read_settings

CHECKPOINTS = "checkpoints"


def run_checkpoints(directory: Path, method: Method, keep: int) -> Checkpoints:
    """All that a run needs to go on: networks, optimizer and state."""
    items = {"optimizer": method.optimizer, **method.networks, **method.state}
    return Checkpoints(directory / CHECKPOINTS, keep, **items)


def load_encoder(directory: Path, step: int = 0) -> tuple[tf.keras.Model, PretrainSettings, int]:
    """The encoder of one of a run's checkpoints, the run's settings, and the checkpoint's step.

    Args:
        directory: of the run.
        step: of the checkpoint; 0 is the newest.

    Raises:
        UserError: the directory holds no run, no checkpoint yet, or not that of the step.
    """
    settings = read_settings(directory)
    encoder = build_encoder(settings.model, settings.run.seed)
    checkpoints = Checkpoints(directory / CHECKPOINTS, keep=1, encoder=encoder)
    steps = checkpoints.steps()
    if not steps:
        raise UserError(
            f"{directory} has no checkpoint yet; the run writes its first after --checkpoint_every "
            "epochs"
        )
    if step and step not in steps:
        raise UserError(
            f"{directory} has no checkpoint of --step={step}; "
            f"there are {', '.join(map(str, steps))}"
        )
    step = step or steps[-1]
    checkpoints.restore(step)
    return encoder, settings, step
