"""Files with the same bytes, and images that look alike.

Two images look alike if at most `NEAR_BITS` of the 64 bits of their hashes differ and their colours
are close. Pairs are found by bands: the bits are cut into seven bands, of which two must then be
equal, so only images that share two bands are compared. Each is compared with the next ones alone
where many share them, so the time grows with the number of images and not with its square.
"""

import itertools
from collections.abc import Iterator

import numpy as np
import scipy.sparse
import scipy.sparse.csgraph

NEAR_BITS = 5
_BANDS = (10, 9, 9, 9, 9, 9, 9)
_CLOSE_COLOURS = 8.0
_COMPARED = 16


def same_bytes(digests: np.ndarray) -> np.ndarray:
    """The first row with the digest of each row: int64 [n].

    Args:
        digests: uint8 [n, bytes].
    """
    rows = np.ascontiguousarray(digests).view(f"V{digests.shape[1]}")[:, 0]
    _, first, inverse = np.unique(rows, return_index=True, return_inverse=True)
    return first[inverse].astype(np.int64)


def look_alike(hashes: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """The first row of the group of each row: int64 [n]. Groups join all pairs that look alike.

    Args:
        hashes: uint64 [n].
        colours: uint8 [n, c].
    """
    equal = same_bytes(np.concatenate([hashes[:, None].view(np.uint8), colours], axis=1))
    rows = np.unique(equal)
    hashes, colours = hashes[rows], colours[rows]
    pairs = [_alike(pair, hashes, colours) for pair in _candidates(hashes)]
    one, other = np.concatenate([np.zeros([2, 0], np.int64), *pairs], axis=1)
    shape = (len(rows),) * 2
    graph = scipy.sparse.coo_array((np.ones(len(one), bool), (one, other)), shape=shape)
    _, group = scipy.sparse.csgraph.connected_components(graph, directed=False)
    _, first = np.unique(group, return_index=True)
    return rows[first[group]][np.searchsorted(rows, equal)]


def _candidates(hashes: np.ndarray) -> Iterator[np.ndarray]:
    """Yields int64 [2, pairs]: rows whose hashes share two bands and are near in their order."""
    starts = np.cumsum((0, *_BANDS))
    masks = [((1 << width) - 1) << int(start) for start, width in zip(starts, _BANDS)]
    for first, second in itertools.combinations(masks, 2):
        shared = hashes & np.uint64(first | second)
        # Among those that share the bands, equal hashes come next to each other.
        order = np.lexsort((hashes, shared))
        ordered = shared[order]
        for distance in range(1, min(_COMPARED, len(hashes) - 1) + 1):
            same = np.flatnonzero(ordered[distance:] == ordered[:-distance])
            if not same.size:
                break
            yield np.stack([order[same], order[same + distance]])


def _alike(pairs: np.ndarray, hashes: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """Those of the pairs, int64 [2, n], that look alike."""
    one, other = pairs
    differing = (hashes[one] ^ hashes[other]).view(np.uint8).reshape(-1, 8)
    near = np.unpackbits(differing, axis=1).sum(1) <= NEAR_BITS
    one, other = one[near], other[near]
    apart = np.abs(colours[one].astype(np.int16) - colours[other]).mean(1)
    return np.stack([one, other])[:, apart <= _CLOSE_COLOURS]
