"""The processor cores that this process may use."""

import os


def available_cores() -> list[int]:
    """The numbers of the cores this process is confined to; all cores if the system has no list."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))
