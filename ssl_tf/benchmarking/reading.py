"""Reading and decoding alone, from the files that training reads: images, and what was prepared."""

import dataclasses
import os
from collections.abc import Iterator

import tensorflow as tf

from ssl_tf.benchmarking import READING
from ssl_tf.benchmarking.floor import BATCH, ENDLESS, EXAMPLES
from ssl_tf.benchmarking.timing import Contender
from ssl_tf.data.batches import with_private_threads
from ssl_tf.data.decoding import KnownImages, decode_fast
from ssl_tf.data.source import IndexedSource, Source
from ssl_tf.data.sources.opening import open_split
from ssl_tf.settings import InputBenchmarkSettings


def contenders(settings: InputBenchmarkSettings) -> list[Contender]:
    """Each output of `prepare` that is to be measured, beside the images of the settings.

    Returns:
        The contenders, the images of the settings first; none if there is no output to measure.

    Raises:
        UserError: images are missing.
    """
    if not settings.beside:
        return []
    data, seed = settings.pretrain.data, settings.pretrain.run.seed
    found = [_contender(READING, open_split(data, data.split), seed)]
    for directory in settings.beside:
        prepared = dataclasses.replace(
            data, dataset="", image_folder="", tfrecord="", prepared=directory
        )
        name = f"{READING}, {os.path.basename(os.path.normpath(directory))}"
        found.append(_contender(name, open_split(prepared, "train"), seed))
    return found


def _contender(name: str, source: Source, seed: int) -> Contender:
    """Endless batches of a shuffled run, of which each image leaves one pixel."""
    known = KnownImages(all_known=True)
    if isinstance(source, IndexedSource):
        source = source.repeated(EXAMPLES)

    def decoded(example: dict[str, tf.Tensor]) -> tf.Tensor:
        # What follows is the recipe, so the image is not copied into a batch.
        return decode_fast(example, source.unreadable, known)["image"][0, 0, 0]

    batches = source.stream(seed, 0, ENDLESS, transform=decoded).batch(BATCH).prefetch(2)

    def start() -> Iterator[int]:
        return (BATCH for _ in with_private_threads(batches))

    return Contender(name, start)
