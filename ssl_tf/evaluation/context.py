"""The context of an evaluation: the encoders of a run, labelled images and the report."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path

import tensorflow as tf

from ssl_tf.data.labels import check_first_labels
from ssl_tf.data.source import Source
from ssl_tf.data.sources.opening import open_held_out, open_split, open_training_source
from ssl_tf.data.sources.source_checks import (
    check_guesses,
    split_folders,
    warn_of_copies,
    warn_of_originals,
    warn_of_turns,
)
from ssl_tf.errors import SettingsError, UserError, listed, warn
from ssl_tf.evaluation.bootstrap import Interval
from ssl_tf.evaluation.report_names import report_file
from ssl_tf.evaluation.report_protocol import differing, protocol_of
from ssl_tf.files import prepare_output, read_json, write_json
from ssl_tf.networks.encoder import build_encoder
from ssl_tf.settings import DataSettings, EncoderSettings, EvaluationSettings, ModelSettings
from ssl_tf.training.data_record import contents_of
from ssl_tf.training.devices import warn_of_idle_gpus
from ssl_tf.training.encoders import images_of, known_images, load_encoder
from ssl_tf.training.learned_images import entry_of_learned
from ssl_tf.training.report_entries import UNREADABLE
from ssl_tf.training.run_directory import check_owner, read_settings, with_rule_of_run
from ssl_tf.weights.loading import check_file, load_init_encoder

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
    """Encoders of one run, or that of a file.

    Attributes:
        encoders: "trained" and, if asked for, "random"; normalized images to features.
        model: settings of the encoders.
        image_size: side of the images in pixels; that of the run's views by default.
        step: of the checkpoint; 0 of a file.
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
        reports: pattern of the names of such reports, which tables read.
    """

    train: Source
    test: Source
    facts: dict[str, str | int]
    output: Path
    reports: str

    def report(
        self,
        results: dict[str, object],
        remark: str = "the encoder is unchanged",
        unreadable: int = 0,
    ) -> None:
        """Writes the facts and the results, and prints where they are, and what they replace.

        Args:
            results: entries of the report.
            remark: what is said of the encoder.
            unreadable: number of images that earlier processes could not decode.
        """
        unreadable = max(unreadable, self.train.unreadable.count)
        left_out = {UNREADABLE: unreadable} if unreadable else {}
        report = {**self.facts, **left_out, **results}
        told = _replaced(self.output, report)
        if not self.output.match(self.reports):
            told += f" (compare reads {self.reports} of a directory, and not this name)"
        write_json(self.output, report)
        print(f"{remark}; result in {self.output}{told}{self.train.unreadable.summary()}")


def open_encoders(settings: EncoderSettings) -> Encoders:
    """Loads the encoders of a run, or that of a file and a random one beside it.

    Raises:
        UserError: the run, the checkpoint or the file does not exist, or is none.
    """
    warn_of_idle_gpus()
    if settings.checkpoint:
        encoder, trained, step = load_encoder(Path(settings.checkpoint), settings.step)
        model, seed, images = trained.model, trained.run.seed, images_of(trained)
    else:
        encoder, model, images = load_init_encoder(settings.init)
        step, seed = 0, 0
    encoders = {"trained": encoder}
    if settings.random_baseline:
        encoders["random"] = build_encoder(model, seed)
    return Encoders(encoders, model, settings.image_size or images.image_size, step)


def open_context(
    settings: EvaluationSettings, stage: str, validation: int = 0
) -> EvaluationContext:
    """Loads the encoders and opens the images of an evaluation.

    Args:
        settings: of the evaluation.
        stage: name of the report in the run directory, used if --output is empty (see
            `report_file`).
        validation: number of training images that the caller holds out.

    Raises:
        UserError: the run, checkpoint or split does not exist, the report cannot be written, or the
            images have no labels.
    """
    data = settings.data
    if settings.checkpoint:
        run = Path(settings.checkpoint)
        trained = read_settings(run)  # a wrong path is reported before data sets are opened
        data = with_rule_of_run(data, run)
        named = {"checkpoint": str(run)}
    else:
        check_file(settings.init)
        named = {"init_encoder": settings.init.init_encoder}
    if settings.output:
        output = Path(settings.output)
        check_owner(output, [output.parent], settings.checkpoint)
        prepare_output(output)
    train, test = open_labelled(dataclasses.replace(settings, data=data))
    learned = known_images(settings.checkpoint or settings.init.init_encoder)
    for source in (train, test):
        warn_of_turns(source, learned.orient or data.are_upright)
    learned_from = entry_of_learned([settings.checkpoint], test, data, train)
    tested = f"{test.name}, {test.size} images"
    output = Path(settings.output)
    if not settings.output:
        output = report_file(run, stage, data, trained.data, tested)
        prepare_output(output)
    opened = open_encoders(settings)
    model = opened.model
    return EvaluationContext(
        **vars(opened),
        train=train,
        test=test,
        facts={
            **named,
            **({} if settings.checkpoint else model.network_flags),
            "step": opened.step,
            "train": f"{train.name}, {train.size} images",
            "test": tested,
            **contents_of(train, test),
            "image_size": opened.image_size,
            **({"holdout_rule": data.holdout_rule} if data.holdout or validation else {}),
            **learned_from,
        },
        output=output,
        reports=f"{stage.partition('_')[0]}*.json",
    )


def _replaced(path: Path, report: Mapping[str, object]) -> str:
    """Words for how the report in a file differs from the one to come; empty if it does not."""
    if not path.is_file():
        return ""
    try:
        before = read_json(path, dict, "")
    except UserError:
        return ", in the place of a damaged file"
    old, new = ({**_encoder_of(r), **protocol_of(r)} for r in (before, report))
    changed = [f"{name} {old[name] or 'none'}" for name in differing([old, new])]
    return f", in the place of that with {', '.join(changed)}" if changed else ""


def _encoder_of(report: Mapping[str, object]) -> dict[str, str]:
    """What tells the encoder of a report, as far as it does."""
    trained = report.get("trained")
    digest = trained.get("encoder_sha256") if isinstance(trained, dict) else None
    told = {name: report.get(name) for name in ("step", "init_encoder", "seed")}
    told["encoder_sha256"] = str(digest)[:12] if digest else None
    return {name: str(value) for name, value in told.items() if value is not None}


def open_labelled(settings: EvaluationSettings) -> tuple[Source, Source]:
    """The training images, and the test images: held out, of another split or another source.

    Raises:
        UserError: there are no test images, images have no labels or guessed ones, the folders are
            splits and no classes, or the test images have other classes or another number of labels
            each, or are training images.
    """
    data = settings.data
    train, held_out = open_training_source(data)
    folders = split_folders(train, data)
    if folders:
        first = train.class_names[0]
        way_out = (
            f"give --image_folder={data.image_folder}/{first}"
            if data.image_folder
            else f"prepare {first} by itself"
        )
        raise SettingsError(
            f"{folders}, which are no classes; {way_out} and give the other one as "
            "--test_image_folder"
        )
    test = held_out or open_test(settings, train)
    if test is None:
        other = "--test_split" if data.has_splits else "--test_image_folder, --test_tfrecord"
        raise SettingsError(f"no images to report on: give {other} or --holdout=N")
    common = 0 if held_out else train.common_images(test)
    if common:
        raise SettingsError(
            f"{common} images of {test.name} are training images, of {train.name}; give others to "
            "report on, or --holdout=N"
        )
    warn_of_copies(train, test)
    if not held_out:
        warn_of_originals(train, test)
    for source in (train, test):
        check_guesses(source, judged=True)
        if not source.num_classes:
            raise SettingsError(f"{source.name} has no labels; an evaluation needs them")
    if not train.has_classes:
        raise SettingsError(
            f"{train.name}: all images are of one class, so that every guess is right; give images "
            "of two classes or more, a folder a class"
        )
    if test.multi_label != train.multi_label:
        several, one = (train, test) if train.multi_label else (test, train)
        raise SettingsError(
            f"{several.name} has any number of labels an image, {one.name} one, so no figure is of "
            "both; give splits of one data set"
        )
    if test.num_classes > train.num_classes:
        raise SettingsError(
            f"{test.name} has {test.num_classes} classes, {train.name} only {train.num_classes}; "
            "give splits of one data set"
        )
    if bool(train.class_names) != bool(test.class_names):
        _warn_of_numbers(train, test)
    if train.class_names and test.class_names and train.class_names != test.class_names:
        differing = sorted({*train.class_names} ^ {*test.class_names}) or ["in another order"]
        raise SettingsError(
            f"{test.name} has other classes than {train.name} ({', '.join(differing[:5])}), so its "
            "labels mean something else; a class without images is an empty folder"
        )
    # A held-out part has the labels of its whole, and may be spread over all records.
    for source in (train,) if held_out else (train, test):
        check_first_labels(source)
    return train, test


def _warn_of_numbers(train: Source, test: Source) -> None:
    """Says on stderr which number is taken for which class, where one source has no names."""
    named, numbered = (train, test) if train.class_names else (test, train)
    taken = [f"{n} for {name}" for n, name in enumerate(named.class_names)]
    warn(
        f"{numbered.name} has numbers for classes, {named.name} has names; a number is "
        f"taken for its place among the names: {listed(taken)}"
    )


def open_test(settings: EvaluationSettings, train: Source) -> Source | None:
    """The test images of their own source, or of a split; None if there are none.

    Args:
        settings: name the images.
        train: the training images; unreadable images are counted together with theirs.

    Raises:
        UserError: the images do not exist.
    """
    named = {
        name: getattr(settings, f"test_{name}")
        for name in ("image_folder", "tfrecord")
        if getattr(settings, f"test_{name}")
    }
    if not named:
        return open_held_out(settings.data, settings.test_split, train)
    try:
        test = open_split(
            DataSettings(
                **named, orient=settings.data.orient, first_label=settings.data.first_label
            )
        )
    except UserError as error:
        # A source names the flag of the training images.
        name = next(iter(named))
        raise type(error)(str(error).replace(f"--{name}", f"--test_{name}")) from None
    test.count_unreadable_with(train)
    return test


def format_figures(
    figures: dict[str, float], intervals: Mapping[str, Interval] | None = None, **counts: int
) -> str:
    """Figures in percent on one line, each with its 95 % interval if it has one.

    Args:
        figures: name -> figure in [0, 1].
        intervals: name -> its bounds, in [0, 1].
        **counts: fill the placeholders of `TITLES`.
    """
    told = []
    for name, value in figures.items():
        bounds = [f"{100 * bound:.1f}" for bound in (intervals or {}).get(name, ())]
        interval = f" ({' to '.join(bounds)})" if bounds else ""
        told.append(f"{TITLES[name].format(**counts)} {100 * value:.2f}{interval}")
    return "  ".join(told)
