"""Experiment trackers that follow a run, where they are installed (--track)."""

import contextlib
import importlib
import importlib.util
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from ssl_tf.errors import SettingsError, UserError

# Takes the step and the figures of a line of metrics.jsonl.
Track = Callable[[int, Mapping[str, float]], None]


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

    Args:
        name: "wandb", "mlflow" or empty.
        directory: of the run.
        flags: of the run, name -> value.

    Raises:
        UserError: the tracker does not start.
    """
    with contextlib.ExitStack() as stack:
        try:
            track = _STARTS[name](stack, directory, flags)
        except Exception as error:  # each tracker has errors of its own
            reason = (str(error) or type(error).__name__).splitlines()[0]
            raise UserError(f"--track={name} does not start: {reason}") from None
        yield track


def _start_nothing(stack: contextlib.ExitStack, directory: Path, flags: Mapping) -> Track:
    return lambda step, figures: None


def _start_wandb(stack: contextlib.ExitStack, directory: Path, flags: Mapping) -> Track:
    wandb = importlib.import_module("wandb")
    run = wandb.init(
        project=os.environ.get("WANDB_PROJECT", "ssl_tf"),
        name=directory.name,
        dir=str(directory),
        config=dict(flags),
        sync_tensorboard=True,
    )
    stack.callback(run.finish)
    return lambda step, figures: None  # it has them from TensorBoard


def _start_mlflow(stack: contextlib.ExitStack, directory: Path, flags: Mapping) -> Track:
    mlflow = importlib.import_module("mlflow")
    if "MLFLOW_TRACKING_URI" not in os.environ:
        mlflow.set_tracking_uri(f"sqlite:///{(directory / 'mlflow.db').resolve()}")
    stack.enter_context(mlflow.start_run(run_name=directory.name))
    mlflow.log_params(dict(flags))
    return lambda step, figures: mlflow.log_metrics(dict(figures), step=step)


_STARTS = {"": _start_nothing, "wandb": _start_wandb, "mlflow": _start_mlflow}
