"""Signals that ask a run to stop: it finishes its step, saves a checkpoint and exits."""

import os
import signal
from types import FrameType

# Slurm's and Kubernetes's preemption, Ctrl-C, and what `sbatch --signal=USR1@120` sends.
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)


class StopSignals:
    """Remembers the first stop signal inside the `with` block; a second one ends the process.

    Attributes:
        received: the first signal; None if there was none.
    """

    def __init__(self):
        self.received: signal.Signals | None = None
        self._handlers = {}

    def __enter__(self) -> "StopSignals":
        self._handlers = {number: signal.signal(number, self._remember) for number in SIGNALS}
        return self

    def __exit__(self, *_) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def _remember(self, number: int, frame: FrameType | None) -> None:
        self.received = signal.Signals(number)
        for stop_signal in SIGNALS:
            signal.signal(stop_signal, signal.SIG_DFL)
        # Not print: the signal may have come in the middle of one.
        note = f"{self.received.name}: saving after this step; a second signal ends at once\n"
        os.write(2, note.encode())
