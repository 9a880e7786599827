"""The encoder of a run, without the method that trained it."""

import dataclasses
from pathlib import Path
from typing import TypeVar

import tensorflow as tf

from ssl_tf.errors import SettingsError, UserError
from ssl_tf.networks.encoder import build_encoder
from ssl_tf.networks.heads import build_dense_head
from ssl_tf.networks.resnet import feature_dim
from ssl_tf.settings import EmbedSettings, FeatureSettings, PretrainSettings
from ssl_tf.settings.methods import ProjectorFlags
from ssl_tf.training.checkpoints import Checkpoints
from ssl_tf.training.run_directory import CHECKPOINTS, FLAGS, read_settings
from ssl_tf.weights.encoder_images import EncoderImages, exported_images

Settings = TypeVar("Settings", EmbedSettings, FeatureSettings)


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
    step = _known_step(checkpoints, directory, step)
    checkpoints.restore(step, partial=True)
    return encoder, settings, step


def images_of(trained: PretrainSettings) -> EncoderImages:
    """The images that the encoder of a run learned from."""
    return EncoderImages(trained.views.image_size, trained.data.are_upright)


def known_images(encoder: str) -> EncoderImages:
    """The images that an encoder learned from, before it is opened.

    Args:
        encoder: a run, an export or a file in it; of others nothing is known.

    Raises:
        UserError: what tells of them is damaged.
    """
    path = Path(encoder)
    is_run = (path / FLAGS).is_file()
    return images_of(read_settings(path)) if is_run else exported_images(path)


def with_step(settings: Settings) -> Settings:
    """The settings of a run's encoder with the step of its newest checkpoint in the place of 0.

    So that processes that open it one after the other open the same while the run goes on.

    Raises:
        UserError: the run has no checkpoint yet.
    """
    run = Path(settings.encoder)
    is_run = settings.encoder and (run / FLAGS).is_file() and not (run / "saved_model.pb").exists()
    if settings.step or not is_run:
        return settings
    checkpoints = Checkpoints(run / CHECKPOINTS, keep=1)
    return dataclasses.replace(settings, step=_known_step(checkpoints, run, 0))


def _known_step(checkpoints: Checkpoints, directory: Path, step: int) -> int:
    """The step, or that of the newest undamaged checkpoint of a run for 0.

    Raises:
        UserError: there is no checkpoint yet, or none of the step.
    """
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
    return step or checkpoints.newest()


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
