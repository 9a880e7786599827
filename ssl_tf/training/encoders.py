"""The encoder of a run, without the method that trained it."""

from pathlib import Path

import tensorflow as tf

from ssl_tf.errors import SettingsError, UserError
from ssl_tf.networks.encoder import build_encoder
from ssl_tf.networks.heads import build_dense_head
from ssl_tf.networks.resnet import feature_dim
from ssl_tf.settings import PretrainSettings
from ssl_tf.settings.methods import ProjectorFlags
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


def load_dense_head(directory: Path, settings: PretrainSettings, step: int) -> tf.keras.Model:
    """The dense head of a DenseCL run: the last map [N, H, W, D] to what it compares.

    Args:
        directory: of the run.
        settings: of the run.
        step: of the checkpoint, as `load_encoder` returned it.

    Raises:
        SettingsError: the run has another method.
    """
    model = settings.model
    if model.method != "densecl":
        raise SettingsError(
            f"--layers=dense_keys: {directory} is a run of --method={model.method}; only densecl "
            "has a dense head"
        )
    flags = model.flags[ProjectorFlags]
    channels = feature_dim(model.depth, model.width)
    head = build_dense_head(channels, flags.projector_hidden, flags.projection)
    checkpoints = Checkpoints(directory / CHECKPOINTS, keep=1, dense_projector=head)
    checkpoints.restore(step, partial=True)
    return head
