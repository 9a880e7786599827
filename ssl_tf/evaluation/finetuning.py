"""Fine-tuning: trials of rates and decays, the choice, and one look at the test images."""

import dataclasses
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import tensorflow as tf

from ssl_tf.data.labels import read_annotations
from ssl_tf.data.order import Steps
from ssl_tf.data.source import Source
from ssl_tf.errors import UserError
from ssl_tf.evaluation.classification import best, cropped_batches, rate_schedule
from ssl_tf.evaluation.encoder_classifier import (
    EncoderClassifier,
    EncoderFactory,
    build_encoder_classifier,
)
from ssl_tf.evaluation.features import FeatureReader, warn_of_absent_classes
from ssl_tf.evaluation.freezing import digest
from ssl_tf.evaluation.metrics import score_figures
from ssl_tf.networks.precision import policy_scope
from ssl_tf.settings import TuningSettings, flagfiles
from ssl_tf.training import schedules
from ssl_tf.training.callbacks import Diverged, StopOnNaN
from ssl_tf.training.clock import StepClock
from ssl_tf.training.resumption import CHECKPOINTS, fit_to_end, open_training_directory
from ssl_tf.training.run_directory import MetricsFile, write_json
from ssl_tf.training.run_log import RunLog
from ssl_tf.training.stop_signals import StopSignals

_SCORED_AT_ONCE = 250

Trial = tuple[float, float]  # base learning rate, weight decay
Figures = dict[str, float]


@dataclasses.dataclass(frozen=True)
class LabelledImages:
    """What a network is fine-tuned on and judged by; all of the same classes.

    Attributes:
        train: images of the trials.
        test: looked at once, in the end.
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
    """What the fine-tuning came to.

    Attributes:
        figures: on the test images, `score_figures`, in [0, 1].
        train_loss: of the last batch.
        base_learning_rate, weight_decay: of the chosen trial, as they were given.
        trials: of each trial "base_learning_rate", "weight_decay" and "validation", its figures
            there; None where it diverged. Empty without validation images.
        encoder_sha256: of the encoder before fine-tuning.
    """

    figures: dict[str, float]
    train_loss: float
    base_learning_rate: float
    weight_decay: float
    trials: list[dict[str, float | dict[str, float] | None]]
    encoder_sha256: str


def fine_tune(
    new_encoder: EncoderFactory,
    images: LabelledImages,
    image_size: int,
    settings: TuningSettings,
    directory: Path,
    strategy: tf.distribute.Strategy | None = None,
) -> FineTuneResult:
    """Trains encoder and classifier on labels, as often as there are trials, and tests one.

    SGD with Nesterov momentum, cosine decay to 0 without warm-up, random crop and flip, a
    classifier that starts at zero (BYOL C.1, D.3; SimCLR B.5, B.8). Called again after a kill, it
    goes on in the directory: trials that are through are not run again, and the result is that of
    an uninterrupted call. Called after its end, it returns its result.

    Args:
        new_encoder: gives encoders with the weights to start from, one for each trial.
        images: to train on and to look at.
        image_size: side of all images.
        settings: of the trials.
        directory: for checkpoints, metrics and results; made where missing.
        strategy: whose replicas train; None: the one in scope.

    Raises:
        UserError: every trial diverged, a label is outside of the classes, or the directory is that
            of other settings.
        Stopped: a signal asked to stop, and all is saved.
    """
    stage = _Stage(
        new_encoder,
        images,
        image_size,
        settings,
        directory,
        strategy or tf.distribute.get_strategy(),
    )
    return stage.result()


@dataclasses.dataclass(frozen=True)
class _Stage:
    """The arguments of `fine_tune`."""

    new_encoder: EncoderFactory
    images: LabelledImages
    image_size: int
    settings: TuningSettings
    directory: Path
    strategy: tf.distribute.Strategy

    def result(self) -> FineTuneResult:
        encoder = digest(self.new_encoder(False))
        open_training_directory(self.directory, self._identity(encoder))
        path = self.directory / "result.json"
        if path.exists():
            return FineTuneResult(**json.loads(path.read_text()))
        images, trials = self.images, self.settings.trials
        whole = images.whole or images.train
        labels = read_annotations(whole)[1]
        found: list[Figures | None] = []
        with StopSignals() as signals:
            if images.validation is not None:
                for trial in trials:
                    found.append(self._trial(trial, signals))
                    self._forget_all_but_the_best(found)
            chosen = trials[best(found)] if found else trials[0]
            name = "refit" if images.whole is not None else _name(chosen)
            try:
                model, loss = self._train(whole, chosen, name, signals)
            except Diverged as error:
                raise UserError(f"{error.cause}: lower --base_learning_rate") from None
        scores, test_labels = self._scores(model, images.test)
        warn_of_absent_classes(whole, labels, test_labels)
        named = [{"base_learning_rate": rate, "weight_decay": decay} for rate, decay in trials]
        result = FineTuneResult(
            score_figures(scores, test_labels),
            loss,
            *chosen,
            [{**trial, "validation": figures} for trial, figures in zip(named, found)],
            encoder,
        )
        write_json(path, dataclasses.asdict(result))
        return result

    def _identity(self, encoder: str) -> dict[str, str]:
        """All that the result depends on."""
        sources = {
            name: f"{source.name}, {source.size} images"
            for name, source in vars(self.images).items()
            if source is not None
        }
        flags = {f"--{name}": text for name, text in flagfiles.bound(self.settings).items()}
        return {**flags, **sources, "image_size": str(self.image_size), "encoder": encoder}

    def _trial(self, trial: Trial, signals: StopSignals) -> Figures | None:
        """Its validation figures, None where it diverged; looked up where they are known."""
        path = self.directory / _name(trial) / "validation.json"
        if path.exists():
            return json.loads(path.read_text())
        figures = None
        try:
            model, _ = self._train(self.images.train, trial, _name(trial), signals)
            scores, labels = self._scores(model, self.images.validation)
            figures = score_figures(scores, labels) if np.isfinite(scores).all() else None
        except Diverged as error:
            print(f"{_name(trial)}: {error.cause}", file=sys.stderr)
        write_json(path, figures)
        return figures

    def _forget_all_but_the_best(self, found: list[Figures | None]) -> None:
        """Removes checkpoints that nothing will ask for; the best trial's are to be tested."""
        kept = None
        if self.images.whole is None and any(figures is not None for figures in found):
            kept = self.settings.trials[best(found)]
        for trial, _ in zip(self.settings.trials, found):
            if trial != kept:
                shutil.rmtree(self.directory / _name(trial) / CHECKPOINTS, ignore_errors=True)

    def _train(
        self, source: Source, trial: Trial, name: str, signals: StopSignals
    ) -> tuple[EncoderClassifier, float]:
        """The network at the end of its training, and its last loss; goes on where it stopped.

        Raises:
            Diverged: the loss is no number.
        """
        settings, (rate, decay) = self.settings, trial
        batch_size = settings.batch_size
        steps = settings.steps or max(
            1, schedules.total_steps(settings.epochs, source.size, batch_size)
        )
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
        replicas = self.strategy.num_replicas_in_sync

        def batches(start: int) -> tf.data.Dataset:
            def made(context: tf.distribute.InputContext) -> tf.data.Dataset:
                read = Steps(settings.seed, batch_size, start, steps)
                batches = cropped_batches(source, self.image_size, read)
                return batches.rebatch(batch_size // replicas) if replicas > 1 else batches

            return self.strategy.distribute_datasets_from_function(made)

        directory = self.directory / name

        def observers(first: int) -> list[tf.keras.callbacks.Callback]:
            metrics = MetricsFile(directory / "metrics.jsonl", first)
            clock = StepClock(first, batch_size, metrics.last)
            log = RunLog(
                first,
                metrics,
                clock,
                last_step=steps,
                images=source.size,
                batch_size=batch_size,
                every=settings.log_every,
                constants={},
                learning_rate=schedule,
            )
            return [StopOnNaN(first), clock, log]

        directory.mkdir(exist_ok=True)
        logs = fit_to_end(
            model,
            batches,
            directory=directory,
            items={"encoder": model.encoder, "classifier": model.classifier},
            logged=("loss",),
            source=source,
            steps=steps,
            save_every=max(1, round(settings.checkpoint_every * source.size / batch_size)),
            signals=signals,
            observers=observers,
        )
        return model, logs["loss"]

    def _scores(self, model: EncoderClassifier, source: Source) -> tuple[np.ndarray, np.ndarray]:
        """Logits [N, C] of a source's readable images, and their labels."""
        logits = tf.function(lambda images: model(images, training=False))
        how = self.image_size, _SCORED_AT_ONCE
        return FeatureReader(logits, source, *how).read()


def _name(trial: Trial) -> str:
    return "rate_{:g}_decay_{:g}".format(*trial)
