"""The seeds of the layers' initializers: functions of the run's seed and the layer's name."""

import zlib


def layer_seed(seed: int, name: str) -> int:
    """Seed of one layer's initializer, in [0, 2^31).

    It depends on the arguments alone. Python's `hash` changes from process to process, and Keras's
    default seeds depend on the layers built before.
    """
    return zlib.crc32(f"{seed}/{name}".encode()) & 0x7FFFFFFF
