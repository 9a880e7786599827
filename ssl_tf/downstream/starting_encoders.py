"""The encoders from which a training on annotated images starts, by name."""

import dataclasses
from pathlib import Path

import numpy as np
import tensorflow as tf

from ssl_tf.errors import SettingsError
from ssl_tf.networks.encoder import build_encoder
from ssl_tf.settings import ModelSettings, StartSettings
from ssl_tf.training.encoders import load_encoder
from ssl_tf.weights.loading import load_init_encoder


@dataclasses.dataclass(frozen=True)
class StartingEncoder:
    """The weights of an encoder and its network.

    Attributes:
        name: of its row in the report: "trained", "supervised" or "random".
        model: depth, width and stem.
        weights: of `build_encoder`.
        origin: where they come from, in words.
        step: of the checkpoint; 0 where there is none.
    """

    name: str
    model: ModelSettings
    weights: list[np.ndarray]
    origin: str
    step: int = 0

    def build(self, synchronized: bool) -> tf.keras.Model:
        """A new encoder with these weights, normalized images to features.

        Args:
            synchronized: use the batch statistics of all replicas.
        """
        encoder = build_encoder(self.model, 0, synchronized)
        encoder.set_weights(self.weights)
        return encoder


def open_starting_encoders(settings: StartSettings, seed: int) -> list[StartingEncoder]:
    """The encoders that the settings name: the pre-trained, the supervised, the random one.

    Args:
        settings: name them.
        seed: of a random encoder that belongs to no run.

    Raises:
        SettingsError: the supervised encoder is of another network than the pre-trained one.
        UserError: a run, checkpoint or file does not exist, or is none.
    """
    if settings.is_random:
        return [_random(settings.network, seed)]
    found = []
    if settings.checkpoint:
        run = Path(settings.checkpoint)
        encoder, trained, step = load_encoder(run, settings.step)
        model, seed = trained.model, trained.run.seed
        found.append(
            StartingEncoder("trained", model, encoder.get_weights(), f"step {step} of {run}", step)
        )
    else:
        encoder, model, _ = load_init_encoder(settings.init)
        origin = settings.init.init_encoder
        found.append(StartingEncoder("trained", model, encoder.get_weights(), origin))
    if settings.supervised:
        run = Path(settings.supervised)
        encoder, trained, step = load_encoder(run)
        ours, theirs = model.network, trained.model.network
        if ours != theirs:
            raise SettingsError(
                f"--supervised={run} is a {theirs}, but the pre-trained encoder a {ours}: a table "
                "compares encoders of one network; give a run of it"
            )
        found.append(
            StartingEncoder(
                "supervised", trained.model, encoder.get_weights(), f"step {step} of {run}", step
            )
        )
    if settings.random_baseline:
        found.append(_random(model, seed))
    return found


def _random(model: ModelSettings, seed: int) -> StartingEncoder:
    encoder = build_encoder(model, seed)
    return StartingEncoder("random", model, encoder.get_weights(), f"random, seed {seed}")
