"""Command lines whose flagfiles are replaced by their lines."""

import os
import re
import stat
from collections.abc import Iterator, Sequence

from ssl_tf.errors import SettingsError

_DIRECTIVE = re.compile(r"--?flagfile(?:=(.*))?", re.DOTALL)
# A flagfile is a page of text; more is another file by mistake.
_LARGEST_BYTES = 2**20
_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_PIPES = ("/dev/fd/", "/dev/stdin", "/proc/self/fd/")
# The flagfile that a command writes into its directory.
FLAGS = "flags.txt"
# The flag of the directory in which a command wrote its flags.txt -> files of which one is there
# from the first work on.
_PLACES = {
    "--run_dir=": ("environment.json",),
    "--output=": (
        "data.json", "trained/data.json", "supervised/data.json", "random/data.json",
        "work/begun.json", "prepared.json",
    ),
}  # fmt: skip
_REMEDY = "correct the name, or write the file again as UTF-8 text, one --flag=value a line"


def expand(arguments: Sequence[str], above: tuple[str, ...] = ()) -> Iterator[str]:
    """Yields the arguments, and the flags of a flagfile in the place of `--flagfile=FILE`.

    Blank lines and lines that begin with # or // are left out. A flagfile may name another one.
    `configs/NAME` is a shipped flagfile where the working directory has no such file. The flags.txt
    of a run, or of the --output of another command, gives the directory in which it lies.

    Args:
        arguments: of the command line, or the lines of a flagfile.
        above: the flagfiles that are being read.

    Raises:
        SettingsError: a file cannot be read, is no text in UTF-8, or names itself.
    """
    remaining = iter(arguments)
    for argument in remaining:
        directive = _DIRECTIVE.fullmatch(argument)
        if directive is None:
            yield argument
            continue
        name = next(remaining, None) if directive[1] is None else directive[1]
        if name is None:
            raise SettingsError("--flagfile: give a file")
        if name.strip():
            path = _found(os.path.expanduser(name.strip()))
            if path in above:
                raise SettingsError(f"--flagfile={path} names itself; remove that line from it")
            yield from expand(_here(path, _lines(path)), (*above, path))


def _found(path: str) -> str:
    """The path, or where there is no such file that of the shipped `configs/NAME`."""
    directory, name = os.path.split(path)
    if directory == "configs" and not os.path.exists(path) and os.path.exists(shipped(name)):
        return shipped(name)
    return path


def shipped(name: str, folder: str = "configs") -> str:
    """The path of a file of this project: installed in the package, in a checkout beside it."""
    installed = os.path.join(_PACKAGE, folder)
    beside = os.path.join(os.path.dirname(_PACKAGE), folder)
    return os.path.join(installed if os.path.isdir(installed) else beside, name)


def _lines(path: str) -> list[str]:
    """The flags of a file, one a line."""
    lines = [line.strip() for line in re.split(r"[\r\n]", _text(path))]
    return [line for line in lines if line and not line.startswith(("#", "//"))]


def _here(path: str, lines: list[str]) -> list[str]:
    """The flags of a file; the directory in a flags.txt that a command wrote is where it lies.

    There it stands as it was typed, in a working directory that may be another now, and it may have
    moved. A copy of the file alone keeps it.
    """
    directory, name = os.path.split(os.path.abspath(path))
    if name != FLAGS:
        return lines
    for flag, beside in _PLACES.items():
        if any(os.path.exists(os.path.join(directory, file)) for file in beside):
            lines = [_placed(line, flag, directory) for line in lines]
    return lines


def _placed(line: str, flag: str, directory: str) -> str:
    """The line; if it gives this flag another directory, that with this one."""
    typed = line.removeprefix(flag)
    if typed != line and os.path.realpath(typed) != os.path.realpath(directory):
        return flag + directory
    return line


def _text(path: str) -> str:
    try:
        kind = os.stat(path).st_mode
        # Anything else may never end, or never begin.
        if not stat.S_ISREG(kind) and not (path.startswith(_PIPES) and not stat.S_ISDIR(kind)):
            raise SettingsError(f"--flagfile={path} is no file; {_REMEDY}")
        with open(path, "rb") as file:
            content = file.read(_LARGEST_BYTES + 1)
    except (OSError, ValueError) as error:
        cause = getattr(error, "strerror", None) or str(error)
        raise SettingsError(f"--flagfile={path} cannot be read: {cause}") from None
    problem = _problem(content)
    if problem:
        raise SettingsError(f"--flagfile={path} {problem}; {_REMEDY}")
    return content.decode()


def _problem(content: bytes) -> str:
    """Why the content is no flagfile; empty if it is one."""
    if len(content) > _LARGEST_BYTES:
        return "is larger than a flagfile can be"
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "is in UTF-16"
    if content.startswith(b"\xef\xbb\xbf"):
        return "begins with a byte order mark"
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        return f"is not in UTF-8 (byte {error.start} is 0x{content[error.start]:02x})"
    control = next((c for c in text if ord(c) < 32 and c not in "\t\n\r\f"), None)
    return "" if control is None else f"is no text (it holds the character {ord(control)})"
