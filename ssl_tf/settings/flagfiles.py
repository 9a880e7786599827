"""The conversion between settings (frozen dataclasses), absl flags and flagfiles.

`parse` reads a command line (and its `--flagfile=`) into an instance. `write_flagfile` writes an
instance to a file, so that `--flagfile=RUN/flags.txt` starts the same run again. Only this module
uses absl's flags. `fields` says what a flag is.
"""

import dataclasses
import math
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from absl import flags

from ssl_tf.errors import SettingsError, printable
from ssl_tf.files import write_text
from ssl_tf.settings.fields import (
    LARGEST,
    as_dict,
    as_text,
    before,
    choices_as_text,
    defaults,
    flag_fields,
    parts,
    unused,
)
from ssl_tf.settings.flagfile_lines import expand

Settings = TypeVar("Settings")


def _element_type(kind: Any) -> type | None:
    """The type of a tuple's elements, such as float for tuple[float, ...]; else None."""
    return typing.get_args(kind)[0] if typing.get_origin(kind) is tuple else None


def _define(values: flags.FlagValues, field: dataclasses.Field, kind: Any) -> None:
    text = field.metadata["description"]
    if field.metadata["choices"]:
        text += f" One of: {choices_as_text(field.metadata['choices'])}."
    if _element_type(kind):
        default = ",".join(str(x) for x in field.default)
        flags.DEFINE_string(field.name, default, text, flag_values=values)
    elif kind is bool:
        flags.DEFINE_boolean(field.name, field.default, text, flag_values=values)
    elif kind is int:
        flags.DEFINE_integer(field.name, field.default, text, flag_values=values)
    elif kind is float:
        flags.DEFINE_float(field.name, field.default, text, flag_values=values)
    else:
        flags.DEFINE_string(field.name, field.default, text, flag_values=values)


def _convert(name: str, text: Any, kind: Any) -> Any:
    element = _element_type(kind)
    if element is None:
        return text
    try:
        return tuple(element(part.strip()) for part in text.split(",") if part.strip())
    except ValueError:
        raise SettingsError(f"--{name}={text}: expected numbers separated by commas") from None


def given_in_vain(settings: Any) -> dict[str, str]:
    """The flags that differ from their defaults and that nothing would read: name -> reason."""
    given, default = as_dict(settings), _defaults(settings)
    return {n: r for n, r in unused(settings).items() if given[n] != default[n]}


def _refuse_unused(settings: Any) -> None:
    """Refuses a flag that differs from its default and that nothing would read.

    A flag is accepted as it stands in the flags of a run that these settings continue.

    Raises:
        SettingsError: names the first such flag.
    """
    wrong = given_in_vain(settings)
    if not wrong:
        return
    given = as_dict(settings)
    recorded: dict[str, str] = {}
    for part in parts(settings):
        path = getattr(part, "recorded", None)
        if path is not None and path.is_file():
            recorded.update(as_dict(read_flagfile(path, type(part))))
    for name, reason in wrong.items():
        if recorded.get(name) != given[name]:
            raise SettingsError(
                f"--{name}={given[name]}: has no effect, because {reason}; leave it out, or take "
                f"back that of a flagfile by --{name}={_defaults(settings)[name]}"
            )


def _check_lists(settings: Any) -> None:
    """Refuses lists that need values and have none, or have one twice where all must differ."""
    for part in parts(settings):
        for field in dataclasses.fields(part):
            value = getattr(part, field.name)
            if value == () and field.default != ():
                raise SettingsError(f"--{field.name} is empty; give one value or more")
            if field.metadata.get("distinct") and len(set(value)) < len(value):
                raise SettingsError(f"--{field.name}={as_text(value)}: give each value once")


def _defaults(settings: Any) -> dict[str, str]:
    """Flag name -> default, as text of a command line."""
    return {name: as_text(value) for name, value in defaults(type(settings)).items()}


def _is_text(value: str) -> bool:
    """Whether a flagfile can hold the value; a name of a file may have any bytes."""
    # What is no UTF-8 on the command line is the half of a surrogate pair here.
    return not any(ord(c) < 32 and c != "\t" or 0xD800 <= ord(c) <= 0xDFFF for c in value)


def _check(name: str, value: Any, metadata: Any) -> None:
    for element in value if isinstance(value, tuple) else (value,):
        choices, low, above, high = (metadata[k] for k in ("choices", "low", "above", "high"))
        if isinstance(element, str) and not _is_text(element):
            raise SettingsError(
                f"--{name}={printable(element)}: must be text in UTF-8 without control "
                "characters, as flagfiles are; give another name"
            )
        if isinstance(element, str) and element != element.rstrip():
            raise SettingsError(
                f"--{name}={element!r}: a flagfile loses the blank at its end; remove it"
            )
        if isinstance(element, float) and not math.isfinite(element):
            raise SettingsError(f"--{name}={element}: must be a finite number")
        if high is None and isinstance(element, int | float):
            high = LARGEST
        if choices and element not in choices:
            raise SettingsError(
                f"--{name}={element}: unknown; choose one of {choices_as_text(choices)}"
            )
        if low is not None and element < low:
            raise SettingsError(f"--{name}={element}: must be at least {low}")
        if above is not None and element <= above:
            raise SettingsError(f"--{name}={element}: must be greater than {above}")
        if high is not None and element > high:
            raise SettingsError(f"--{name}={element}: must be at most {high}")


def _build(settings_class: type[Settings], values: dict[str, Any]) -> Settings:
    hints = typing.get_type_hints(settings_class)
    arguments = {}
    for field in dataclasses.fields(settings_class):
        kind = hints[field.name]
        if dataclasses.is_dataclass(kind):
            arguments[field.name] = _build(kind, values)
        else:
            value = _convert(field.name, values[field.name], kind)
            _check(field.name, value, field.metadata)
            arguments[field.name] = value
    return settings_class(**arguments)


def parse(arguments: Sequence[str], settings_class: type[Settings]) -> Settings:
    """Reads a command line without the program's name into frozen settings.

    Raises:
        SettingsError: a flag is unknown, a flagfile cannot be read, a value is not allowed, or
            nothing would read it.
    """
    settings = read(arguments, settings_class)
    _check_lists(settings)
    _refuse_unused(settings)
    return settings


def given(arguments: Sequence[str], settings_class: type) -> dict[str, Any]:
    """The flags that a command line and its flagfiles give: name -> value, lists as text.

    Combinations are not checked.

    Raises:
        SettingsError: a flag is unknown or out of its bounds, a flagfile cannot be read, or a
            number is none.
    """
    values = _values(arguments, settings_class)
    found = {}
    for field, kind in flag_fields(settings_class):
        if values[field.name].present:
            found[field.name] = values[field.name].value
            _check(field.name, _convert(field.name, found[field.name], kind), field.metadata)
    return found


def read(arguments: Sequence[str], settings_class: type[Settings]) -> Settings:
    """`parse` without the refusal of what nothing reads, of empty lists and of values given twice.

    Raises:
        SettingsError: as `parse`, of all else.
    """
    values = _values(arguments, settings_class)
    return _build(settings_class, {name: values[name].value for name in values})


def _values(arguments: Sequence[str], settings_class: type) -> flags.FlagValues:
    """The flags as a command line gives them.

    Raises:
        SettingsError: as `given`.
    """
    values = flags.FlagValues()
    for field, kind in flag_fields(settings_class):
        _define(values, field, kind)
    try:
        left_over = values(["ssl_tf", *expand(arguments)])[1:]
    except flags.Error as error:
        raise SettingsError(" ".join(str(error).split())) from None
    if left_over:
        raise SettingsError(
            f"unexpected argument {left_over[0]!r}: every setting is a --flag=value"
        )
    return values


def from_keywords(
    settings_class: type[Settings], flagfile: str | Path | None = None, **flags: Any
) -> Settings:
    """The settings that the same flags give on a command line.

    Args:
        settings_class: what is made.
        flagfile: read first.
        **flags: flags by name; a flag that is a list takes a sequence, and one that is None is
            not given.

    Raises:
        SettingsError: as `parse`.
    """
    return parse(as_arguments(flagfile, flags), settings_class)


def as_arguments(flagfile: str | Path | None, flags: Mapping[str, Any]) -> list[str]:
    """The command line of a flagfile and of flags, name -> value; None is a flag not given."""
    first = [] if flagfile is None else [f"--flagfile={flagfile}"]
    given = (f"--{name}={as_text(value)}" for name, value in flags.items() if value is not None)
    return [*first, *given]


def write_flagfile(settings: Any, path: Path, comments: Sequence[str] = ()) -> None:
    """Writes `comments` and then all flags, one a line; the file is complete or absent."""
    lines = [f"# {line}" for line in comments]
    lines += [f"--{name}={value}" for name, value in as_dict(settings).items()]
    write_text(path, "\n".join(lines) + "\n")


def read_flagfile(path: Path, settings_class: type[Settings]) -> Settings:
    """The settings that `write_flagfile` wrote, at this version or before a flag existed.

    A flag that nothing reads is accepted: earlier versions wrote such flags.

    Raises:
        SettingsError: the file cannot be read, or has a flag that is unknown to this version.
    """
    older = as_arguments(None, before(settings_class))
    try:
        return read([*older, f"--flagfile={path}"], settings_class)
    except SettingsError as error:
        if str(path) in str(error):
            raise
        raise SettingsError(f"{path}: {error}") from None
