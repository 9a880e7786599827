"""The directory of a command that can be interrupted: its flags say what may go on there."""

from collections.abc import Collection
from pathlib import Path
from typing import Protocol

from ssl_tf.errors import SettingsError
from ssl_tf.files import UNFINISHED
from ssl_tf.locks import LOCK
from ssl_tf.settings import fields, flagfiles
from ssl_tf.settings.flagfile_lines import FLAGS
from ssl_tf.training.data_places import DATA, movable

# Files that a process leaves behind if it is killed while it creates the directory.
_FIRST_FILES = {LOCK, FLAGS + UNFINISHED}


class OutputSettings(Protocol):
    """Settings with the directory of all results.

    Attributes:
        output: the directory.
    """

    output: str


def check_output(settings: OutputSettings, kind: str, replaceable: Collection[str] = ()) -> bool:
    """Whether the output directory is that of these settings already; nothing is written.

    Args:
        settings: of the command.
        kind: what the command makes, for the message, such as "discovery".
        replaceable: flags that may differ.

    Raises:
        SettingsError: it belongs to other settings, or to something else.
    """
    output = Path(settings.output)
    flags = output / FLAGS
    if flags.is_file():
        listed = ", ".join(
            f"--{name}={there} there, {here} here"
            for name, (there, here) in _differences(settings).items()
            if name not in replaceable
        )
        if listed:
            raise SettingsError(
                f"--output={output} was made with other flags ({listed}); give these, another "
                "--output, or remove that directory"
            )
        return True
    if output.exists() and (not output.is_dir() or _names_in(output) - _FIRST_FILES):
        raise SettingsError(f"--output={output} exists and is no {kind}; give a new directory")
    return False


def open_output(
    settings: OutputSettings, kind: str, command: str, replaceable: Collection[str] = ()
) -> None:
    """Creates the output directory, or reopens it if these settings created it.

    Args:
        settings: of the command.
        kind: as in `check_output`.
        command: its name, such as "discover".
        replaceable: flags that may differ from those of the first start, and are written anew.

    Raises:
        SettingsError: as in `check_output`.
    """
    output = Path(settings.output)
    if check_output(settings, kind, replaceable) and not _differences(settings):
        return
    flags = output / FLAGS
    output.mkdir(parents=True, exist_ok=True)
    flagfiles.write_flagfile(
        settings, flags, comments=[f"python -m ssl_tf.{command} --flagfile={flags}"]
    )


def _differences(settings: OutputSettings) -> dict[str, tuple[str, str]]:
    """The flags on which results depend and that differ, as in `fields.result_differences`.

    Those of data that may have moved are left out.
    """
    output = Path(settings.output)
    before = flagfiles.read_flagfile(output / FLAGS, type(settings))
    # Trainings of several encoders have a record each.
    records = [*output.glob(DATA)] or [*output.glob(f"*/{DATA}")]
    moved = movable(records, before, settings)
    differing = fields.result_differences(before, settings)
    return {name: values for name, values in differing.items() if name not in moved}


def _names_in(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}
