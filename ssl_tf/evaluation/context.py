"""The context of an evaluation: the encoders of a run, labelled images and the report."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import tensorflow as tf

from ssl_tf.data.source import Source
from ssl_tf.data.sources.opening import open_held_out, open_training_source
from ssl_tf.errors import SettingsError
from ssl_tf.files import prepare_output, write_json
from ssl_tf.networks.encoder import build_encoder
from ssl_tf.settings import DataSettings, EncoderSettings, EvaluationSettings, ModelSettings
from ssl_tf.training.encoders import load_encoder
from ssl_tf.training.run_directory import read_settings

# Names of figures in printed lines.
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
        encoders: "trained" and, if asked for, "random"; normalized images to features.
        model: settings of the encoders.
        image_size: side of the images in pixels; that of the run's views by default.
        step: of the checkpoint.
    """

    encoders: dict[str, tf.keras.Model]
    model: ModelSettings
    image_size: int
    step: int

    def encoder_factory(self, name: str) -> Callable[[bool], tf.keras.Model]:
        """A function that builds new encoders with the weights of one of these, for training.

        Its argument is whether batch statistics are synchronized over all replicas.
        """
        weights = self.encoders[name].get_weights()

        def new_encoder(synchronized: bool) -> tf.keras.Model:
            encoder = build_encoder(self.model, 0, synchronized)
            encoder.set_weights(weights)
            return encoder

        return new_encoder


@dataclasses.dataclass(frozen=True)
class EvaluationContext(Encoders):
    """Encoders of one run, and the images of the evaluation.

    Attributes:
        train, test: labelled images of the same classes.
        facts: entries of the report that name checkpoint and images.
        output: JSON file of the report.
    """

    train: Source
    test: Source
    facts: dict[str, str | int]
    output: Path

    def report(self, results: dict[str, object], remark: str = "the encoder is unchanged") -> None:
        """Writes the facts and the results, and prints where they are."""
        write_json(self.output, {**self.facts, **results})
        print(f"{remark}; result in {self.output}{self.train.unreadable.summary()}")


def open_encoders(settings: EncoderSettings) -> Encoders:
    """Loads the encoders of a run.

    Raises:
        UserError: the run or the checkpoint does not exist.
    """
    encoder, trained, step = load_encoder(Path(settings.checkpoint), settings.step)
    encoders = {"trained": encoder}
    if settings.random_baseline:
        encoders["random"] = build_encoder(trained.model, trained.run.seed)
    image_size = settings.image_size or trained.views.image_size
    return Encoders(encoders, trained.model, image_size, step)


def open_context(settings: EvaluationSettings, stage: str) -> EvaluationContext:
    """Loads the encoders and opens the images of an evaluation.

    Args:
        settings: of the evaluation.
        stage: name of the report in the run directory, used if --output is empty.

    Raises:
        UserError: the run, checkpoint or split does not exist, the report cannot be written, or the
            images have no labels.
    """
    run = Path(settings.checkpoint)
    read_settings(run)  # a wrong path is reported before data sets are opened
    output = Path(settings.output) if settings.output else run / f"{stage}.json"
    prepare_output(output)
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
        output=output,
    )


def open_labelled(data: DataSettings, test_split: str) -> tuple[Source, Source]:
    """The training images, and the test images from --holdout or another split.

    Raises:
        UserError: there are no test images, images have no labels, or the test images have more
            classes.
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
    """Figures in percent on one line; `counts` fill the placeholders of `TITLES`."""
    return "  ".join(
        f"{TITLES[name].format(**counts)} {100 * value:.2f}" for name, value in figures.items()
    )
