"""Errors and warnings, of one line each, and exit codes."""

import signal
import sys
from collections.abc import Sequence

EXIT_FAILURE = 1
EXIT_FLAGS = 2
EXIT_LOST_WORKER = 3
EXIT_SIGNAL = 128
EXIT_CODES = (
    "Exit codes: 0 done; 1 a failure, reported in one line; 2 wrong flags; either also where "
    "another worker of the run has reported it; 3 another worker is lost; 128 plus the number of "
    "the signal that stopped it (130 SIGINT, 138 SIGUSR1, 143 SIGTERM): pretrain, finetune, "
    "segment, detect and linear --augment have then finished their step and saved. After 3 and "
    "after a signal the same command continues from the last checkpoint."
)


def printable(text: str) -> str:
    """A text on one line without control characters, which would steer a terminal or forge lines.

    They come from names of files and ids. What is no UTF-8 is escaped too.
    """
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in text
    )


def listed(names: Sequence[str], most: int = 5) -> str:
    """The first names, separated by commas; an ellipsis stands for those that are left out."""
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")


def warn(message: str) -> None:
    """Tells on stderr, in one line, what may make a result another one than the user expects."""
    print(f"warning: {printable(message)}", file=sys.stderr, flush=True)


class UserError(Exception):
    """A failure with a cause outside the program: missing data, an unreadable file, a full disk.

    The message is one line that names the cause, the flag and the way out.
    """

    exit_code = EXIT_FAILURE


class SettingsError(UserError):
    """A wrong flag, or a wrong combination of flags."""

    exit_code = EXIT_FLAGS


class NoSuchSplit(SettingsError):
    """A data set has no split of this name, or no image in it; other splits may be whole."""


class NotPrepared(UserError):
    """A data set is not prepared; other data sets may be."""


class LostWorker(UserError):
    """Another worker of the run has stopped, is silent, or has not started.

    If the worker reported an error, its exit code is taken: the same command would fail again.
    """

    def __init__(self, message: str, reported: int = EXIT_LOST_WORKER):
        """
        Args:
            message: names the worker and the reason.
            reported: the exit code of that worker, where it has told one.
        """
        super().__init__(message)
        self.exit_code = reported if reported in (EXIT_FAILURE, EXIT_FLAGS) else EXIT_LOST_WORKER


class Stopped(Exception):
    """A signal has stopped the run or the study, and its state is saved."""

    def __init__(self, received: signal.Signals, state: str):
        """
        Args:
            received: the signal.
            state: what is saved, as the end of the sentence that begins "stopped by SIGTERM".
        """
        super().__init__(f"stopped by {received.name}{state}")
        self.exit_code = EXIT_SIGNAL + received
