"""The start and the failures of every command: one line, no traceback, a documented exit code."""

import logging
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
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
from ssl_tf.settings import flagfiles

VERSION = f"ssl_tf {__version__}"


def run(
    main: Callable[[Any], None], settings_class: type, arguments: Sequence[str] | None = None
) -> None:
    """Parses the command line, calls `main(settings)` and exits.

    Exit codes stand in `errors.EXIT_CODES`. Flags are checked before TensorFlow is imported, so a
    slip in a flag costs no waiting. `--version` prints the version and nothing else is done.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    if "--version" in arguments:
        print(VERSION)
        sys.exit(0)
    # TensorFlow's start-up notes would hide the one line that a user has to read.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    absl_logging.set_verbosity(absl_logging.ERROR)
    # So would its line for each variable of a checkpoint that does not fit.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    try:
        settings = flagfiles.parse(arguments, settings_class)
        main(settings)
    except UserError as error:
        print(f"error: {printable(str(error))}", file=sys.stderr)
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
        print(f"error: {printable(message)}{hint}", file=sys.stderr)
        sys.exit(EXIT_FAILURE)


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
    if action == "--help":
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
    run(*actions[action], arguments[1:])
