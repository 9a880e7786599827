"""The matching of the pairs of images that belong to one shard."""

import time
from pathlib import Path

import numpy as np

from ssl_tf.discovery.collection import Collection
from ssl_tf.discovery.graph import make_block, write_block
from ssl_tf.discovery.matching import match_pair
from ssl_tf.discovery.neighbours import nearest_images, owners, unordered_pairs
from ssl_tf.settings import RankingSettings
from ssl_tf.sharding import shards

GRAPH = "graph"
PAIRS = "pairs.npz"


def write_pairs(path: Path, descriptors: np.ndarray, neighbours: int, shard_images: int) -> None:
    """Writes the pairs of images to compare, sorted by the shard that they belong to.

    The arrays: `pairs` int32 [P, 2], (owner, other), sorted by owner; `first` int64 [S + 1], index
    of the first pair of each shard.
    """
    pairs = unordered_pairs(nearest_images(descriptors, neighbours))
    owner = owners(pairs)
    pairs = np.stack([owner, pairs.sum(axis=1) - owner], axis=1)
    pairs = pairs[np.lexsort([pairs[:, 1], pairs[:, 0]])]
    limits = np.arange(0, len(descriptors) + shard_images, shard_images)
    shards.write_arrays(
        path, pairs=pairs.astype(np.int32), first=np.searchsorted(pairs[:, 0], limits)
    )


def match_shard(
    number: int,
    pairs: np.ndarray,
    collection: Collection,
    shard_images: int,
    settings: RankingSettings,
    output: Path,
) -> None:
    """Writes `graph/NUMBER.npz`, the block of these pairs' matches (see `graph.write_block`).

    Args:
        number: of the shard.
        pairs: int [P, 2], (an image of the shard, any image).
        collection: of all images.
        shard_images: number of images of a shard.
        settings: pair_top_k, standout and hough_anchor.
        output: directory of the discovery.
    """
    began = time.process_time()
    images = slice(number * shard_images, (number + 1) * shard_images)
    rows, columns, scores = [], [], []
    for owner, other in pairs.tolist():
        if not (collection.counts[owner] and collection.counts[other]):
            continue
        similarity = collection.descriptors(owner) @ collection.descriptors(other).T
        i, j, pair_scores = match_pair(
            similarity,
            collection.boxes(owner),
            collection.boxes(other),
            tuple(collection.sizes[owner].tolist()),
            tuple(collection.sizes[other].tolist()),
            settings.pair_top_k,
            settings.standout,
            settings.hough_anchor,
        )
        rows.append(collection.starts[owner] + i)
        columns.append(collection.starts[other] + j)
        scores.append(pair_scores)
    no_matches = [np.zeros(0, np.int64)]
    block = make_block(
        int(collection.starts[images][0]),
        int(collection.counts[images].sum()),
        np.concatenate(rows or no_matches),
        np.concatenate(columns or no_matches),
        np.concatenate(scores or no_matches),
    )
    path = shards.shard_path(output / GRAPH, number)
    write_block(path, block, seconds=time.process_time() - began)
