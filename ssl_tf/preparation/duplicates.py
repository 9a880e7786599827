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


class LookAlikes:
    """The pairs of images that look alike.

    Looking alike does not carry over: the first frame of a fade looks like the second, the second
    like the third, and the last like another photograph. Groups, which join all that are so linked,
    are for a split; an image stands in for those alone that look like it.
    """

    def __init__(self, hashes: np.ndarray, colours: np.ndarray):
        """Finds the pairs.

        Args:
            hashes: uint64 [n].
            colours: uint8 [n, c].
        """
        equal = same_bytes(np.concatenate([hashes[:, None].view(np.uint8), colours], axis=1))
        # Images of one hash and one colour are of one kind, whose first stands for it.
        self._rows, self._kind = np.unique(equal, return_inverse=True)
        self._hashes, self._colours = hashes[self._rows], colours[self._rows]
        found = [self._alike(pair) for pair in _candidates(self._hashes)]
        pairs = np.concatenate([np.zeros([2, 0], np.int64), *found], axis=1)
        count = max(1, len(self._rows))
        codes = np.unique(pairs.max(axis=0) * count + pairs.min(axis=0))
        # By the later of the two, then by the earlier.
        self._later, self._earlier = np.divmod(codes, count)

    def groups(self) -> np.ndarray:
        """The first row of the group of each row, int64 [n]: groups join all pairs."""
        ones = np.ones(len(self._later), bool)
        shape = (len(self._rows),) * 2
        graph = scipy.sparse.coo_array((ones, (self._later, self._earlier)), shape=shape)
        _, group = scipy.sparse.csgraph.connected_components(graph, directed=False)
        _, first = np.unique(group, return_index=True)
        return self._rows[first[group]][self._kind]

    def firsts(self) -> np.ndarray:
        """An earlier row that looks like each row, int64 [n]; itself where there is none.

        It is that with the same hash and colours, if there is one, else the first.
        """
        first = np.arange(len(self._rows))
        np.minimum.at(first, self._later, self._earlier)
        own = self._rows[self._kind]
        return np.where(own == np.arange(len(own)), self._rows[first[self._kind]], own)

    def stand_ins(self) -> np.ndarray:
        """The row that is kept in the place of each row, int64 [n]; itself if it is kept.

        Rows are gone through in their order: one is kept unless a kept one looks like it.
        """
        kept = np.arange(len(self._rows)).tolist()
        for later, earlier in zip(self._later.tolist(), self._earlier.tolist()):
            # Of a crowd the pair with the one that is kept was not among those compared.
            stand_in = kept[earlier]
            if kept[later] == later and (
                stand_in == earlier or self._alike(np.array([[later], [stand_in]])).size
            ):
                kept[later] = stand_in
        return self._rows[np.array(kept, np.int64)][self._kind]

    def contradicted(self, labels: np.ndarray) -> np.ndarray:
        """Whether each row looks like one of another label: bool [n].

        Args:
            labels: int [n].
        """
        least = np.full(len(self._rows), np.iinfo(np.int64).max)
        most = np.full(len(self._rows), np.iinfo(np.int64).min)
        np.minimum.at(least, self._kind, labels)
        np.maximum.at(most, self._kind, labels)
        of_kinds = least.copy(), most.copy()
        for one, other in ((self._later, self._earlier), (self._earlier, self._later)):
            np.minimum.at(least, one, of_kinds[0][other])
            np.maximum.at(most, one, of_kinds[1][other])
        return (least[self._kind] != labels) | (most[self._kind] != labels)

    def _alike(self, pairs: np.ndarray) -> np.ndarray:
        """Those of the pairs of kinds, int64 [2, n], that look alike."""
        one, other = pairs
        differing = (self._hashes[one] ^ self._hashes[other]).view(np.uint8).reshape(-1, 8)
        near = np.unpackbits(differing, axis=1).sum(1) <= NEAR_BITS
        one, other = one[near], other[near]
        apart = np.abs(self._colours[one].astype(np.int16) - self._colours[other]).mean(1)
        return np.stack([one, other])[:, apart <= _CLOSE_COLOURS]


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
