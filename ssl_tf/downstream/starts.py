"""The encoders from which networks of one stage start, and their names in its report."""

import dataclasses

import tensorflow as tf

from ssl_tf.errors import SettingsError
from ssl_tf.evaluation.context import Encoders, open_encoders
from ssl_tf.evaluation.encoder_classifier import EncoderFactory
from ssl_tf.evaluation.freezing import digest
from ssl_tf.networks.encoder import build_encoder
from ssl_tf.settings import EncoderSettings, ModelSettings
from ssl_tf.settings.downstream import StartSettings


@dataclasses.dataclass(frozen=True)
class Starts:
    """The encoders of one stage, all of one network.

    Attributes:
        factories: name -> builds encoders with the weights of one: "trained", "supervised" and
            "random", those that are asked for, in this order.
        model: settings of the network.
        step: of the checkpoint; 0 of a file, or of no encoder.
        facts: entries of the report.
        digests: name -> SHA-256 of the encoder's variables.
    """

    factories: dict[str, EncoderFactory]
    model: ModelSettings
    step: int
    facts: dict[str, object]
    digests: dict[str, str]


def open_starts(settings: StartSettings, seed: int) -> Starts:
    """Loads the encoders that the settings name.

    Args:
        settings: of the start.
        seed: of a random encoder that belongs to no run.

    Raises:
        UserError: a run, checkpoint or file does not exist, or the supervised encoder is of another
            network.
    """
    if not settings.given:
        model = ModelSettings(depth=settings.depth, width=settings.width, stem=settings.stem)
        opened = Encoders({"random": build_encoder(model, seed)}, model, 0, 0)
        facts: dict[str, object] = {}
    else:
        opened = open_encoders(settings)
        facts = {"checkpoint": settings.checkpoint}
        if not settings.checkpoint:
            facts = {"init_encoder": settings.init.init_encoder}
    encoders, model = dict(opened.encoders), opened.model
    if settings.supervised:
        other = open_encoders(
            EncoderSettings(checkpoint=settings.supervised, random_baseline=False)
        )
        if _network(other.model) != _network(model):
            raise SettingsError(
                f"--supervised={settings.supervised}: is {_told(other.model)}, the encoder beside "
                f"it {_told(model)}; give one of the same network"
            )
        encoders["supervised"] = other.encoders["trained"]
        facts["supervised_checkpoint"] = settings.supervised
    named = {n: encoders[n] for n in ("trained", "supervised", "random") if n in encoders}
    starts = dataclasses.replace(opened, encoders=named)
    return Starts(
        {name: starts.encoder_factory(name) for name in named},
        model,
        opened.step,
        {**facts, "depth": model.depth, "width": model.width, "step": opened.step},
        {name: digest(encoder) for name, encoder in named.items()},
    )


def freeze(encoder: tf.keras.Model, stages: int, norm: bool) -> None:
    """Stops the training of the first layers of an encoder, and of its batch normalization.

    Frozen normalization uses its moving statistics and keeps them.

    Args:
        encoder: of `build_resnet`.
        stages: 0: none; 1: the stem; 2: the stem and the first of four stages; and so on.
        norm: freeze the batch normalization of all layers.
    """
    for layer in encoder.layers:
        stage = int(layer.name[5]) + 1 if layer.name.startswith("layer") else 1
        if layer.weights and (stage <= stages or (norm and hasattr(layer, "moving_mean"))):
            layer.trainable = False


def _network(model: ModelSettings) -> tuple[object, ...]:
    return model.depth, model.width, model.stem, model.stride_in_1x1


def _told(model: ModelSettings) -> str:
    depth, width, stem, in_1x1 = _network(model)
    place = ", stride in the 1x1" if in_1x1 else ""
    return f"a ResNet-{depth} of width {width:g} and the {stem} stem{place}"
