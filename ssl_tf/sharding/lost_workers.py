"""The end of a stage whose worker process was killed, for which Beam would wait for ever."""

import contextlib
import re
import signal
import threading
from collections.abc import Iterator

import grpc

from ssl_tf.errors import UserError

# Beam's local runner waits for each of its processes in a thread of this name, which raises this.
_THREAD = "run_worker"
_EXITED = re.compile(r"exited with return code (-?\d+)")
# Of a process that was interrupted together with this one, by Ctrl+C.
_INTERRUPTED = {128 + signal.SIGINT, -signal.SIGINT}
# Interrupts the main thread. SIGINT would not: it is ignored in what a script starts with "&".
_SIGNAL = signal.SIGUSR2


class _Lost(BaseException):
    """A worker has ended; no `except Exception` of a runner holds it up."""


@contextlib.contextmanager
def lost_workers_told() -> Iterator[None]:
    """Ends the block when a worker process ends, as one does that is killed for its memory.

    The main thread alone can be interrupted; in another one the block goes on waiting.

    Raises:
        UserError: a worker process has ended with an error.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    codes: list[int] = []
    usual = threading.excepthook

    def hook(arguments: threading.ExceptHookArgs) -> None:
        if isinstance(arguments.exc_value, grpc.RpcError):
            return  # another thread has lost its connection to the worker
        exited = _EXITED.search(str(arguments.exc_value))
        if arguments.thread is None or arguments.thread.name != _THREAD or not exited:
            usual(arguments)
            return
        code = int(exited[1])
        if code not in _INTERRUPTED and not codes:
            codes.append(code)
            signal.pthread_kill(threading.main_thread().ident, _SIGNAL)

    def interrupt(*arguments: object) -> None:
        if codes:
            raise _Lost

    threading.excepthook = hook
    before = signal.signal(_SIGNAL, interrupt)
    try:
        yield
    except _Lost:
        raise UserError(
            f"a worker process ended with code {codes[0]}, where 137 is one that was killed, as "
            "where memory is short; give fewer --workers"
        ) from None
    finally:
        signal.signal(_SIGNAL, before)
        if not codes:  # else threads may tell of it later, too
            threading.excepthook = usual
