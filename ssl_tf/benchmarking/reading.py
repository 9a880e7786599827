"""What the host does with prepared images, from the files that training reads."""

import dataclasses
import os

import tensorflow as tf

from ssl_tf.benchmarking import HOST_OF, READING
from ssl_tf.benchmarking.floor import BATCH, ENDLESS, EXAMPLES, contender
from ssl_tf.benchmarking.timing import Contender
from ssl_tf.data.decoding import KnownImages, decode_fast
from ssl_tf.data.order import Steps
from ssl_tf.data.source import IndexedSource, Source
from ssl_tf.data.sources.opening import open_split
from ssl_tf.pretraining.inputs import OnDevice, placed_batches
from ssl_tf.settings import InputBenchmarkSettings
from ssl_tf.views.canvases import canvas_side
from ssl_tf.views.recipe import Recipe


def contenders(settings: InputBenchmarkSettings, recipe: Recipe) -> list[Contender]:
    """Each output of `prepare` that is to be measured, beside the images of the settings.

    Args:
        settings: of the benchmark.
        recipe: of the views that are made on the device.

    Returns:
        Reading and decoding of the images of the settings; of each output the same, and then the
        host's part where the device makes the views. None if there is no output to measure.

    Raises:
        UserError: images are missing.
    """
    if not settings.beside:
        return []
    data, seed = settings.pretrain.data, settings.pretrain.run.seed
    found = [_reading(READING, _repeated(open_split(data)), seed)]
    names = [os.path.basename(os.path.normpath(directory)) for directory in settings.beside]
    for directory, name in zip(settings.beside, names):
        prepared = dataclasses.replace(
            data, dataset="", image_folder="", tfrecord="", prepared=directory
        )
        source = _repeated(open_split(prepared, "train"))
        name = name if names.count(name) == 1 else directory
        found.append(_reading(f"{READING}, {name}", source, seed))
        found.append(_host_part(f"{HOST_OF}, {name}", source, recipe, settings))
    return found


def _repeated(source: Source) -> Source:
    return source.repeated(EXAMPLES) if isinstance(source, IndexedSource) else source


def _host_part(
    name: str, source: Source, recipe: Recipe, settings: InputBenchmarkSettings
) -> Contender:
    """Endless batches as the training step takes them where it makes the views."""
    pretrain, views = settings.pretrain, settings.pretrain.views
    device = OnDevice(canvas_side(views.canvas, source.largest_side, views.image_size))
    steps = Steps(pretrain.run.seed, BATCH, start=0, stop=ENDLESS)
    known = KnownImages(all_known=True)
    return contender(name, placed_batches(source, recipe, steps, device, known=known))


def _reading(name: str, source: Source, seed: int) -> Contender:
    """Endless batches of a shuffled run, of which each image leaves one pixel."""
    known = KnownImages(all_known=True)

    def decoded(example: dict[str, tf.Tensor]) -> tf.Tensor:
        # What follows is the recipe, so the image is not copied into a batch.
        return decode_fast(example, source.unreadable, known)["image"][0, 0, 0]

    batches = source.stream(seed, 0, ENDLESS, transform=decoded).batch(BATCH).prefetch(2)
    return contender(name, batches)
