"""The start and the failures of every command: one line, no traceback, a documented exit code."""

import contextlib
import importlib
import logging
import os
import re
import signal
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from absl import logging as absl_logging

from ssl_tf import __version__
from ssl_tf.errors import (
    EXIT_CODES,
    EXIT_FAILURE,
    EXIT_FLAGS,
    EXIT_SIGNAL,
    Stopped,
    UserError,
    printable,
)
from ssl_tf.files import refusal
from ssl_tf.quiet import no_error_output
from ssl_tf.settings import flagfiles, help_page
from ssl_tf.settings.placement import refuse_output_among_images

VERSION = f"ssl_tf {__version__}"


def one_line(error: Exception | str) -> str:
    """The message of an error as a terminal can show it; very long words are cut."""
    return re.sub(r"\S{1000,}", lambda word: f"{word[0][:200]}...", printable(str(error)))


def import_quietly() -> None:
    """Imports TensorFlow 2.21, which announces itself whatever TF_CPP_MIN_LOG_LEVEL says.

    TensorFlow 2.15 heeds the variable, and is left to what first needs it. Beside it a package that
    the extra `downstream` brings would warn of Python's age.
    """
    warnings.filterwarnings("ignore", "You are using a Python version", FutureWarning)
    if sys.version_info < (3, 12):
        return
    with no_error_output():
        importlib.import_module("tensorflow")


class _Output:
    """Standard output that goes nowhere once its reader has left."""

    def __init__(self, stream: Any):
        self._stream = stream

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except BrokenPipeError:
            self._drop()
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except BrokenPipeError:
            self._drop()

    def _drop(self) -> None:
        # What the stream still holds goes there too, so that the interpreter's last flush works.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._stream.fileno())
        os.close(nowhere)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextlib.contextmanager
def readable_output() -> Iterator[None]:
    """Takes a reader that has seen enough, as in `| head`, for no error: the work is finished."""
    if sys.stdout is None:
        yield
        return
    with contextlib.redirect_stdout(_Output(sys.stdout)) as output:
        try:
            yield
        finally:
            output.flush()


@readable_output()
def run(
    main: Callable[[Any], None],
    settings_class: type,
    arguments: Sequence[str] | None = None,
    action: str = "",
    complete: Callable[[Sequence[str]], Sequence[str]] = lambda arguments: arguments,
) -> None:
    """Parses the command line, calls `main(settings)` and exits.

    Exit codes stand in `errors.EXIT_CODES`. Flags are checked before TensorFlow is imported, so a
    slip in a flag costs no waiting. `--version` prints the version and nothing else is done;
    `--help` and `--help=all` print the flags.

    Args:
        main: of a command's module, whose docstring the help quotes.
        settings_class: gives the flags.
        arguments: the command line without the program's name; None: that of this process.
        action: what stands before the flags.
        complete: adds flags that the command finds itself.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    if "--version" in arguments:
        print(VERSION)
        sys.exit(0)
    asked = next(
        (help_page.ASKED[argument] for argument in arguments if argument in help_page.ASKED), None
    )
    if asked is not None:
        print(_help(main, settings_class, action, everything=asked))
        sys.exit(0)
    # TensorFlow's start-up notes would hide the one line that a user has to read.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    absl_logging.set_verbosity(absl_logging.ERROR)
    # So would its line for each variable of a checkpoint that does not fit.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    try:
        settings = flagfiles.parse(complete(arguments), settings_class)
        refuse_output_among_images(settings)
        import_quietly()
        main(settings)
    except UserError as error:
        print(f"error: {one_line(error)}", file=sys.stderr)
        sys.exit(error.exit_code)
    except Stopped as stopped:
        print(f"{stopped}; the same command continues from there", file=sys.stderr)
        sys.exit(stopped.exit_code)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(EXIT_SIGNAL + signal.SIGINT)
    except Exception as error:
        refused = refusal(error)
        if refused is None and not isinstance(error, OSError):
            raise
        message = str(error) if isinstance(error, OSError) else refused
        hint = "; make room and start the same command again" if refused else ""
        print(f"error: {one_line(message)}{hint}", file=sys.stderr)
        sys.exit(EXIT_FAILURE)


def _help(main: Callable, settings_class: type, action: str, everything: bool) -> str:
    """The help of a command; where it has actions, that of one of them."""
    module = main.__globals__
    program = f"python -m {module['__spec__'].name} {action}".rstrip()
    document = module["__doc__"] or ""
    if action:
        # The action says what it does, the module how it is called.
        document = f"{(main.__doc__ or '').splitlines()[0]}\n{document}"
    return help_page.help_text(settings_class, document, program, everything)


@readable_output()
def run_action(
    actions: Mapping[str, tuple[Callable[[Any], None], type]],
    arguments: Sequence[str] | None = None,
) -> None:
    """`run` for an entry point whose first argument is the name of an action.

    `--help` lists the actions, each by the first line of the docstring of its function.

    Args:
        actions: name -> (main, settings class).
        arguments: the command line without the program's name; None: that of this process.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    action = arguments[0] if arguments else ""
    if action == "--version":
        print(VERSION)
        sys.exit(0)
    if action in help_page.ASKED:
        print("Give an action first; ACTION --help prints its flags.\n")
        for name, (main, _) in actions.items():
            print(f"  {name:<8}  {(main.__doc__ or '').splitlines()[0]}")
        print(f"\n{EXIT_CODES}")
        sys.exit(0)
    if action not in actions:
        print(
            f"error: say first what to do: {', '.join(actions)}"
            + (f", not {action!r}" if action else ""),
            file=sys.stderr,
        )
        sys.exit(EXIT_FLAGS)
    run(*actions[action], arguments[1:], action)
