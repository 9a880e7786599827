"""What a user can mend: told in one line, without a traceback; and how a process may end."""

import signal

EXIT_FAILURE = 1
EXIT_FLAGS = 2
EXIT_LOST_WORKER = 3
EXIT_SIGNAL = 128
EXIT_CODES = (
    "Exit codes: 0 done; 1 a failure told in one line; 2 wrong flags; 3 another worker of the "
    "run is lost; 128 plus the number of the signal that stopped it (130 SIGINT, 138 SIGUSR1, 143 "
    "SIGTERM): pretrain, finetune and linear --augment have then finished their step and saved. "
    "After 3 and after a signal the same command goes on from the last checkpoint."
)


class UserError(Exception):
    """A cause outside the program: missing data, an unreadable file, a full disk.

    The message is one line that names the cause, the flag and the way out.
    """

    exit_code = EXIT_FAILURE


class SettingsError(UserError):
    """A flag, or a combination of flags, that cannot work."""

    exit_code = EXIT_FLAGS


class NotPrepared(UserError):
    """A data set is not there, which others may be."""


class LostWorker(UserError):
    """Another worker of the run has left, is silent, or never came."""

    exit_code = EXIT_LOST_WORKER


class Stopped(Exception):
    """A signal asked the run to stop, and it has saved."""

    def __init__(self, received: signal.Signals, step: int):
        super().__init__(f"stopped by {received.name} at step {step}, which is saved")
        self.exit_code = EXIT_SIGNAL + received
