"""Timing of contenders in turns, so that other load of the machine affects all of them alike."""

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

# Batches that a pipeline keeps ready: two prefetched, one waiting for its place, one begun.
_AHEAD = 4
# Seconds between two checks whether the process still works, CPU seconds that it may use between
# them, and seconds after which the wait ends. Idle threads use a little time, and on a machine with
# other programs the process is never idle.
_PAUSE, _IDLE, _PATIENCE = 0.01, 0.001, 1.0


class Contender(NamedTuple):
    """A pipeline to measure.

    Attributes:
        name: in tables.
        start: starts the pipeline; its endless iterator yields the number of images of each batch.
    """

    name: str
    start: Callable[[], Iterator[int]]


class Cost(NamedTuple):
    """Seconds an image.

    Attributes:
        cpu: CPU time of all threads of the process together.
        wall: wall-clock time.
    """

    cpu: float
    wall: float


def burst(batches: Iterator[int], seconds: float) -> Cost:
    """The cost of a running contender, over at least `seconds` and one batch.

    The batches that the pipeline made ahead while it was idle are taken first and not timed. At the
    end the function waits until the pipeline is idle again, so that its work does not count for the
    next contender.
    """
    for _ in range(_AHEAD):
        next(batches)
    images, wall, cpu = 0, time.perf_counter(), time.process_time()
    while not images or time.perf_counter() - wall < seconds:
        images += next(batches)
    cost = Cost((time.process_time() - cpu) / images, (time.perf_counter() - wall) / images)
    _settle()
    return cost


def alternate(
    contenders: Sequence[Contender], seconds: float, repetitions: int
) -> dict[str, list[Cost]]:
    """The costs of `repetitions` bursts of each contender, in turns.

    Each contender is started once, as in training. A new iterator compiles every operation when it
    is first used, which would take longer than the operations themselves in a short burst.

    Args:
        contenders: to measure.
        seconds: of all bursts of a contender together.
        repetitions: number of bursts of a contender.

    Returns:
        Name of the contender -> its costs, one a burst.
    """
    running = {contender.name: contender.start() for contender in contenders}
    for batches in running.values():
        burst(batches, seconds / repetitions)
    costs: dict[str, list[Cost]] = {name: [] for name in running}
    for _ in range(repetitions):
        for name, batches in running.items():
            costs[name].append(burst(batches, seconds / repetitions))
    return costs


def _settle() -> None:
    """Waits until the threads of the process have nothing left to do, at most `_PATIENCE`."""
    end = time.monotonic() + _PATIENCE
    done, before = time.process_time(), -1.0
    while done - before > _IDLE and time.monotonic() < end:
        time.sleep(_PAUSE)
        before, done = done, time.process_time()


def median_cost(costs: Sequence[Cost]) -> Cost:
    """The median CPU time and the median wall-clock time."""
    return Cost(*(statistics.median(times) for times in zip(*costs)))


def median_ratio(costs: Sequence[Cost], base: Sequence[Cost]) -> float:
    """The median of the ratios of CPU time to that of `base` in the same repetition."""
    return statistics.median(cost.cpu / reference.cpu for cost, reference in zip(costs, base))
