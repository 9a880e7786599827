"""The training of one network on annotated images: resumed after a kill, evaluated on the way."""

import abc
import dataclasses
import functools
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import tensorflow as tf

from ssl_tf.data.annotations.annotated_source import AnnotatedSource
from ssl_tf.data.order import Steps
from ssl_tf.downstream.downstream_model import (
    DownstreamModel,
    compile_model,
    freeze,
    make_schedule,
)
from ssl_tf.downstream.starting_encoders import StartingEncoder
from ssl_tf.errors import UserError
from ssl_tf.files import read_json, write_json
from ssl_tf.networks.digest import weights_digest
from ssl_tf.networks.precision import policy_scope
from ssl_tf.settings import DownstreamSettings, fields
from ssl_tf.training.callbacks import Diverged, StepCallback
from ssl_tf.training.environment import note_environment
from ssl_tf.training.logged_fit import fit_logged
from ssl_tf.training.report_entries import UNREADABLE
from ssl_tf.training.resumption import forget_test, training_directory
from ssl_tf.training.run_log import RunLog
from ssl_tf.training.stop_signals import StopSignals

RESULT = "result.json"
PICTURE = "predictions.png"


class Task(abc.ABC):
    """What is learned from annotated images: the network, its batches, how it is judged.

    Attributes:
        network_name: of what is trained, "segmenter" or "detector", and of its export.
        train: images to learn from.
        test: images to report on.
        settings: of the training.
    """

    network_name: ClassVar[str]

    train: AnnotatedSource
    test: AnnotatedSource
    settings: DownstreamSettings

    @property
    @abc.abstractmethod
    def identity(self) -> dict[str, str]:
        """What the result depends on beside encoder, images and training settings, by name."""

    @abc.abstractmethod
    def build(self, encoder: tf.keras.Model, synchronized: bool) -> DownstreamModel:
        """A network on an encoder; called in the scope of strategy and precision.

        Args:
            encoder: with the weights to start from; its frozen layers do not train.
            synchronized: batch statistics are those of all replicas, also of new layers on an
                encoder whose own are frozen.
        """

    @abc.abstractmethod
    def batches(self, steps: Steps) -> tf.data.Dataset:
        """The batches of some steps, a pure function of (seed, step), of static shapes."""

    @abc.abstractmethod
    def evaluate(self, model: DownstreamModel) -> dict[str, Any]:
        """Figures on all images to report on; those that are numbers go into metrics.jsonl.

        The state of the model does not change.

        Raises:
            UserError: no image can be decoded, or a label map is damaged.
        """

    @abc.abstractmethod
    def draw(self, model: DownstreamModel, path: Path) -> Any:
        """Writes the PNG of some images with predictions; returns it, uint8 [H, W, 3].

        None, and no file, if none of these can be decoded.
        """

    @abc.abstractmethod
    def export(self, model: DownstreamModel, directory: Path, origin: str) -> None:
        """Writes a network of one device as a SavedModel, checked by loading.

        Args:
            model: of `build`.
            directory: of the SavedModel; it is complete or absent.
            origin: of the encoder, in words.
        """

    @abc.abstractmethod
    def told(self, figures: Mapping[str, Any]) -> str:
        """The figures of `evaluate` on one line, in percent."""

    @abc.abstractmethod
    def told_network(self, model: DownstreamModel) -> str:
        """The network on one line, for the plan of --dry_run."""

    @abc.abstractmethod
    def activation_floats(self, model: DownstreamModel) -> float:
        """Activations of a training image that backpropagation keeps, in numbers; estimated."""

    @abc.abstractmethod
    def facts(self, model: DownstreamModel) -> dict[str, Any]:
        """What the report says of the task beside images and training."""

    @property
    def remarks(self) -> list[str]:
        """Where the protocol departs from that of the published figures, a sentence each."""
        return []

    def in_directory(self, directory: Path) -> "Task":
        """The same task, whose evaluations may write files into a directory."""
        return self


@dataclasses.dataclass(frozen=True)
class Trained:
    """The end of a training.

    Attributes:
        figures: of `Task.evaluate`.
        loss: of the last batch.
        unreadable: number of images that could not be decoded, those of its evaluation included.
        encoder_sha256: digest of the weights that it started from.
        model: the trained network.
    """

    figures: dict[str, Any]
    loss: float
    unreadable: int
    encoder_sha256: str
    model: DownstreamModel


def train_downstream(
    task: Task, start: StartingEncoder, directory: Path, strategy: tf.distribute.Strategy
) -> Trained:
    """Trains a network from an encoder's weights, and evaluates it at the end.

    A call after a kill resumes in the directory, to the result of an uninterrupted call. A call
    after the end returns the saved figures, or, of other images to report on or other flags of the
    test, makes those alone anew.

    Args:
        task: what is learned.
        start: the encoder.
        directory: of checkpoints, metrics.jsonl, pictures and the result; created if missing.
        strategy: whose replicas train.

    Raises:
        UserError: the training diverged, the data is damaged, or the directory is of another one.
        Stopped: a signal asked to stop; the state is saved.
    """
    task = task.in_directory(directory)
    settings = task.settings
    sha256 = weights_digest(start.weights)
    sources = {"train": task.train, "test": task.test}
    flags = {f"--{name}": text for name, text in fields.result_flags(settings).items()}
    identity = {**flags, **task.identity, "encoder": sha256}
    replaceable = _replaceable(task, directory)
    with training_directory(directory, identity, sources, replaceable=replaceable):
        replicas = strategy.num_replicas_in_sync
        synchronized = settings.batch_norm != "replica" and replicas > 1
        note_environment(
            directory, replicas, settings.batch_norm == "replica" or settings.accumulate > 1
        )
        with strategy.scope(), policy_scope(settings.precision):
            encoder = start.build(synchronized)
            freeze(encoder, settings)
            model = task.build(encoder, synchronized)
            compile_model(model, settings)
        with StopSignals() as signals:
            try:
                loss = _fit(task, model, directory, strategy, signals)
            except Diverged as error:
                raise UserError(
                    f"{error.cause}: lower --learning_rate or lengthen --warmup_steps"
                ) from None
        path, picture = directory / RESULT, directory / PICTURE
        if path.exists():
            result = read_json(path, dict, "remove it, and it is computed again")
        else:
            picture.unlink(missing_ok=True)  # of an earlier step
            result = {**task.evaluate(model), UNREADABLE: task.test.unreadable.count}
            write_json(path, result)
        if not picture.exists():
            task.draw(model, picture)
        return Trained(result, loss, result.pop(UNREADABLE), sha256, model)


def _replaceable(task: Task, directory: Path) -> dict[str, Callable[[], None]]:
    """What moves no weight, as in `training_directory`: the images to report on, and test flags."""
    forget_figures = functools.partial(forget_test, directory / RESULT)

    def forget_export() -> None:
        forget_figures()
        # It answers as the network did in the test.
        shutil.rmtree(directory / task.network_name, ignore_errors=True)

    flags = [name for name in task.identity if name.startswith("--test_")]
    return {"test": forget_figures, **dict.fromkeys(flags, forget_export)}


def _fit(
    task: Task,
    model: DownstreamModel,
    directory: Path,
    strategy: tf.distribute.Strategy,
    signals: StopSignals,
) -> float:
    """Trains to the last step; returns its loss."""
    settings = task.settings

    def looks(start: int, log: RunLog) -> list[StepCallback]:
        return [_Looks(start, task, log, directory)] if settings.evaluate_every else []

    return fit_logged(
        model,
        task.batches,
        strategy=strategy,
        directory=directory,
        items={"encoder": model.encoder, "head": model.head},
        source=task.train,
        steps=Steps(settings.seed, settings.batch_size, 0, settings.steps),
        learning_rate=make_schedule(settings),
        log_every=settings.log_every,
        save_every=settings.save_every,
        signals=signals,
        observers=looks,
    )


class _Looks(StepCallback):
    """Evaluates every so many steps, and draws a picture."""

    def __init__(self, start_step: int, task: Task, log: RunLog, directory: Path):
        super().__init__(start_step)
        self._task = task
        self._log = log
        self._directory = directory

    def on_step(self, step: int, logs: dict[str, float]) -> None:
        settings = self._task.settings
        if not self.passed(settings.evaluate_every) or step == settings.steps:
            return  # the end of the training has its own evaluation
        with self._log.clock.pause("evaluation", settings.evaluate_every):
            figures = self._task.evaluate(self.model)
            picture = self._task.draw(self.model, self._directory / PICTURE)
        self._log.extra.update(
            {name: value for name, value in figures.items() if isinstance(value, float)}
        )
        if picture is not None:
            self._log.write_picture("predictions", picture, step)
