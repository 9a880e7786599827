"""The directory of a run: flags, versions, metrics. Nothing is written outside it."""

import dataclasses
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ssl_tf.errors import SettingsError, UserError
from ssl_tf.files import UNFINISHED, NotWritten, write_text
from ssl_tf.locks import SUFFIX
from ssl_tf.settings import DataSettings, PretrainSettings, ViewSettings, fields, flagfiles
from ssl_tf.settings.data import with_rule_of
from ssl_tf.settings.flagfile_lines import FLAGS
from ssl_tf.settings.views import with_library_of
from ssl_tf.training import workers
from ssl_tf.training.data_places import DATA, movable
from ssl_tf.training.environment import ENVIRONMENT

CHECKPOINTS = "checkpoints"
COMPUTE = "compute.json"
METRICS = "metrics.jsonl"
# Metrics of the machine. They differ between two runs whose other metrics are equal.
MACHINE_FIGURES = (
    "images_per_second", "input_wait", "train_seconds", "timed_steps", "host_memory_mib",
    "wall_time",
)  # fmt: skip
# Files that a process leaves behind if it is killed while it creates the directory; the first is of
# 0.1.0.
_FIRST_FILES = {
    ENVIRONMENT, ENVIRONMENT + UNFINISHED, FLAGS + UNFINISHED, workers.DIRECTORY,
}  # fmt: skip


def check_run(settings: PretrainSettings) -> bool:
    """Whether the run directory exists already; nothing is written.

    Raises:
        SettingsError: the directory belongs to a run with other flags, or to something else.
    """
    directory = Path(settings.run.run_dir)
    if (directory / FLAGS).exists():
        recorded = read_settings(directory)
        there, here = (
            dataclasses.replace(one, views=with_library_of(recorded.views, one.views))
            for one in (recorded, settings)
        )
        moved = movable([directory / DATA], there, here)
        differing = {
            name: values
            for name, values in fields.result_differences(there, here).items()
            if name not in moved
        }
        if differing:
            listed = ", ".join(
                f"--{n}={old} there, {new} here" for n, (old, new) in differing.items()
            )
            longer = "; to train it further, give --init_from" if "epochs" in differing else ""
            raise SettingsError(
                f"--run_dir={directory} belongs to a run with other flags ({listed}); give another "
                f"--run_dir, or the flags of that run to resume it{longer}"
            )
        return True
    if directory.exists() and (not directory.is_dir() or _names(directory) - _FIRST_FILES):
        raise SettingsError(f"--run_dir={directory} exists and is not a run; give a new directory")
    return False


def open_run(settings: PretrainSettings) -> Path:
    """Creates the run directory, or reopens it if these flags created it.

    Args:
        settings: of the run.

    Raises:
        SettingsError: as in `check_run`.
    """
    directory = Path(settings.run.run_dir)
    if check_run(settings):
        return directory
    directory.mkdir(parents=True, exist_ok=True)
    # This file makes the directory a run.
    flags = directory / FLAGS
    flagfiles.write_flagfile(
        settings, flags, comments=[f"python -m ssl_tf.pretrain --flagfile={flags}"]
    )
    return directory


def read_settings(directory: Path) -> PretrainSettings:
    """The settings of the run in a directory.

    Raises:
        UserError: the directory holds no run.
    """
    flags = directory / FLAGS
    if not flags.is_file():
        run = run_of(directory)
        found = "give the directory of a run"
        if run is not None:
            found = (
                f"that run is {run}, with the encoder as it was pre-trained; finetune --export "
                "writes a fine-tuned one"
            )
        if directory.is_file() or (directory / "saved_model.pb").is_file():
            found += ", or an encoder without its run as --init_encoder"
        raise UserError(f"{directory} is no run directory: it has no {FLAGS}; {found}")
    return flagfiles.read_flagfile(flags, PretrainSettings)


def run_of(start: Path) -> Path | None:
    """The directory of a run, of itself or of one of its checkpoints; None if it is not there."""
    start = start.resolve()
    return next((path for path in (start, *start.parents[:2]) if (path / FLAGS).is_file()), None)


def check_owner(output: Path, places: Sequence[Path], checkpoint: str) -> None:
    """Refuses results in the directory of a run that they are not of: there, they count as its own.

    Args:
        output: as it was given.
        places: that may be the directory of a run.
        checkpoint: the run whose encoder is judged; empty: it is of none.

    Raises:
        SettingsError: one of them is the directory of another run.
    """
    for place in places:
        if (place / FLAGS).is_file() and not (checkpoint and place.samefile(checkpoint)):
            raise SettingsError(
                f"--output={output}: lies in the directory of a run, {place}, whose result it "
                "would be taken for, but is of another encoder; give a path in another directory"
            )


def as_begun(settings: PretrainSettings) -> PretrainSettings:
    """The settings with what the run in their directory, of whatever version, has of its own."""
    directory = Path(settings.run.run_dir)
    return dataclasses.replace(
        settings,
        data=with_rule_of_run(settings.data, directory),
        views=with_library_of_run(settings.views, directory),
    )


def with_rule_of_run(data: DataSettings, directory: Path) -> DataSettings:
    """The data settings with the --holdout_rule of the run in a directory, if there is one."""
    if not (directory / FLAGS).is_file():
        return data
    return with_rule_of(read_settings(directory).data, data)


def with_library_of_run(views: ViewSettings, directory: Path) -> ViewSettings:
    """The view settings with an --image_library, as given, else that of the run in a directory.

    Else that of the recipe.
    """
    is_run = (directory / FLAGS).is_file()
    return with_library_of(read_settings(directory).views if is_run else views, views)


def _names(directory: Path) -> set[str]:
    """The names in a run directory but for locks, of which each worker may hold one."""
    return {path.name for path in directory.iterdir() if path.suffix != SUFFIX}


def is_look(line: Mapping[str, Any]) -> bool:
    """Whether a line of the metrics has figures of the monitors, which all have this one."""
    return "embedding_std" in line


class MetricsFile:
    """`metrics.jsonl`: one JSON object a line, each step at most once.

    Attributes:
        path: of the file.
        last: the last line kept from an earlier process; empty if there is none.
    """

    def __init__(self, path: Path, resumed_step: int):
        """Opens the file and removes the lines after `resumed_step`, whose steps are repeated.

        A run that starts at step 0 writes the line of step 0 again, so no line is kept.
        """
        self.path = path
        lines = self.read(path) if resumed_step else []
        kept = [line for line in lines if line["step"] <= resumed_step]
        self.last = kept[-1] if kept else {}
        write_text(path, "".join(json.dumps(line) + "\n" for line in kept))

    def append(self, values: dict[str, Any]) -> None:
        """Appends a line and syncs it to the disk, so that it is there when its checkpoint is."""
        try:
            with self.path.open("a") as file:
                file.write(json.dumps(values) + "\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise NotWritten(self.path, error.strerror) from None

    @staticmethod
    def read(path: Path) -> list[dict[str, Any]]:
        """All complete lines; a last line cut short by a kill is left out.

        Raises:
            UserError: an earlier line is not JSON, or has no step.
        """
        if not path.exists():
            return []
        lines = []
        for number, line in enumerate(path.read_text(errors="replace").split("\n")[:-1], 1):
            try:
                values = json.loads(line)
                is_whole = isinstance(values, dict) and isinstance(values["step"], int)
            except (ValueError, KeyError, RecursionError):
                is_whole = False
            if not is_whole:
                raise UserError(
                    f"{path}: line {number} is damaged; remove the line and start again"
                )
            lines.append(values)
        return lines
