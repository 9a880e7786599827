"""The stages over all shards, as Apache Beam transforms; see `sharding.running`."""

import functools
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ssl_tf.data.source import Source
from ssl_tf.discovery.choice import BOXES, choose_shard
from ssl_tf.discovery.collection import COLLECTION, Collection
from ssl_tf.discovery.describing_shards import DESCRIPTORS, REGIONS, describe_shard
from ssl_tf.discovery.map_encoder import Encoder
from ssl_tf.discovery.matching_shards import GRAPH, PAIRS, match_shard
from ssl_tf.errors import UserError
from ssl_tf.settings import DiscoverSettings
from ssl_tf.sharding import shards
from ssl_tf.sharding.running import Work, run_shards

RANKING = "ranking"
# Of the images in the record of the data.
PART = "described"
# What a stage does, by the directory of its shards.
_TITLES = {REGIONS: "regions of images", GRAPH: "matches of pairs", BOXES: "choice of boxes"}


def describe(settings: DiscoverSettings, sizes: np.ndarray) -> None:
    """Writes `regions/` and `descriptors/`; sizes: number of images of each shard."""
    output = Path(settings.output)
    (output / DESCRIPTORS).mkdir(exist_ok=True)
    # Both are of one work, which is done again where one was removed; none is read after matching.
    for number in range(len(sizes)) if not (output / RANKING).exists() else ():
        if not shards.shard_path(output / DESCRIPTORS, number, ".npy").exists():
            shards.shard_path(output / REGIONS, number).unlink(missing_ok=True)
    _run(settings, REGIONS, functools.partial(_prepare_describe, settings), sizes, "images")


def find(settings: DiscoverSettings, sizes: np.ndarray) -> None:
    """Writes `regions/` of objects of single images; sizes: number of images of each shard."""
    _run(settings, REGIONS, functools.partial(_prepare_find, settings), sizes, "images")


def compare(settings: DiscoverSettings, sizes: np.ndarray) -> None:
    """Writes `graph/`; sizes: number of pairs of each shard."""
    _run(settings, GRAPH, functools.partial(_prepare_compare, settings), sizes, "pairs")


def choose(settings: DiscoverSettings, sizes: np.ndarray, score_files: dict[str, Path]) -> None:
    """Writes `boxes/`, anew where a shard lacks a ranker: a start without --boxes had one alone.

    Args:
        settings: of the discovery.
        sizes: number of images of each shard.
        score_files: ranker -> npy of its scores, float64 [R]; empty: the regions have scores.
    """
    needed = {f"{name}_count" for name in score_files or (settings.discoverer,)}
    for number in range(len(sizes)):
        path = shards.shard_path(Path(settings.output) / BOXES, number)
        if path.exists() and not needed <= shards.array_names(path):
            path.unlink()
    prepare = functools.partial(_prepare_choose, settings, score_files)
    _run(settings, BOXES, prepare, sizes, "images")


def _open(settings: DiscoverSettings) -> tuple[Source, Encoder]:
    """The images and the encoder, in a worker.

    Raises:
        UserError: they are not those that the discovery began with.
    """
    from ssl_tf.data.sources.opening import open_training_source
    from ssl_tf.discovery.feature_maps import open_encoder
    from ssl_tf.training.begun_output import open_begun

    return open_begun(
        Path(settings.output),
        PART,
        lambda: open_training_source(settings.data)[0],
        lambda: open_encoder(settings.features),
    )


def _prepare_describe(settings: DiscoverSettings) -> Work:
    source, encoder = _open(settings)
    return lambda number: describe_shard(number, source, encoder, settings, Path(settings.output))


def _prepare_find(settings: DiscoverSettings) -> Work:
    from ssl_tf.discovery.single_image import find_shard

    source, encoder = _open(settings)
    return lambda number: find_shard(number, source, encoder, settings, Path(settings.output))


def _prepare_compare(settings: DiscoverSettings) -> Work:
    output = Path(settings.output)
    collection = Collection(
        output, settings.shard_images, settings.features.descriptor_norm, settings.memory_mib
    )
    table = shards.read_arrays(output / PAIRS)

    def work(number: int) -> None:
        pairs = table["pairs"][table["first"][number] : table["first"][number + 1]]
        match_shard(number, pairs, collection, settings.shard_images, settings.ranking, output)

    return work


def _prepare_choose(settings: DiscoverSettings, score_files: dict[str, Path]) -> Work:
    output, ranking = Path(settings.output), settings.ranking
    if not score_files:

        def choose_found(number: int) -> None:
            found = shards.read_arrays(shards.shard_path(output / REGIONS, number))
            choose_shard(number, {settings.discoverer: found["scores"]}, ranking, output)

        return choose_found
    scores = {name: shards.read_array(path) for name, path in score_files.items()}
    collection = Collection(output, settings.shard_images, settings.features.descriptor_norm, 0)

    def work(number: int) -> None:
        images = slice(number * settings.shard_images, (number + 1) * settings.shard_images)
        path = shards.shard_path(output / REGIONS, number)
        if not np.array_equal(shards.read_arrays(path)["count"], collection.counts[images]):
            raise UserError(
                f"{path} was made again, with other regions than those that were compared; in "
                f"{output} remove {COLLECTION}, {PAIRS}, {GRAPH}/ and {RANKING}/, which are made "
                "again, too"
            )
        start, count = collection.starts[images][0], collection.counts[images].sum()
        shard_scores = {
            name: np.array(array[start : start + count]) for name, array in scores.items()
        }
        choose_shard(number, shard_scores, ranking, output)

    return work


def _run(
    settings: DiscoverSettings,
    stage: str,
    prepare: Callable[[], Work],
    sizes: np.ndarray,
    unit: str,
) -> None:
    directory = Path(settings.output) / stage
    directory.mkdir(exist_ok=True)
    run_shards(
        f"{_TITLES[stage]} ({stage}/)",
        prepare,
        [shards.shard_path(directory, number) for number in range(len(sizes))],
        sizes,
        unit,
        log=Path(settings.output) / "workers.log",
        workers=settings.workers,
        beam_options=settings.beam_options,
    )
