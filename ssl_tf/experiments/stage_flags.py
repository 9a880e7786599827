"""The flags of a stage of a study: put together from its file and its command line, and checked."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ssl_tf.errors import SettingsError
from ssl_tf.experiments.stage_commands import Stage
from ssl_tf.settings import PretrainSettings, ReadingSettings, StudySettings, fields, flagfiles

# Flags that a study refuses: with them a stage leaves no result, or one that the study's file does
# not determine.
_REFUSED = {
    "dry_run": "the stage would leave no result; --dry_run of the study prints what it would do",
    "auto": "each machine would choose flags of its own; write those that it prints into the study",
}


def checked_flags(
    stage: Stage,
    flags: Sequence[str],
    given: Mapping[str, str],
    settings: StudySettings,
    where: str,
) -> tuple[list[str], Any]:
    """The arguments of a command, and their settings.

    Args:
        stage: whose command it is.
        flags: of the study's file.
        given: what the study itself gives, by name.
        settings: of the study; a stage takes of --extra and of reading images what it reads.
        where: begins the message of an error: the arm and the stage.

    Raises:
        SettingsError: as `flagfiles.parse` and, of a run that begins, `PretrainSettings.check_new`.
    """
    fixed = flagfiles.as_arguments(None, given)
    names = fields.names(stage.settings)
    try:
        for flag in (*flags, *settings.extra.split()):
            if _flag_name(flag, given):
                raise SettingsError(
                    f"{flag} would change nothing: the study gives each stage its seed, the run of "
                    "its arm and the places of its results; remove it"
                )
        # What the command line of the study says of reading images goes to those who read any and
        # have not said it themselves.
        unused = fields.unused(flagfiles.parse([*flags, *fixed], stage.settings))
        own = flagfiles.given(flags, stage.settings)
        reading = {
            name: value
            for name, value in _changed(settings.reading).items()
            if name in names and name not in unused and name not in own
        }
        extra = _read_here(settings.extra.split(), flags, fixed, stage)
        arguments = [*flags, *flagfiles.as_arguments(None, reading), *extra, *fixed]
        bound = flagfiles.parse(arguments, stage.settings)
        for flag in _REFUSED.keys() & names:
            if fields.as_dict(bound)[flag] == "true":
                raise SettingsError(f"--{flag}: {_REFUSED[flag]}; remove it")
        begins = isinstance(bound, PretrainSettings) and not bound.recorded.is_file()
        if begins and not settings.report:
            bound.check_new()
        return arguments, bound
    except SettingsError as error:
        raise SettingsError(f"{where}: {error}") from None


def _changed(reading: ReadingSettings) -> dict[str, str]:
    default = fields.as_dict(ReadingSettings())
    return {n: v for n, v in fields.as_dict(reading).items() if v != default[n]}


def _flag_name(flag: str, names: Collection[str]) -> str:
    """Which of the flags an argument gives; empty: none of them."""
    name = flag.lstrip("-").partition("=")[0]
    return next((n for n in (name, name.removeprefix("no")) if n in names), "")


def _read_here(
    extra: Sequence[str], flags: Sequence[str], fixed: Sequence[str], stage: Stage
) -> list[str]:
    """Those of the extra flags that a stage has, and that something reads beside all others.

    Raises:
        SettingsError: as `flagfiles.read`.
    """
    names = fields.names(stage.settings)
    had = [flag for flag in extra if _flag_name(flag, names)]
    in_vain = flagfiles.given_in_vain(flagfiles.read([*flags, *had, *fixed], stage.settings))
    return [flag for flag in had if _flag_name(flag, names) not in in_vain]
