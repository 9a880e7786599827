"""Small facts of many files, read by several threads: nearly all of the time is spent waiting."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Found = TypeVar("Found")

# More than there are cores: threads that wait for a disk or a server take none.
_THREADS = 16
_ITEMS_AT_ONCE = 256


def read_each(read: Callable[[Item], Found], items: Sequence[Item]) -> Iterator[Found]:
    """What `read` gives of each item, in order.

    Args:
        read: reads one item; called in several threads.
        items: such as paths.
    """

    def read_some(start: int) -> list[Found]:
        return [read(item) for item in items[start : start + _ITEMS_AT_ONCE]]

    with ThreadPoolExecutor(_THREADS) as pool:
        for found in pool.map(read_some, range(0, len(items), _ITEMS_AT_ONCE)):
            yield from found
