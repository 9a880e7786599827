"""The processor cores that this process may use."""

import os


def available_cores() -> list[int]:
    """Their numbers: those it is confined to, where the system tells, or all of the machine."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))
