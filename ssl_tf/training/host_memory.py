"""The memory of this process."""

import os
import resource
import sys
from pathlib import Path


def resident_bytes() -> int | None:
    """What it holds now; None if the system does not report it (Linux does)."""
    statm = Path("/proc/self/statm")
    if not statm.exists():
        return None
    return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def peak_bytes() -> int:
    """The most that it has held so far."""
    scale = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale
