"""The processor cores that this process may use."""

import os


def available_cores() -> list[int]:
    """The numbers of the cores this process is confined to."""
    return sorted(os.sched_getaffinity(0))
