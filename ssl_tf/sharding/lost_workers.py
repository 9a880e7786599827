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
# Of a process that was stopped together with this one, as by Ctrl+C.
_STOPPED = {128 + signal.SIGINT, -signal.SIGINT, 128 + signal.SIGTERM, -signal.SIGTERM}


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
        if code not in _STOPPED and not codes:
            codes.append(code)
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    threading.excepthook = hook
    try:
        yield
    except KeyboardInterrupt:
        if not codes:
            raise
        raise UserError(
            f"a worker process ended with code {codes[0]}, where 137 is one that was killed, as "
            "where memory is short; give fewer --workers"
        ) from None
    finally:
        if not codes:  # else threads may tell of it later, too
            threading.excepthook = usual
