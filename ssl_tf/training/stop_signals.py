"""Signals that ask a run to stop: it finishes its step, saves and leaves."""

import os
import signal
from types import FrameType

# Slurm's and Kubernetes's preemption, Ctrl-C, and what `sbatch --signal=USR1@120` sends.
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)


class StopSignals:
    """Remembers the first such signal while the context is open; a second one ends at once."""

    def __init__(self):
        self.received: signal.Signals | None = None
        self._before = {}

    def __enter__(self) -> "StopSignals":
        self._before = {number: signal.signal(number, self._remember) for number in SIGNALS}
        return self

    def __exit__(self, *_) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _remember(self, number: int, frame: FrameType | None) -> None:
        self.received = signal.Signals(number)
        for each in SIGNALS:
            signal.signal(each, signal.SIG_DFL)
        # Not print: the signal may have come in the middle of one.
        note = f"{self.received.name}: saving after this step; a second signal ends at once\n"
        os.write(2, note.encode())
