"""What an evaluation looks at, the encoders of a run and labelled images, and what it reports."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import tensorflow as tf

from ssl_tf.data.source import Source
from ssl_tf.data.sources.opening import open_held_out, open_training_source
from ssl_tf.errors import SettingsError
from ssl_tf.networks.encoder import build_encoder
from ssl_tf.settings import DataSettings, EncoderSettings, EvaluationSettings, ModelSettings
from ssl_tf.training.encoders import load_encoder
from ssl_tf.training.run_directory import read_settings, write_json

# How figures are called in what is printed.
TITLES = {
    "top1": "top-1",
    "top5": "top-5",
    "mean_per_class": "mean per class",
    "map": "mAP",
    "map_batchwise": "mAP within batches of {batch_size}",
}


@dataclasses.dataclass(frozen=True)
class Encoders:
    """Encoders of one run.

    Attributes:
        encoders: "trained" and, where asked for, "random": normalized images to features.
        model: what they are built from.
        image_size: side of the images; where nothing else is asked for, of those of the run.
        step: of the checkpoint.
    """

    encoders: dict[str, tf.keras.Model]
    model: ModelSettings
    image_size: int
    step: int

    def encoder_factory(self, name: str) -> Callable[[bool], tf.keras.Model]:
        """What gives new encoders with the weights of one of these, for training.

        Its argument is whether their batch statistics are those of all replicas.
        """
        weights = self.encoders[name].get_weights()

        def new_encoder(synchronized: bool) -> tf.keras.Model:
            encoder = build_encoder(self.model, 0, synchronized)
            encoder.set_weights(weights)
            return encoder

        return new_encoder


@dataclasses.dataclass(frozen=True)
class EvaluationContext(Encoders):
    """Encoders of one run, and the images by which they are judged.

    Attributes:
        train, test: labelled, with the same classes.
        facts: of all this, for the report.
        output: JSON file for the report.
    """

    train: Source
    test: Source
    facts: dict[str, str | int]
    output: Path

    def report(self, found: dict[str, object], remark: str = "the encoder is unchanged") -> None:
        """Writes the facts and what was found, and tells where."""
        write_json(self.output, {**self.facts, **found})
        print(f"{remark}; result in {self.output}{self.train.unreadable.summary()}")


def open_encoders(settings: EncoderSettings) -> Encoders:
    """Loads the encoders.

    Raises:
        UserError: there is no such run or checkpoint.
    """
    encoder, trained, step = load_encoder(Path(settings.checkpoint), settings.step)
    encoders = {"trained": encoder}
    if settings.random_baseline:
        encoders["random"] = build_encoder(trained.model, trained.run.seed)
    image_size = settings.image_size or trained.views.image_size
    return Encoders(encoders, trained.model, image_size, step)


def open_context(settings: EvaluationSettings, stage: str) -> EvaluationContext:
    """Loads the encoders and opens the images.

    Args:
        settings: which.
        stage: name of the report in the run directory, where --output is empty.

    Raises:
        UserError: there is no such run, checkpoint or split, or it has no labels.
    """
    run = Path(settings.checkpoint)
    read_settings(run)  # a slip in a path is told before data sets are opened
    train, test = open_labelled(settings.data, settings.test_split)
    opened = open_encoders(settings)
    return EvaluationContext(
        **vars(opened),
        train=train,
        test=test,
        facts={
            "checkpoint": str(run),
            "step": opened.step,
            "train": f"{train.name}, {train.size} images",
            "test": f"{test.name}, {test.size} images",
        },
        output=Path(settings.output) if settings.output else run / f"{stage}.json",
    )


def open_labelled(data: DataSettings, test_split: str) -> tuple[Source, Source]:
    """Images to learn from and images to report on: --holdout, or another split.

    Raises:
        UserError: there are none, they have no labels, or not those of one data set.
    """
    train, held_out = open_training_source(data)
    test = held_out or open_held_out(data, test_split, train)
    if test is None:
        raise SettingsError("no images to report on: give --test_split, or --holdout=N")
    for source in (train, test):
        if not source.num_classes:
            raise SettingsError(f"{source.name} has no labels; an evaluation needs them")
    if test.num_classes > train.num_classes:
        raise SettingsError(
            f"{test.name} has {test.num_classes} classes, {train.name} only {train.num_classes}; "
            "give splits of one data set"
        )
    return train, test


def format_figures(figures: dict[str, float], **counts: int) -> str:
    """Figures in percent, on one line; `counts` stand in the titles."""
    return "  ".join(
        f"{TITLES[name].format(**counts)} {100 * value:.2f}" for name, value in figures.items()
    )
