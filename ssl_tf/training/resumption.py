"""A training inside an evaluation: its directory, and its resumption after a kill."""

import contextlib
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path

import tensorflow as tf

from ssl_tf.data.source import Source
from ssl_tf.errors import SettingsError
from ssl_tf.files import UNFINISHED, read_json, write_json
from ssl_tf.locks import LOCK, exclusive
from ssl_tf.settings import DataSettings, fields
from ssl_tf.training.callbacks import SaveCheckpoint
from ssl_tf.training.checkpoints import Checkpoints, check_name
from ssl_tf.training.clock import StepClock
from ssl_tf.training.data_places import DATA
from ssl_tf.training.data_record import check_data, keep_data
from ssl_tf.training.execution import TimedModel
from ssl_tf.training.run_directory import CHECKPOINTS
from ssl_tf.training.stop_signals import StopSignals
from ssl_tf.training.trainer import fit
from ssl_tf.training.unreadable_record import UnreadableRecord

_IDENTITY = "identity.json"
_PLACES = [f"--{name}" for name in fields.place_names(DataSettings)]
_KEEP = 2


@contextlib.contextmanager
def training_directory(
    directory: Path,
    identity: dict[str, str],
    sources: Mapping[str, Source],
    reading: Mapping[str, str] | None = None,
    replaceable: Mapping[str, Callable[[], None]] | None = None,
) -> Iterator[None]:
    """Holds the lock of a training's directory inside the block.

    The directory is created, or reopened if this training created it.

    The images may move, with the flags that say where they are, once a record tells them from
    others.

    Args:
        directory: of the training.
        identity: what the result depends on beside images, by name.
        sources: the images of the training, by their part in it.
        reading: flags by which they are read, name -> value. A directory of an earlier version has
            no record of them, and is taken to be of these.
        replaceable: what of the identity and the sources moves no weight and may change, by name ->
            removes the results that depend on it, before the record of it changes.

    Raises:
        SettingsError: the directory belongs to another training, or to something else.
        UserError: another process trains there, or the images are not those of the first start.
    """
    check_name(directory)
    if directory.exists() and not directory.is_dir():
        raise SettingsError(f"{directory} is a file; move it out of the way")
    with exclusive(directory):
        flags = {f"--{name}": text for name, text in (reading or {}).items()}
        images = {name: f"{source.name}, {source.size} images" for name, source in sources.items()}
        everything = {**flags, **identity, **images}
        movable = {*images, *_PLACES} if (directory / DATA).is_file() else set()
        way_out = f"remove {directory} to train anew"
        recorded = _recorded_identity(directory, way_out)
        saved = everything if recorded is None else {**flags, **recorded}
        moved, differing = _compared(directory, saved, everything, movable, replaceable or {})
        # Nothing changes where the data are refused, too.
        check_data(directory, sources, way_out, replaceable or {})
        for name in differing:
            replaceable[name]()
        if recorded != everything:
            write_json(directory / _IDENTITY, everything)
        keep_data(directory, sources, way_out, replaceable)
        if moved:
            places = ", ".join(everything[name] for name in moved)
            print(f"{directory}: its images are now {places}", file=sys.stderr)
        yield


def forget_test(result: Path) -> None:
    """Removes the figures of other test images, if there are any, so that the test is repeated.

    Args:
        result: their file.
    """
    if result.exists():
        result.unlink()
        print(f"{result.parent}: the test is another, and is repeated", file=sys.stderr)


def _recorded_identity(directory: Path, way_out: str) -> dict[str, str] | None:
    """The identity of the training in a directory; None if it is a new one."""
    path = directory / _IDENTITY
    if path.exists():
        return read_json(path, dict, way_out)
    if {found.name for found in directory.iterdir()} - {LOCK, _IDENTITY + UNFINISHED}:
        raise SettingsError(
            f"{directory} exists and is no training of this stage; move it out of the way"
        )
    return None


def _compared(
    directory: Path,
    saved: dict[str, str],
    identity: dict[str, str],
    movable: Collection[str],
    replaceable: Collection[str],
) -> tuple[list[str], list[str]]:
    """Names of what has moved since an identity was saved, and of what else differs and may.

    Raises:
        SettingsError: something differs that may not.
    """
    differing = [name for name in {**saved, **identity} if saved.get(name) != identity.get(name)]
    # A place that only one of both names is of other data.
    moved = [n for n in differing if n in movable and saved.get(n) and identity.get(n)]
    others = [name for name in differing if name not in moved]
    told = [
        f"{name}={saved.get(name)} there, {identity.get(name)} here"
        for name in others
        if name not in replaceable
    ]
    if told:
        raise SettingsError(
            f"{directory} is of other settings ({', '.join(told)}); give those, or "
            "remove that directory"
        )
    return moved, others


def fit_to_end(
    model: TimedModel,
    batches: Callable[[int], tf.data.Dataset],
    *,
    directory: Path,
    items: dict[str, tf.Module],
    logged: Sequence[str],
    source: Source,
    steps: int,
    save_every: int,
    signals: StopSignals,
    observers: Callable[[int], list[tf.keras.callbacks.Callback]] = lambda start: [],
) -> dict[str, float]:
    """Trains up to a step, from the newest checkpoint if there is one.

    Args:
        model: compiled, with all slots of its optimizer built.
        batches: first of the remaining steps -> their batches.
        directory: parent of the directory of checkpoints.
        items: objects to save in addition to the optimizer, by name.
        logged: names of the logs to return.
        source: of the images in the batches.
        steps: of the whole training, including those of earlier processes.
        save_every: steps between two checkpoints.
        signals: stop signals.
        observers: first step -> further callbacks, called before the one that saves.

    Returns:
        The logs of the last step, whichever process took it.

    Raises:
        UserError: as in `fit`; or the checkpoints do not fit or are damaged.
        Stopped: a signal asked to stop.
    """
    last = LastLogs(logged)
    checkpoints = Checkpoints(
        directory / CHECKPOINTS, _KEEP, optimizer=model.optimizer, logs=last.variable, **items
    )
    start = checkpoints.resume() or 0
    if start:
        print(f"{directory}: resumed from its step {start} of {steps}", file=sys.stderr)
    record = UnreadableRecord(directory, source.unreadable)
    if start < steps:
        observing = observers(start)
        pauses = [callback.pause for callback in observing if isinstance(callback, StepClock)]
        saver = SaveCheckpoint(start, checkpoints, save_every, steps, signals, *pauses)
        callbacks = [*observing, last, record, saver]
        fit(
            model,
            batches(start),
            source=source,
            steps=steps - start,
            callbacks=callbacks,
        )
    return last.values()


class LastLogs(tf.keras.callbacks.Callback):
    """Keeps the logs of the last step in a variable, which a checkpoint can hold."""

    def __init__(self, names: Sequence[str]):
        super().__init__()
        self._names = names
        self.variable = tf.Variable(tf.zeros([len(names)]), trainable=False)

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        self.variable.assign([float(logs[name]) for name in self._names])

    def values(self) -> dict[str, float]:
        return dict(zip(self._names, map(float, self.variable.numpy())))
