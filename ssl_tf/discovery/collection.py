"""All described images together: their sizes, regions and descriptors, read as they are needed."""

import collections
import functools
from pathlib import Path

import numpy as np

from ssl_tf.discovery import shards
from ssl_tf.discovery.description import DESCRIPTORS, REGIONS

COLLECTION = "collection.npz"


def gather(output: Path, shard_count: int) -> dict[str, np.ndarray]:
    """What the shards of `regions/` say of every image, one array each; see `describe_shard`.

    Returns:
        height, width, count, readable [N]; image_descriptor float32 [N, D]; descriptor_mean float32
        [C], over all regions.
    """
    read = [shards.read_arrays(shards.shard_path(output / REGIONS, n)) for n in range(shard_count)]
    gathered = {
        name: np.concatenate([one[name] for one in read])
        for name in ("height", "width", "count", "readable")
    }
    depth = max(one["image_descriptor"].shape[1] for one in read)
    gathered["image_descriptor"] = np.concatenate(
        [
            # A shard without a readable image does not know how long a descriptor is.
            one["image_descriptor"] if one["image_descriptor"].shape[1] == depth
            else np.zeros([len(one["count"]), depth], np.float32)
            for one in read
        ]
    )  # fmt: skip
    sums = [one["descriptor_sum"] for one in read if one["count"].any()]
    total = np.sum(sums, axis=0) if sums else np.zeros(1)
    gathered["descriptor_mean"] = (total / max(1, gathered["count"].sum())).astype(np.float32)
    return gathered


class Collection:
    """Regions of the images 0 .. N - 1; those of image i have the numbers starts[i] and on."""

    def __init__(self, output: Path, shard_images: int, descriptor_norm: str, memory_mib: int):
        """Args:

        output: where `collection.npz`, `regions/` and `descriptors/` are.
        shard_images: images of a shard.
        descriptor_norm: as in the settings.
        memory_mib: for descriptors read before.
        """
        arrays = shards.read_arrays(output / COLLECTION)
        self.counts = arrays["count"].astype(np.int64)
        self.starts = np.cumsum(self.counts) - self.counts
        self.sizes = np.stack([arrays["height"], arrays["width"]], axis=1)
        self._mean = arrays["descriptor_mean"] if descriptor_norm == "center_l2" else None
        self._output = output
        self._shard_images = shard_images
        self._left = memory_mib * 2**20
        self._vectors: collections.OrderedDict[int, np.ndarray] = collections.OrderedDict()
        self._shard = functools.lru_cache(maxsize=64)(self._read_shard)

    def boxes(self, image: int) -> np.ndarray:
        """int32 [R, 4]."""
        regions, _, rows = self._place(image)
        return regions["boxes"][rows]

    def descriptors(self, image: int) -> np.ndarray:
        """float32 [R, C], normalized."""
        if image in self._vectors:
            self._vectors.move_to_end(image)
            return self._vectors[image]
        _, table, rows = self._place(image)
        vectors = table[rows].astype(np.float32)
        if self._mean is not None:
            vectors -= self._mean
            vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        self._vectors[image] = vectors
        self._left -= vectors.nbytes
        while self._left < 0 and len(self._vectors) > 2:
            _, oldest = self._vectors.popitem(last=False)
            self._left += oldest.nbytes
        return vectors

    def _place(self, image: int) -> tuple[dict[str, np.ndarray], np.ndarray, slice]:
        number = image // self._shard_images
        regions, table = self._shard(number)
        start = self.starts[image] - self.starts[number * self._shard_images]
        return regions, table, slice(start, start + self.counts[image])

    def _read_shard(self, number: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
        regions = shards.read_arrays(shards.shard_path(self._output / REGIONS, number))
        path = shards.shard_path(self._output / DESCRIPTORS, number, ".npy")
        return {"boxes": regions["boxes"]}, np.load(path, mmap_mode="r", allow_pickle=False)
