"""Experiment trackers that follow a run, where they are installed (--track)."""

import contextlib
import importlib
import importlib.util
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from ssl_tf.errors import SettingsError, UserError
from ssl_tf.files import write_text

# Takes the step and the figures of a line of metrics.jsonl.
Track = Callable[[int, Mapping[str, float]], None]
# A tracker may try for minutes before it fails; it is then left alone for so many times as long.
_REST = 20
# Name the tracker's run that follows the run of the directory: one that goes on is no second one.
_WANDB_RUN, _MLFLOW_RUN = "wandb_run.txt", "mlflow_run.txt"


def check_tracker(name: str) -> None:
    """Checks that a tracker is installed, without importing it; none has an empty name.

    Raises:
        SettingsError: it is not.
    """
    if not name:
        return
    spec = importlib.util.find_spec(name)
    # A directory of that name, as these packages make them, is no package.
    if spec is None or spec.origin is None:
        raise SettingsError(
            f"--track={name}: the package {name} is not installed; pip install {name}, or leave "
            "the flag out"
        )


@contextlib.contextmanager
def tracked(name: str, directory: Path, flags: Mapping[str, str]) -> Iterator[Track]:
    """Follows a run inside the block; gives the function that takes its figures.

    W&B reads what is written for TensorBoard. MLflow takes the figures, into DIRECTORY/mlflow.db
    unless MLFLOW_TRACKING_URI names another place.

    A tracker that fails later does not end the run: that is told on stderr, and how many lines it
    lacks.

    Args:
        name: "wandb", "mlflow" or empty.
        directory: of the run.
        flags: of the run, name -> value.

    Raises:
        UserError: the tracker does not start.
    """
    stack = contextlib.ExitStack()
    try:
        track = _STARTS[name](stack, directory, flags)
    except Exception as error:  # each tracker has errors of its own
        with contextlib.suppress(Exception):
            stack.close()
        raise UserError(f"--track={name} does not start: {_reason(error)}") from None
    follower = _Follower(name, track)
    try:
        yield follower.track
    finally:
        follower.end(lambda: stack.__exit__(*sys.exc_info()))


class _Follower:
    """Hands the figures to a tracker, whose failures do not reach the run."""

    def __init__(self, name: str, track: Track):
        """
        Args:
            name: of the tracker.
            track: of the tracker; may fail.
        """
        self._name = name
        self._track = track
        self._lost = 0
        self._rests_until = 0.0

    def track(self, step: int, figures: Mapping[str, float]) -> None:
        began = time.monotonic()
        if began < self._rests_until:
            self._lost += 1
            return
        try:
            self._track(step, figures)
        except Exception as error:  # each tracker has errors of its own
            if not self._lost:
                print(
                    f"--track={self._name} fails: {_reason(error)}; the run goes on, and "
                    "metrics.jsonl has the figures",
                    file=sys.stderr,
                )
            self._lost += 1
            failed = time.monotonic()
            self._rests_until = failed + _REST * (failed - began)

    def end(self, close: Callable[[], object]) -> None:
        """Closes the tracker, and tells what it lacks."""
        try:
            close()
        except Exception as error:
            print(f"--track={self._name} does not end: {_reason(error)}", file=sys.stderr)
        if self._lost:
            print(
                f"--track={self._name} lacks {self._lost} lines; metrics.jsonl has them",
                file=sys.stderr,
            )


def _reason(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]


def _start_nothing(stack: contextlib.ExitStack, directory: Path, flags: Mapping) -> Track:
    return lambda step, figures: None


def _start_wandb(stack: contextlib.ExitStack, directory: Path, flags: Mapping) -> Track:
    wandb = importlib.import_module("wandb")
    kept = directory / _WANDB_RUN
    run = wandb.init(
        id=_read_id(kept),
        resume="allow",
        project=os.environ.get("WANDB_PROJECT", "ssl_tf"),
        name=directory.name,
        dir=str(directory),
        config=dict(flags),
        sync_tensorboard=True,
    )
    stack.callback(run.finish)
    write_text(kept, f"{run.id}\n")
    return lambda step, figures: None  # it has them from TensorBoard


def _start_mlflow(stack: contextlib.ExitStack, directory: Path, flags: Mapping) -> Track:
    mlflow = importlib.import_module("mlflow")
    if "MLFLOW_TRACKING_URI" not in os.environ:
        mlflow.set_tracking_uri(f"sqlite:///{(directory / 'mlflow.db').resolve()}")
    kept = directory / _MLFLOW_RUN
    before = _read_id(kept)
    if before:
        stack.enter_context(mlflow.start_run(run_id=before))
    else:
        run = stack.enter_context(mlflow.start_run(run_name=directory.name))
        mlflow.log_params(dict(flags))
        write_text(kept, f"{run.info.run_id}\n")
    return lambda step, figures: mlflow.log_metrics(dict(figures), step=step)


def _read_id(kept: Path) -> str | None:
    """The tracker's name of the run, None if this is its first start."""
    return kept.read_text(encoding="utf-8").strip() if kept.exists() else None


_STARTS = {"": _start_nothing, "wandb": _start_wandb, "mlflow": _start_mlflow}
