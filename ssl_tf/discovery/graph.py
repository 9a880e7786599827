"""The graph of all matches: a sparse matrix in shards, read once for each product."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy import sparse

from ssl_tf.sharding import shards


@dataclasses.dataclass(frozen=True)
class Block:
    """The matches of one shard of images, each entry of the symmetric matrix once.

    Attributes:
        start: number of the shard's first region.
        columns: int32 or int64 [C], sorted, the regions with a match in the shard.
        matches: float32 CSR [regions of the shard, C].
    """

    start: int
    columns: np.ndarray
    matches: sparse.csr_matrix

    @property
    def bytes(self) -> int:
        """Bytes of memory, with the float64 copy of the values that a product makes."""
        return 16 * self.matches.nnz + self.columns.nbytes + 8 * len(self.matches.indptr)


def make_block(
    start: int, count: int, rows: np.ndarray, columns: np.ndarray, scores: np.ndarray
) -> Block:
    """A block from its entries, each pair of regions once.

    Args:
        start, count: the shard's regions are start .. start + count - 1.
        rows: int [E], regions of the shard.
        columns: int [E], any regions.
        scores: float32 [E].
    """
    unique, local = np.unique(columns, return_inverse=True)
    shape = (count, len(unique))
    matches = sparse.csr_matrix((scores, (rows - start, local)), shape=shape, dtype=np.float32)
    # A number above int32 would wrap to a negative one, which is a valid index of another region.
    fits = unique.max(initial=0) <= np.iinfo(np.int32).max
    return Block(start, unique.astype(np.int32 if fits else np.int64), matches)


def write_block(path: Path, block: Block, seconds: float = 0.0) -> None:
    """Writes start, columns, and indptr, indices, data of the CSR matrix, all or nothing.

    Args:
        path: of the npz.
        block: to write.
        seconds: CPU time of its computation, stored with it.
    """
    shards.write_arrays(
        path,
        start=np.int64(block.start),
        columns=block.columns,
        indptr=block.matches.indptr.astype(np.int64),
        indices=block.matches.indices.astype(np.int32),
        data=block.matches.data,
        seconds=seconds,
    )


def read_block(path: Path) -> Block:
    arrays = shards.read_arrays(path)
    with shards.told(path):
        shape = (len(arrays["indptr"]) - 1, len(arrays["columns"]))
        matches = sparse.csr_matrix(
            (arrays["data"], arrays["indices"], arrays["indptr"]), shape=shape, copy=False
        )
        return Block(int(arrays["start"]), arrays["columns"], matches)


class Graph:
    """The matrix W [R, R]; blocks that exceed the memory are read again for every product.

    Attributes:
        regions: R.
        entries: number of non-zero entries.
        degree: float64 [R], W 1.
    """

    def __init__(self, paths: list[Path], regions: int, memory_mib: int):
        """
        Args:
            paths: of the blocks, in a fixed order.
            regions: R.
            memory_mib: memory of the cached blocks, in MiB; one block more is in use at a time.
        """
        self.regions = regions
        self._paths = paths
        self._free_bytes = memory_mib * 2**20
        self._cache: dict[Path, Block] = {}
        self.entries = 0
        self.degree = self.product(np.ones(regions))

    @property
    def blocks_in_memory(self) -> int:
        """Number of blocks in memory."""
        return len(self._cache)

    def product(self, vector: np.ndarray) -> np.ndarray:
        """The product W v of a vector, float64 [R], from one pass over the blocks."""
        result = np.zeros(self.regions)
        self.entries = 0
        for block in self._blocks():
            rows = slice(block.start, block.start + block.matches.shape[0])
            result[rows] += block.matches @ vector[block.columns]
            # The other half of the matrix. In a block each column occurs once.
            result[block.columns] += block.matches.T @ vector[rows]
            self.entries += 2 * block.matches.nnz
        return result

    def _blocks(self) -> Iterator[Block]:
        for path in self._paths:
            block = self._cache.get(path) or read_block(path)
            if path not in self._cache and block.bytes <= self._free_bytes:
                self._cache[path] = block
                self._free_bytes -= block.bytes
            yield block
