"""Fine-tuning: trials of learning rates and weight decays, the choice, and one test."""

import dataclasses
import functools
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from ssl_tf.data.labels import read_annotations, readable_labels
from ssl_tf.data.order import Steps
from ssl_tf.data.source import Source
from ssl_tf.errors import UserError
from ssl_tf.evaluation.classification import (
    best_index,
    check_scores,
    cropped_batches,
    rate_schedule,
    real_batch_size,
    training_steps,
    with_real_batch,
)
from ssl_tf.evaluation.encoder_classifier import (
    EncoderClassifier,
    EncoderFactory,
    build_encoder_classifier,
)
from ssl_tf.evaluation.features import FeatureReader, warn_of_absent_classes
from ssl_tf.evaluation.freezing import digest
from ssl_tf.evaluation.metrics import score_figures
from ssl_tf.files import read_json, write_json
from ssl_tf.networks.precision import policy_scope
from ssl_tf.settings import TuningSettings, fields
from ssl_tf.training import schedules
from ssl_tf.training.callbacks import Diverged
from ssl_tf.training.logged_fit import fit_logged
from ssl_tf.training.resumption import CHECKPOINTS, forget_test, training_directory
from ssl_tf.training.stop_signals import StopSignals

_RECOMPUTED = "remove it, and it is computed again"

Trial = tuple[float, float]  # base learning rate, weight decay
Export = Callable[[EncoderClassifier, Source], None]
Figures = dict[str, float]


@dataclasses.dataclass(frozen=True)
class LabelledImages:
    """The images of a fine-tuning, all of the same classes.

    Attributes:
        train: training images of the trials.
        test: used once, at the end.
        validation: images by which the best trial is chosen; needed for more than one trial.
        whole: train and validation images together, on which the chosen trial is repeated for the
            report; None: the trial itself is reported.
    """

    train: Source
    test: Source
    validation: Source | None = None
    whole: Source | None = None


@dataclasses.dataclass(frozen=True)
class FineTuneResult:
    """The result of a fine-tuning.

    Attributes:
        figures: `score_figures` on the test images, in [0, 1].
        train_loss: loss of the last batch.
        base_learning_rate, weight_decay: of the chosen trial, as in the settings.
        trials: "base_learning_rate", "weight_decay" and "validation" of each trial. The last are
            its figures on the validation images; None if it diverged. Empty without such images.
        encoder_sha256: digest of the encoder before fine-tuning.
        unreadable_images: number of images, so far, that could not be decoded.
    """

    figures: dict[str, float]
    train_loss: float
    base_learning_rate: float
    weight_decay: float
    trials: list[dict[str, float | dict[str, float] | None]]
    encoder_sha256: str
    unreadable_images: int = 0  # 0.1.0 did not keep the number


def report_of(result: FineTuneResult) -> dict[str, Any]:
    """What a report tells of a result: its figures beside the rest."""
    entry = dataclasses.asdict(result)
    return {**entry.pop("figures"), **entry}


@dataclasses.dataclass(frozen=True, kw_only=True)
class FineTuning:
    """Training of encoder and classifier on labels, once a trial, and the test of the best trial.

    By default SGD with Nesterov momentum, cosine decay to 0 without warm-up, random crop and flip,
    and a classifier initialized to zero (BYOL C.1, D.3; SimCLR B.5, B.8).

    Attributes:
        new_encoder: builds encoders with the initial weights, one for each trial.
        images: for training, choice and test.
        image_size: side of all images, in pixels.
        settings: of the trials.
        directory: for checkpoints, metrics and results; created if missing.
        strategy: whose replicas train.
        reading: flags by which the images are read, name -> value; a saved result is only that of
            the same.
        metric: the figure by which a trial is chosen; empty: top-1 or mAP.
        export: called with the network of the result, on one device, float32, and the images that
            it learned from.
    """

    new_encoder: EncoderFactory
    images: LabelledImages
    image_size: int
    settings: TuningSettings
    directory: Path
    strategy: tf.distribute.Strategy = dataclasses.field(default_factory=tf.distribute.get_strategy)
    reading: Mapping[str, str] | None = None
    metric: str = ""
    export: Export | None = None

    def result(self) -> FineTuneResult:
        """Trains and tests, or goes on where a killed process was.

        Finished trials are not repeated, and the result is that of an uninterrupted call. A call
        after the end returns the saved result; with other test images it repeats the test alone.

        Raises:
            UserError: every trial diverged, a label is outside of the classes, or the directory
                belongs to other settings.
            Stopped: a signal asked to stop; the state is saved.
        """
        encoder = digest(self.new_encoder(False))
        identity = self._identity(encoder)
        path = self.directory / "result.json"
        replaceable = {"test": functools.partial(forget_test, path)}
        with training_directory(self.directory, identity, self._sources, self.reading, replaceable):
            result = self._resumed_result(encoder, path)
            if self.export is not None:
                self.export(self._network(result), self._learned)
            return result

    def _resumed_result(self, encoder: str, path: Path) -> FineTuneResult:
        if path.exists():
            return _read_result(path)
        images, trials = self.images, self.settings.trials
        whole = self._learned
        annotations = read_annotations(whole)
        trial_figures: list[Figures | None] = []
        with StopSignals() as signals:
            if images.validation is not None:
                for trial in trials:
                    trial_figures.append(self._trial(trial, signals))
                    self._remove_unused_checkpoints(trial_figures)
            chosen = trials[self._best(trial_figures)] if trial_figures else trials[0]
            try:
                model, loss = self._train(whole, chosen, self._final_name(chosen), signals)
            except Diverged as error:
                raise UserError(f"{error.cause}: lower --base_learning_rate") from None
        scores, test_labels = self._scores(model, images.test)
        check_scores(scores)
        warn_of_absent_classes(whole, readable_labels(whole, *annotations), test_labels)
        trial_settings = [
            {"base_learning_rate": rate, "weight_decay": decay} for rate, decay in trials
        ]
        result = FineTuneResult(
            score_figures(scores, test_labels),
            loss,
            *chosen,
            [
                {**trial, "validation": figures}
                for trial, figures in zip(trial_settings, trial_figures)
            ],
            encoder,
            images.test.unreadable.count,
        )
        write_json(path, dataclasses.asdict(result))
        return result

    def _network(self, result: FineTuneResult) -> EncoderClassifier:
        """The network of a result, from its last checkpoint."""
        chosen = result.base_learning_rate, result.weight_decay
        with StopSignals() as signals:
            trained, _ = self._train(self._learned, chosen, self._final_name(chosen), signals)
        plain = EncoderClassifier(self.new_encoder(False), self._learned.num_classes)
        for name in ("encoder", "classifier"):
            getattr(plain, name).set_weights(getattr(trained, name).get_weights())
        return plain

    def _final_name(self, chosen: Trial) -> str:
        """The directory of the training whose test is the result."""
        return "refit" if self.images.whole is not None else _name(chosen)

    @property
    def _learned(self) -> Source:
        """The images of that training."""
        return self.images.whole or self.images.train

    @property
    def _sources(self) -> dict[str, Source]:
        return {name: x for name, x in vars(self.images).items() if x is not None}

    def _identity(self, encoder: str) -> dict[str, str]:
        """Everything that the result depends on beside images and `reading`, by name."""
        replicas = self.strategy.num_replicas_in_sync
        trial, refit = (
            real_batch_size(self.settings.batch_size, source.size, replicas)
            for source in (self.images.train, self._learned)
        )
        settings = dataclasses.replace(self.settings, batch_size=trial)
        flags = {f"--{name}": text for name, text in fields.result_flags(settings).items()}
        # A refit has more images, and so a larger batch where the flag's is above those of trials.
        if refit != trial:
            flags["batch of the refit"] = str(refit)
        return {**flags, "image_size": str(self.image_size), "encoder": encoder}

    def _trial(self, trial: Trial, signals: StopSignals) -> Figures | None:
        """The validation figures of a trial, from its file if there is one; None if it diverged."""
        path = self.directory / _name(trial) / "validation.json"
        if path.exists():
            return _read_figures(path)
        figures = None
        try:
            model, _ = self._train(self.images.train, trial, _name(trial), signals)
            scores, labels = self._scores(model, self.images.validation)
            figures = score_figures(scores, labels) if np.isfinite(scores).all() else None
        except Diverged as error:
            print(f"{_name(trial)}: {error.cause}", file=sys.stderr)
        write_json(path, figures)
        return figures

    def _best(self, trial_figures: list[Figures | None]) -> int:
        return best_index(trial_figures, self.metric)

    def _remove_unused_checkpoints(self, trial_figures: list[Figures | None]) -> None:
        """Removes the checkpoints that are not needed any more; the best trial is still tested."""
        best = None
        if self.images.whole is None and any(figures is not None for figures in trial_figures):
            best = self.settings.trials[self._best(trial_figures)]
        for trial, _ in zip(self.settings.trials, trial_figures):
            if trial != best:
                shutil.rmtree(self.directory / _name(trial) / CHECKPOINTS, ignore_errors=True)

    def _train(
        self, source: Source, trial: Trial, name: str, signals: StopSignals
    ) -> tuple[EncoderClassifier, float]:
        """The trained network and its last loss; an interrupted training is resumed.

        Raises:
            Diverged: the loss is NaN or infinite.
        """
        replicas = self.strategy.num_replicas_in_sync
        settings, (rate, decay) = with_real_batch(self.settings, source, replicas), trial
        batch_size = settings.batch_size
        steps = settings.steps or training_steps(settings.epochs, source.size, batch_size)
        schedule = rate_schedule(
            rate,
            schedule=settings.schedule,
            drop_epochs=settings.drop_epochs,
            batch_size=batch_size,
            examples=source.size,
            steps=steps,
        )
        if settings.decay_over_rate:
            decay /= schedules.scaled_learning_rate(rate, batch_size)
        with self.strategy.scope(), policy_scope(settings.precision):
            model = build_encoder_classifier(
                self.new_encoder, source.num_classes, settings, schedule, decay, source.size, steps
            )

        directory = self.directory / name
        directory.mkdir(exist_ok=True)
        loss = fit_logged(
            model,
            functools.partial(cropped_batches, source, self.image_size),
            strategy=self.strategy,
            directory=directory,
            items={"encoder": model.encoder, "classifier": model.classifier},
            source=source,
            steps=Steps(settings.seed, batch_size, 0, steps),
            learning_rate=schedule,
            log_every=settings.log_every,
            save_every=max(1, round(settings.checkpoint_every * source.size / batch_size)),
            signals=signals,
        )
        return model, loss

    def _scores(self, model: EncoderClassifier, source: Source) -> tuple[np.ndarray, np.ndarray]:
        """The logits [N, C] of a source's readable images, maybe not finite, and their labels."""
        logits = tf.function(lambda images: model(images, training=False), autograph=False)
        return FeatureReader(logits, source, self.image_size, finite=False).read()


def _read_result(path: Path) -> FineTuneResult:
    """The result in a file.

    Raises:
        UserError: the file is damaged.
    """
    try:
        return FineTuneResult(**read_json(path, dict, _RECOMPUTED))
    except TypeError:
        raise UserError(f"{path} is damaged or of something else; {_RECOMPUTED}") from None


def _read_figures(path: Path) -> Figures | None:
    """The validation figures in a file; None for a trial that diverged.

    Raises:
        UserError: the file is damaged.
    """
    figures = read_json(path, (dict, type(None)), _RECOMPUTED)
    if figures is not None and not (
        figures and all(isinstance(figure, (int, float)) for figure in figures.values())
    ):
        raise UserError(f"{path} is damaged or of something else; {_RECOMPUTED}")
    return figures


def _name(trial: Trial) -> str:
    return "rate_{}_decay_{}".format(*map(_exact, trial))


def _exact(number: float) -> str:
    """Six digits where they are all there is, so that no two numbers have one name."""
    short = f"{number:g}"
    return short if float(short) == number else repr(number)
