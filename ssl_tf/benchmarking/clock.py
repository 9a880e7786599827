"""Times contenders in turns, so that what else the machine does falls on all of them alike."""

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple


class Contender(NamedTuple):
    """`start()` begins afresh and yields, without end, how many images the next batch has."""

    name: str
    start: Callable[[], Iterator[int]]


class Cost(NamedTuple):
    """Seconds an image takes: of all threads of the process together, and on the wall."""

    cpu: float
    wall: float


def burst(contender: Contender, seconds: float) -> Cost:
    """The cost of a contender over at least `seconds` and a batch, from its first batch on.

    A pipeline limited by its work has as much of it begun at the start as at the end.
    """
    batches = contender.start()
    next(batches)
    images, wall, cpu = 0, time.perf_counter(), time.process_time()
    while not images or time.perf_counter() - wall < seconds:
        images += next(batches)
    return Cost((time.process_time() - cpu) / images, (time.perf_counter() - wall) / images)


def alternate(
    contenders: Sequence[Contender], seconds: float, repetitions: int
) -> dict[str, list[Cost]]:
    """`repetitions` bursts of each contender in turns, which share `seconds` a contender."""
    for contender in contenders:
        next(contender.start())  # the first iterator optimizes the graph and fills the caches
    costs: dict[str, list[Cost]] = {contender.name: [] for contender in contenders}
    for _ in range(repetitions):
        for contender in contenders:
            costs[contender.name].append(burst(contender, seconds / repetitions))
    return costs


def median_cost(costs: Sequence[Cost]) -> Cost:
    """The median of each of the two times."""
    return Cost(*(statistics.median(times) for times in zip(*costs)))


def median_ratio(costs: Sequence[Cost], base: Sequence[Cost]) -> float:
    """The median over repetitions of CPU time over that of `base` in the same repetition."""
    return statistics.median(cost.cpu / of.cpu for cost, of in zip(costs, base))
