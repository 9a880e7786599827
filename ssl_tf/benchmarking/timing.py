"""Timing of contenders in turns, so that other load of the machine affects all of them alike."""

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from ssl_tf.errors import warn

# Seconds between two checks whether the process still works, CPU seconds that it may use between
# them (idle threads use a little), the quiet seconds after which it is idle (beside other programs
# a thread waits for its turn), and those after which the wait ends.
_PAUSE, _IDLE, _QUIET, _PATIENCE = 0.01, 0.001, 0.1, 30.0


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
    """The cost of a running contender that has been idle, over at least `seconds` and one batch.

    A pipeline makes batches ahead. They are ready before a burst and, once it is idle again, behind
    it, so that the time is that of as many images as are taken, however many it keeps ready.
    """
    images, wall, cpu = 0, time.perf_counter(), time.process_time()
    while not images or time.perf_counter() - wall < seconds:
        images += next(batches)
    ended = settle()
    return Cost((ended.cpu - cpu) / images, (ended.wall - wall) / images)


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


def settle() -> Cost:
    """Waits until the threads of the process have nothing left to do; both clocks at that time."""
    before = worked = Cost(time.process_time(), time.perf_counter())
    end = worked.wall + _PATIENCE
    while before.wall - worked.wall < _QUIET:
        time.sleep(_PAUSE)
        now = Cost(time.process_time(), time.perf_counter())
        if now.cpu - before.cpu > _IDLE:
            worked = now
        before = now
        if now.wall > end:
            warn(
                f"the input still works {_PATIENCE:g} seconds after it was read: the figures of "
                "what is measured next have some of its time"
            )
            break
    return worked


def median_cost(costs: Sequence[Cost]) -> Cost:
    """The median CPU time and the median wall-clock time."""
    return Cost(*(statistics.median(times) for times in zip(*costs)))


def median_ratio(costs: Sequence[Cost], base: Sequence[Cost]) -> float:
    """The median of the ratios of CPU time to that of `base` in the same repetition."""
    return statistics.median(cost.cpu / reference.cpu for cost, reference in zip(costs, base))
