"""The memory of this process."""

import os
import resource
from pathlib import Path


def resident_bytes() -> int:
    """What it holds now."""
    pages = Path("/proc/self/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def peak_bytes() -> int:
    """The most that it has held so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
