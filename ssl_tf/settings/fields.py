"""The fields of settings classes that are flags: how they are declared, and what settings say.

A settings class, a frozen dataclass, declares each flag once, as a field made with `setting`.
"""

import dataclasses
import typing
from collections.abc import Iterator, Sequence
from typing import Any

# The upper bound of a number that has none of its own: what TensorFlow's 32-bit counts can hold.
LARGEST = 2**31 - 1


def setting(
    default: Any,
    description: str,
    *,
    choices: Sequence[str] | Sequence[int] | None = None,
    low: float | None = None,
    above: float | None = None,
    high: float | None = None,
    distinct: bool = False,
    affects_result: bool = True,
    is_place: bool = False,
    is_input: bool = False,
    before: Any = None,
) -> Any:
    """A dataclass field that is also a flag.

    Args:
        default: value without the flag; a tuple makes a comma-separated list flag.
        description: help text of the flag, one line.
        choices: allowed values (of each element of a list flag); help leaves out "" and 0.
        low: inclusive lower bound (of each element of a list flag).
        above: exclusive lower bound.
        high: inclusive upper bound, where more than `LARGEST` is no use. Numbers are finite.
        distinct: whether the elements of a list flag must differ.
        affects_result: whether a result depends on the flag; if not, a resumed run may change it.
        is_place: whether it names where data lie that are there before the command.
        is_input: whether it names another file or directory that is there then.
        before: value of the runs that are older than the flag, so that their file lacks it; None:
            the default.
    """
    metadata = dict(
        description=description,
        choices=choices,
        low=low,
        above=above,
        high=high,
        distinct=distinct,
        affects_result=affects_result,
        is_place=is_place,
        is_input=is_input,
        before=before,
    )
    return dataclasses.field(default=default, metadata=metadata)


def flag_fields(settings_class: type) -> list[tuple[dataclasses.Field, Any]]:
    """All (field, type) pairs of a settings class and its nested settings classes."""
    hints = typing.get_type_hints(settings_class)
    found = []
    for field in dataclasses.fields(settings_class):
        kind = hints[field.name]
        if dataclasses.is_dataclass(kind):
            found.extend(flag_fields(kind))
        else:
            found.append((field, kind))
    return found


def names(settings_class: type) -> list[str]:
    """The names of all flags of a settings class."""
    return [field.name for field, _ in flag_fields(settings_class)]


def defaults(settings_class: type) -> dict[str, Any]:
    """Flag name -> default."""
    return {field.name: field.default for field, _ in flag_fields(settings_class)}


def before(settings_class: type) -> dict[str, Any]:
    """Flag name -> value of the runs that are older than the flag, where it is not the default."""
    values = {field.name: field.metadata["before"] for field, _ in flag_fields(settings_class)}
    return {name: value for name, value in values.items() if value is not None}


def choices_as_text(choices: Sequence[str] | Sequence[int]) -> str:
    """The choices as text, without the one that means none."""
    return ", ".join(str(choice) for choice in choices if choice)


def unless(honoured: object, reason: str, *names: str) -> dict[str, str]:
    """Rows of a settings class's `unused`: nothing if `honoured`, else each name with the reason.

    Args:
        honoured: whether something reads the flags.
        reason: why nothing does, as the end of a sentence.
        *names: the flags.
    """
    return {} if honoured else never(reason, *names)


def never(reason: str, *names: str) -> dict[str, str]:
    """Rows of a settings class's `unused`: each name with the reason, whatever else is given."""
    return dict.fromkeys(names, reason)


def unused(settings: Any) -> dict[str, str]:
    """The flags that nothing reads beside the others that are given: name -> reason.

    A settings class says in its property `unused` which flags depend on its own fields. What an
    outer class says of a flag replaces what an inner one says; an empty reason takes it back.
    """
    found: dict[str, str] = {}
    for part in parts(settings):
        found.update(getattr(part, "unused", {}))
    return {name: reason for name, reason in found.items() if reason}


def parts(settings: Any) -> Iterator[Any]:
    """The settings and those nested in them, inner ones first."""
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if dataclasses.is_dataclass(value):
            yield from parts(value)
    yield settings


def as_text(value: Any) -> str:
    """The value of a flag as a command line gives it."""
    if isinstance(value, tuple | list):
        return ",".join(str(element) for element in value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def as_dict(settings: Any) -> dict[str, str]:
    """Flag name -> value, as text of a command line."""
    flat: dict[str, str] = {}
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if dataclasses.is_dataclass(value):
            flat.update(as_dict(value))
        else:
            flat[field.name] = as_text(value)
    return flat


def result_flags(settings: Any) -> dict[str, str]:
    """The flags on which a result depends: name -> value as text."""
    fields = flag_fields(type(settings))
    depends = {field.name for field, _ in fields if field.metadata["affects_result"]}
    return {name: text for name, text in as_dict(settings).items() if name in depends}


def result_differences(first: Any, second: Any) -> dict[str, tuple[str, str]]:
    """The flags that differ and on which a result depends: name -> (first, second) as text."""
    ours, theirs = result_flags(first), result_flags(second)
    ignored = unused(first).keys() & unused(second).keys()
    return {n: (ours[n], theirs[n]) for n in ours if ours[n] != theirs[n] and n not in ignored}


def place_names(settings_class: type) -> list[str]:
    """The flags of a class that name where data lie."""
    return _marked_names(settings_class, "is_place")


def places(settings: Any) -> dict[str, str]:
    """The flags that name where data lie, if they are given: name -> value."""
    return _marked(settings, "is_place")


def inputs(settings: Any) -> dict[str, str]:
    """The flags that name what must be there before the command, data and others, if given."""
    return _marked(settings, "is_place", "is_input")


def _marked(settings: Any, *marks: str) -> dict[str, str]:
    """The flags that have one of the marks in their metadata, if they are given."""
    named = _marked_names(type(settings), *marks)
    return {name: text for name, text in as_dict(settings).items() if name in named and text}


def _marked_names(settings_class: type, *marks: str) -> list[str]:
    fields = (field for field, _ in flag_fields(settings_class))
    return [field.name for field in fields if any(field.metadata[mark] for mark in marks)]
