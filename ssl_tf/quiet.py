"""The error output of a process, closed while a library says what no setting turns off."""

import contextlib
import os
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def no_error_output() -> Iterator[None]:
    """Sends to nowhere what this process writes to its error output, libraries included."""
    if sys.stderr is not None:
        sys.stderr.flush()
    try:
        kept = os.dup(2)
    except OSError:  # it has none
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
