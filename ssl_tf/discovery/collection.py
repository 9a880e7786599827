"""The collection of all described images: sizes, regions and descriptors, read on demand."""

import collections
import functools
from pathlib import Path

import numpy as np

from ssl_tf.discovery.describing_shards import DESCRIPTORS, REGIONS
from ssl_tf.sharding import shards

COLLECTION = "collection.npz"


def gather(output: Path, shard_count: int) -> dict[str, np.ndarray]:
    """The arrays of all images, gathered from the shards of `regions/`; see `describe_shard`.

    Returns:
        height, width, count, readable, trouble [N]; image_descriptor float32 [N, D]; and
        descriptor_mean float32 [C], the mean over all regions.
    """
    shard_arrays = [
        shards.read_arrays(shards.shard_path(output / REGIONS, n)) for n in range(shard_count)
    ]
    gathered = {
        name: np.concatenate([arrays[name] for arrays in shard_arrays])
        for name in ("height", "width", "count", "readable")
    }
    gathered["trouble"] = np.concatenate([image_troubles(arrays) for arrays in shard_arrays])
    depth = max(arrays["image_descriptor"].shape[1] for arrays in shard_arrays)
    gathered["image_descriptor"] = np.concatenate(
        [
            # A shard without a readable image does not know the length of a descriptor.
            arrays["image_descriptor"] if arrays["image_descriptor"].shape[1] == depth
            else np.zeros([len(arrays["count"]), depth], np.float32)
            for arrays in shard_arrays
        ]
    )  # fmt: skip
    sums = [arrays["descriptor_sum"] for arrays in shard_arrays if arrays["count"].any()]
    total = np.sum(sums, axis=0) if sums else np.zeros(1)
    gathered["descriptor_mean"] = (total / max(1, gathered["count"].sum())).astype(np.float32)
    return gathered


def image_troubles(arrays: dict[str, np.ndarray]) -> np.ndarray:
    """Why images have no region, text [N]; files of earlier versions know one reason."""
    if "trouble" in arrays:
        return arrays["trouble"]
    flat = arrays["readable"] & (arrays["count"] == 0)
    return np.where(flat, "features without a peak", "")


class Collection:
    """Regions of the images 0 .. N - 1.

    Attributes:
        counts: int64 [N], number of regions of each image.
        starts: int64 [N], number of each image's first region.
        sizes: int [N, 2], (height, width) of each image in pixels.
    """

    def __init__(self, output: Path, shard_images: int, descriptor_norm: str, memory_mib: int):
        """
        Args:
            output: directory of `collection.npz`, `regions/` and `descriptors/`.
            shard_images: number of images of a shard.
            descriptor_norm: as in the settings.
            memory_mib: memory of the cache of descriptors, in MiB.
        """
        arrays = shards.read_arrays(output / COLLECTION)
        self.counts = arrays["count"].astype(np.int64)
        self.starts = np.cumsum(self.counts) - self.counts
        self.sizes = np.stack([arrays["height"], arrays["width"]], axis=1)
        self._mean = arrays["descriptor_mean"] if descriptor_norm == "center_l2" else None
        self._output = output
        self._shard_images = shard_images
        self._free_bytes = memory_mib * 2**20
        self._cache: collections.OrderedDict[int, np.ndarray] = collections.OrderedDict()
        self._shard = functools.lru_cache(maxsize=64)(self._read_shard)

    def boxes(self, image: int) -> np.ndarray:
        """The regions of an image, int32 [R, 4]."""
        regions, _, rows = self._place(image)
        return regions["boxes"][rows]

    def descriptors(self, image: int) -> np.ndarray:
        """The normalized descriptors of an image's regions, float32 [R, C]."""
        if image in self._cache:
            self._cache.move_to_end(image)
            return self._cache[image]
        _, table, rows = self._place(image)
        vectors = table[rows].astype(np.float32)
        if self._mean is not None:
            vectors -= self._mean
            vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        self._cache[image] = vectors
        self._free_bytes -= vectors.nbytes
        while self._free_bytes < 0 and len(self._cache) > 2:
            _, oldest = self._cache.popitem(last=False)
            self._free_bytes += oldest.nbytes
        return vectors

    def _place(self, image: int) -> tuple[dict[str, np.ndarray], np.ndarray, slice]:
        number = image // self._shard_images
        regions, table = self._shard(number)
        start = self.starts[image] - self.starts[number * self._shard_images]
        return regions, table, slice(start, start + self.counts[image])

    def _read_shard(self, number: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
        regions = shards.read_arrays(shards.shard_path(self._output / REGIONS, number))
        path = shards.shard_path(self._output / DESCRIPTORS, number, ".npy")
        return {"boxes": regions["boxes"]}, shards.read_array(path)
