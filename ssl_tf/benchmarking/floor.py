"""The floor, the least work of any pipeline of views, and data sets as contenders."""

import math
from collections.abc import Callable, Iterator, Sequence

import tensorflow as tf

from ssl_tf.benchmarking.timing import Contender
from ssl_tf.data.batches import with_private_threads
from ssl_tf.data.decoding import pixels
from ssl_tf.settings import ViewSettings
from ssl_tf.views import crops

BATCH = 32
ENDLESS = 2**31
# The number of examples of a large data set: TensorFlow's shuffle searches at least 2**16 places,
# so the order of a few images takes more time than that of a million.
EXAMPLES = 2**20


def floor_views(
    encoded: tf.Tensor, counter: tf.Tensor, settings: ViewSettings, with_original: bool = False
) -> tuple[tf.Tensor, ...]:
    """The views of an image, decoded once, cropped and resized: uint8 [S, S, 3], small ones last.

    The original follows them, the whole image resized.

    Args:
        encoded: string scalar.
        counter: int64 scalar, seed of the crops' positions.
        settings: number and side of the views, ratio of the crops and area of the small ones.
        with_original: whether to make the original.
    """
    image = pixels(encoded)
    height, width = tf.unstack(tf.shape(image)[:2])
    large, small = len(settings.strategies), settings.small_views
    small_ratio = tuple(math.sqrt(area) for area in settings.small_area)
    sizes = [(settings.image_size, settings.crop_ratio)] * large
    sizes += [(settings.small_image_size, small_ratio)] * small
    sizes += [(settings.image_size, (1.0, 1.0))] * with_original
    uniform = tf.random.stateless_uniform([len(sizes), 3], tf.stack([counter, counter]))
    views = []
    for v, (side, ratio) in enumerate(sizes):
        rectangle = crops.uniform_crop(height, width, uniform[v], ratio)
        top, left, h, w = tf.unstack(rectangle)
        resized = tf.image.resize(image[top : top + h, left : left + w], (side, side))
        views.append(tf.cast(resized, tf.uint8))
    return tuple(views)


def floor_batches(
    encoded: Sequence[bytes],
    settings: ViewSettings,
    distort: Callable = tf.identity,
    with_original: bool = False,
) -> tf.data.Dataset:
    """Endless batches of the floor's views, with `distort` applied to each (uint8 [S, S, 3])."""
    images = tf.constant(list(encoded))

    def views(counter: tf.Tensor) -> tuple[tf.Tensor, ...]:
        image = tf.gather(images, counter % len(encoded))
        floor = floor_views(image, counter, settings, with_original)
        return tuple(distort(view) for view in floor)

    return (
        tf.data.Dataset.range(ENDLESS)
        .map(views, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        .batch(BATCH)
        .prefetch(2)
    )


def contender(name: str, batches: tf.data.Dataset) -> Contender:
    """A data set of batches of `BATCH`, on the threads that training would give it."""
    batches = with_private_threads(batches)

    def start() -> Iterator[int]:
        return (BATCH for _ in batches)

    return Contender(name, start)
