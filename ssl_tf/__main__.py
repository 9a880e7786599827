"""The commands: `python -m ssl_tf` lists them, `python -m ssl_tf NAME ...` runs one."""

import ast
import runpy
import sys
from collections.abc import Sequence
from pathlib import Path

from ssl_tf import __version__
from ssl_tf.errors import EXIT_CODES, EXIT_FLAGS

GROUPS = {
    "Images": ("prepare",),
    "Train": ("pretrain", "views_report", "benchmark"),
    "Judge": (
        "knn",
        "linear",
        "finetune",
        "segment",
        "detect",
        "transfer",
        "compare",
        "study",
    ),
    "Use": ("export", "embed"),
    "Boxes of objects": ("discover", "proposals", "openimages"),
}
COMMANDS = tuple(name for group in GROUPS.values() for name in group)


def summary(name: str) -> str:
    """The first line of a command's docstring; parsed, because importing takes seconds."""
    source = Path(__file__).with_name(f"{name}.py").read_text()
    return ast.get_docstring(ast.parse(source)).splitlines()[0]


def overview() -> str:
    """All commands, a line each."""
    lines = ["Self-supervised pre-training of image encoders.", ""]
    lines += ["python -m ssl_tf COMMAND --flag=value ...  (or: ssl_tf COMMAND --flag=value ...)"]
    for title, names in GROUPS.items():
        lines += ["", f"{title}:"]
        lines += [f"  {name:<13} {summary(name)}" for name in names]
    lines += ["", "COMMAND --help prints its flags, --version the version.", "", EXIT_CODES]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command that the first argument names, as `python -m ssl_tf.NAME` does."""
    name, *flags = (sys.argv[1:] if arguments is None else arguments) or ["--help"]
    if name in ("-h", "--help", "--help=all"):
        from ssl_tf.command import readable_output

        with readable_output():
            print(overview())
    elif name == "--version":
        print(f"ssl_tf {__version__}")
    elif name in COMMANDS:
        sys.argv[1:] = flags
        runpy.run_module(f"ssl_tf.{name}", run_name="__main__", alter_sys=True)
    else:
        print(f"error: unknown command {name!r}; choose {', '.join(COMMANDS)}", file=sys.stderr)
        sys.exit(EXIT_FLAGS)


if __name__ == "__main__":
    main()
