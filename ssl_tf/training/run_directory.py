"""The directory of a run: flags, versions, metrics. Nothing is written outside it."""

import json
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

from ssl_tf import flagfiles
from ssl_tf.errors import SettingsError, UserError
from ssl_tf.settings import PretrainSettings

FLAGS = "flags.txt"
_PACKAGES = ("tensorflow", "keras", "tensorflow-addons", "tensorflow-datasets", "keras-cv", "numpy")


def open_run(settings: PretrainSettings) -> Path:
    """Makes the run directory, or takes up the one that these flags made.

    Raises:
        SettingsError: the directory belongs to a run with other flags, or to something else.
    """
    directory = Path(settings.run.run_dir)
    flags = directory / FLAGS
    if flags.exists():
        differing = flagfiles.bound_differences(read_settings(directory), settings)
        if differing:
            told = ", ".join(
                f"--{n}={old} there, {new} here" for n, (old, new) in differing.items()
            )
            raise SettingsError(
                f"--run_dir={directory} belongs to a run with other flags ({told}); give another "
                "--run_dir, or the flags of that run to resume it"
            )
        return directory
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise SettingsError(f"--run_dir={directory} exists and is not a run; give a new directory")
    directory.mkdir(parents=True, exist_ok=True)
    write_json(directory / "environment.json", environment())
    # Last, because it is what makes the directory a run.
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
        raise UserError(
            f"{directory} is no run directory: it has no {FLAGS}; give the --run_dir of a run"
        )
    return flagfiles.read_flagfile(flags, PretrainSettings)


def environment() -> dict[str, str]:
    """Versions on which a result may depend."""
    versions = {"python": platform.python_version(), "ssl_tf": metadata.version("ssl_tf")}
    return versions | {name: metadata.version(name) for name in _PACKAGES}


def write_json(path: Path, value: Any) -> None:
    """Writes JSON to a temporary name, then renames it."""
    temporary = path.with_name(path.name + ".writing")
    temporary.write_text(json.dumps(value, indent=1) + "\n")
    temporary.replace(path)


class MetricsFile:
    """`metrics.jsonl`: one JSON object a line, each step at most once."""

    def __init__(self, path: Path, resumed_step: int):
        """Opens the file; lines after `resumed_step` belong to work that is done again, and go."""
        self._path = path
        kept = (
            [line for line in self.read(path) if line["step"] <= resumed_step]
            if resumed_step
            else []
        )
        temporary = path.with_name(path.name + ".writing")
        temporary.write_text("".join(json.dumps(line) + "\n" for line in kept))
        temporary.replace(path)

    def append(self, values: dict[str, Any]) -> None:
        with self._path.open("a") as file:
            file.write(json.dumps(values) + "\n")

    @staticmethod
    def read(path: Path) -> list[dict[str, Any]]:
        """All whole lines; a last line cut short by a kill is left out."""
        if not path.exists():
            return []
        lines = path.read_text().split("\n")[:-1]
        return [json.loads(line) for line in lines]
