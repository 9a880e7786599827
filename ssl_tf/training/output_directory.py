"""The directory of a command that can be interrupted: its flags say what may go on there."""

from pathlib import Path
from typing import Protocol

from ssl_tf.errors import SettingsError
from ssl_tf.files import UNFINISHED
from ssl_tf.locks import LOCK
from ssl_tf.settings import flagfiles

FLAGS = "flags.txt"
# Files that a process leaves behind if it is killed while it creates the directory.
_FIRST_FILES = {LOCK, FLAGS + UNFINISHED}


class OutputSettings(Protocol):
    """Settings with the directory of all results.

    Attributes:
        output: the directory.
    """

    output: str


def check_output(settings: OutputSettings, kind: str) -> bool:
    """Whether the output directory is that of these settings already; nothing is written.

    Args:
        settings: of the command.
        kind: what the command makes, for the message, such as "discovery".

    Raises:
        SettingsError: it belongs to other settings, or to something else.
    """
    output = Path(settings.output)
    flags = output / FLAGS
    if flags.is_file():
        before = flagfiles.read_flagfile(flags, type(settings))
        differing = flagfiles.result_differences(before, settings)
        if differing:
            listed = ", ".join(f"--{n}={a} there, {b} here" for n, (a, b) in differing.items())
            raise SettingsError(f"--output={output} was made with other flags ({listed})")
        return True
    if output.exists() and (not output.is_dir() or _names_in(output) - _FIRST_FILES):
        raise SettingsError(f"--output={output} exists and is no {kind}; give a new directory")
    return False


def open_output(settings: OutputSettings, kind: str, command: str) -> None:
    """Creates the output directory, or reopens it if these settings created it.

    Args:
        settings: of the command.
        kind: as in `check_output`.
        command: its name, such as "discover".

    Raises:
        SettingsError: as in `check_output`.
    """
    output = Path(settings.output)
    if check_output(settings, kind):
        return
    flags = output / FLAGS
    output.mkdir(parents=True, exist_ok=True)
    flagfiles.write_flagfile(
        settings, flags, comments=[f"python -m ssl_tf.{command} --flagfile={flags}"]
    )


def _names_in(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}
