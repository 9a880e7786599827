"""The text of `--help`: on one screen the flags that most people need, or all of a command."""

import dataclasses
import re
import textwrap
import typing
from typing import Any

from ssl_tf.errors import EXIT_CODES
from ssl_tf.settings.fields import choices_as_text

# What asks for help, and whether for all flags.
ASKED = {"-h": False, "-help": False, "--help": False, "--help=all": True, "--helpfull": True}

# The flags that most people need, by subject. A command shows those that it has, after its own.
COMMON = {
    "Images": (
        "image_folder", "prepared", "dataset", "data_dir", "tfrecord", "holdout",
        "test_image_folder", "test_split", "image_size",
    ),
    "Encoder": ("checkpoint", "step", "encoder", "init_encoder"),
    "Method, views, network": ("auto", "method", "recipe", "depth", "width"),
    "Training": ("epochs", "batch_size", "optimizer", "base_learning_rate"),
    "Run": ("run_dir", "init_from", "seed", "precision", "monitor_every", "track", "dry_run"),
}  # fmt: skip
_OWN = "This command"

_WIDTH = 100
# Columns of the names, behind which the descriptions stand.
_NAMES = 30
_SCREEN = 40
# Of the flags; the rest of a screen goes to the usage and to the last lines.
_LINES = 34

Flag = tuple[dataclasses.Field, Any]


def help_text(settings_class: type, document: str, program: str, everything: bool) -> str:
    """The help of a command.

    Args:
        settings_class: gives the flags.
        document: its first line says what the command does; it holds an example in backticks.
        program: as it is typed, such as "python -m ssl_tf.knn".
        everything: all flags with all that is known of them, or the common ones, a line each.
    """
    groups = _groups(settings_class)
    total = sum(map(len, groups.values()))
    if not everything:
        groups = _common(groups)
    lines = [*document.strip().splitlines()[:1], ""]
    lines.append(f"Usage:    {program} --FLAG=VALUE ... [--flagfile=FILE]")
    example = re.search(rf"`({re.escape(program)}\s[^`]*)`", document)
    if example:
        lines.append(f"Example:  {' '.join(example[1].split())}")
    for title, flags in groups.items():
        lines += ["", f"{title}:"]
        lines += map(_described_in_full if everything else _described, flags)
    lines.append("")
    exit_codes = textwrap.wrap(EXIT_CODES, _WIDTH)
    all_shown = sum(map(len, groups.values())) == total
    if everything or (all_shown and len(lines) + len(exit_codes) <= _SCREEN):
        lines += exit_codes
    else:
        lines.append(f"--help=all prints all {total} flags, with their bounds, and the exit codes.")
    return "\n".join(lines)


def _groups(settings_class: type, title: str = _OWN) -> dict[str, list[Flag]]:
    """All flags by their settings class: the first line of its docstring, own flags first."""
    hints = typing.get_type_hints(settings_class)
    groups: dict[str, list[Flag]] = {title: []}
    for field in dataclasses.fields(settings_class):
        kind = hints[field.name]
        if dataclasses.is_dataclass(kind):
            inner = (kind.__doc__ or kind.__name__).splitlines()[0].rstrip(".")
            for name, flags in _groups(kind, inner).items():
                groups.setdefault(name, []).extend(flags)
        else:
            groups[title].append((field, kind))
    return {name: flags for name, flags in groups.items() if flags}


def _common(groups: dict[str, list[Flag]]) -> dict[str, list[Flag]]:
    """The flags of `COMMON` by its subjects, behind those of the command itself."""
    known = {flag[0].name: flag for flags in groups.values() for flag in flags}
    shown = {title: [known[n] for n in names if n in known] for title, names in COMMON.items()}
    listed = {flag[0].name for flags in shown.values() for flag in flags}
    own = [flag for flag in groups.get(_OWN, ()) if flag[0].name not in listed]
    fitting, left = {}, _LINES
    for title, flags in {_OWN: own, **shown}.items():
        # A title takes two lines.
        fitting[title] = flags[: max(0, left - 2)]
        left -= 2 * bool(flags) + len(fitting[title])
    return {title: flags for title, flags in fitting.items() if flags}


def _described(flag: Flag) -> str:
    """One line of a flag: its default, and as much as fits of what is known of it."""
    name = _named(flag)
    width = _WIDTH - max(_NAMES, len(name) + 2)
    text = textwrap.shorten(_told(flag), width, placeholder=" ...")
    return f"{name:<{_NAMES - 2}}  {text}"


def _described_in_full(flag: Flag) -> str:
    """Lines of a flag, with its bounds."""
    first, indent = f"{_named(flag):<{_NAMES - 2}}  ", " " * _NAMES
    about = flag[0].metadata
    bounds = [
        f"{word} {about[key]:g}"
        for key, word in (("low", "at least"), ("above", "above"), ("high", "at most"))
        if about[key] is not None
    ]
    text = f"{_told(flag)} {' and '.join(bounds).capitalize()}." if bounds else _told(flag)
    return textwrap.fill(text, _WIDTH, initial_indent=first, subsequent_indent=indent)


def _told(flag: Flag) -> str:
    """The description of a flag and its choices."""
    field, kind = flag
    about = field.metadata
    told = [about["description"]]
    if about["choices"]:
        told.append(f"One of: {choices_as_text(about['choices'])}.")
    if kind is bool and field.default:
        told.append(f"--no{field.name} turns it off.")
    return " ".join(told)


def _named(flag: Flag) -> str:
    field, kind = flag
    return f"  --{field.name}" + ("" if kind is bool else f"={_default(field.default)}")


def _default(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(map(str, value)) or "..."
    return f"{value:g}" if isinstance(value, float) else str(value) or "..."
