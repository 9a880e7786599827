"""Times contenders in turns, so that what else the machine does falls on all of them alike."""

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

# Batches that a pipeline holds ready: two prefetched, one waiting for its place, one begun.
_AHEAD = 4
# Seconds between looks at whether a process still works, and how much of them it may work: its
# threads take a little even when there is nothing to do. A machine of many programs lets it wait.
_PAUSE, _IDLE, _PATIENCE = 0.01, 0.001, 1.0


class Contender(NamedTuple):
    """`start()` begins it and yields, without end, how many images the next batch has."""

    name: str
    start: Callable[[], Iterator[int]]


class Cost(NamedTuple):
    """Seconds an image takes: of all threads of the process together, and on the wall."""

    cpu: float
    wall: float


def burst(batches: Iterator[int], seconds: float) -> Cost:
    """The cost of a contender that is under way, over at least `seconds` and a batch.

    A pipeline limited by its work has as much of it begun at the start as at the end; what it did
    ahead while nobody asked is taken first. Returns when it has done so again, so that it does not
    fall on the next contender.
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
    """`repetitions` bursts of each contender in turns, which share `seconds` a contender.

    Each is started once, as in training: an iterator compiles its operations anew, each when it is
    first drawn, which would count for more than the operations themselves in every short burst.
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
    """The median of each of the two times."""
    return Cost(*(statistics.median(times) for times in zip(*costs)))


def median_ratio(costs: Sequence[Cost], base: Sequence[Cost]) -> float:
    """The median over repetitions of CPU time over that of `base` in the same repetition."""
    return statistics.median(cost.cpu / of.cpu for cost, of in zip(costs, base))
