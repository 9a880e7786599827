"""How this process keeps the memory that it frees."""

import ctypes

# Names of parameters of glibc's mallopt, and their values in bytes.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_KEPT, _LARGEST_BLOCK = 2**28, 2**22


def keep_freed_memory() -> None:
    """Lets the C library keep freed blocks of up to 4 MiB, at most 256 MiB of them at the end.

    By default it gives blocks of the size of an image back to the kernel, which clears each page
    anew when the next image takes it: a third of the time to read raw pixels. Other C libraries
    than glibc are left as they are.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt:
        mallopt(_MMAP_THRESHOLD, _LARGEST_BLOCK)
        mallopt(_TRIM_THRESHOLD, _KEPT)
