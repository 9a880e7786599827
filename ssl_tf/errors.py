"""What a user can mend: told in one line, without a traceback."""

EXIT_FAILURE = 1
EXIT_FLAGS = 2


class UserError(Exception):
    """A cause outside the program: missing data, an unreadable file, a full disk.

    The message is one line that names the cause, the flag and the way out.
    """

    exit_code = EXIT_FAILURE


class SettingsError(UserError):
    """A flag, or a combination of flags, that cannot work."""

    exit_code = EXIT_FLAGS
