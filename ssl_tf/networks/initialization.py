"""Where the first weights come from: a seed and a name, nothing else."""

import zlib


def layer_seed(seed: int, name: str) -> int:
    """Seed of one layer's initializer, in [0, 2^31).

    A function of the arguments alone: Python's `hash` changes from process to process, and
    Keras's own seeds depend on what was built before.
    """
    return zlib.crc32(f"{seed}/{name}".encode()) & 0x7FFFFFFF
