"""The encoder of a run, without the method that trained it."""

from pathlib import Path

import tensorflow as tf

from ssl_tf.errors import UserError
from ssl_tf.networks.encoder import build_encoder
from ssl_tf.settings import PretrainSettings
from ssl_tf.training.checkpoints import Checkpoints
from ssl_tf.training.run_directory import CHECKPOINTS, read_settings


def load_encoder(directory: Path, step: int = 0) -> tuple[tf.keras.Model, PretrainSettings, int]:
    """The encoder of one of a run's checkpoints, the run's settings, and the checkpoint's step.

    Args:
        directory: of the run.
        step: of the checkpoint; 0 is the newest undamaged one.

    Raises:
        UserError: the directory holds no run, no checkpoint yet, or no checkpoint of the step.
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
    step = step or checkpoints.newest()
    checkpoints.restore(step, partial=True)
    return encoder, settings, step
