"""From a source to batches: decode, view, batch, and no hole where an image was unreadable."""

from collections.abc import Callable

import tensorflow as tf

from ssl_tf.cores import available_cores
from ssl_tf.data import decoding
from ssl_tf.data.decoding import KnownImages
from ssl_tf.data.order import Share, Steps, example_seed
from ssl_tf.data.source import Source
from ssl_tf.data.unreadable import UnreadableImages
from ssl_tf.views.evaluation import evaluation_crop

Tensors = dict[str, tf.Tensor]

# Batches are large: two in reserve hide the input's jitter, more would only take memory.
_BATCHES_AHEAD = 2


def training_batches(
    source: Source,
    recipe: Callable[[tf.Tensor, tf.Tensor], Tensors],
    steps: Steps,
    *,
    with_boxes: bool = False,
    known: KnownImages | None = None,
) -> tf.data.Dataset:
    """The batches of the steps, a pure function of (seed, step).

    Where an image cannot be decoded, a neighbour in its batch takes its place. A whole batch of
    such images ends the run, and so do more of them than the source allows.

    Args:
        source: where the records come from; counts the images that cannot be decoded.
        recipe: `recipe(image, seed)` with a uint8 [H, W, 3] image and an int64 [2] seed returns the
            views, a dict of tensors (or tuples of them) of fixed shapes.
        steps: which batches.
        with_boxes: call `recipe(image, seed, boxes)` with the float32 [n, 4] boxes of the record,
            none where it has none.
        known: the images that have been decoded before; by default none at first.

    Returns:
        A data set of what the recipe returns and, where the source has labels, "label" int64, all
        with a leading dimension batch_size, or the size of the share.
    """

    known = known or KnownImages()

    def view(record: Tensors) -> tuple[Tensors, tf.Tensor]:
        record = decoding.decode_again(record, source.unreadable, known)
        seeds = example_seed(steps.seed, record["epoch"], record["index"])
        boxes = (record.get("boxes", tf.zeros([0, 4])),) if with_boxes else ()
        made = recipe(record["image"], seeds, *boxes)
        if "label" in record:
            made["label"] = record["label"]
        return made, record["readable"]

    def fill(views: Tensors, readable: tf.Tensor) -> Tensors:
        return _filled(views, readable, source.unreadable)

    share = steps.share or Share(steps.batch_size)
    first, stop = steps.start * steps.batch_size, steps.stop * steps.batch_size
    batches = (
        source.stream(steps.seed, first, stop, share, view)
        .batch(share.size, drop_remainder=True)
        .map(fill)
        .prefetch(_BATCHES_AHEAD)
    )
    return on_own_threads(batches)


def evaluation_batches(
    source: Source,
    image_size: int,
    batch_size: int,
    *,
    whole: bool = False,
) -> tf.data.Dataset:
    """Every readable example once, in canonical order.

    Args:
        source: where the records come from; counts the images that cannot be decoded, which are
            left out.
        image_size: side of the images, in pixels.
        batch_size: examples in a batch; the last one may be smaller.
        whole: all of the centre square, as in `evaluation_crop`.

    Returns:
        A data set of dicts: "image" uint8 [B, image_size, image_size, 3] (`evaluation_crop`),
        "index" int64 [B] and, where the source has labels, "label" int64 [B].
    """

    def view(record: Tensors) -> Tensors:
        record = decoding.decode(record, source.unreadable)
        kept = {key: record[key] for key in ("index", "label", "readable") if key in record}
        return {"image": evaluation_crop(record["image"], image_size, whole), **kept}

    def without_mark(example: Tensors) -> Tensors:
        return {key: value for key, value in example.items() if key != "readable"}

    batches = (
        source.sequence()
        .map(view, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        .filter(lambda example: example["readable"])
        .map(without_mark)
        .batch(batch_size)
        .prefetch(_BATCHES_AHEAD)
    )
    return on_own_threads(batches)


def _filled(views: Tensors, readable: tf.Tensor, unreadable: UnreadableImages) -> Tensors:
    """The batch with each unreadable place filled by the next readable one (cyclic)."""

    def refuse(good: tf.Tensor) -> tf.Tensor:
        def raising(_) -> int:
            unreadable.refuse_batch()

        return tf.numpy_function(raising, [good], tf.int64)

    def fill() -> Tensors:
        good = tf.where(readable)[:, 0]
        count = tf.size(good)
        good = tf.cond(count > 0, lambda: good, lambda: refuse(good))
        places = tf.range(tf.size(readable, out_type=tf.int64))
        chosen = tf.gather(good, tf.searchsorted(good, places) % count)
        return tf.nest.map_structure(
            lambda view: tf.ensure_shape(tf.gather(view, chosen), view.shape), views
        )

    return tf.cond(tf.reduce_all(readable), lambda: views, fill)


def on_own_threads(batches: tf.data.Dataset) -> tf.data.Dataset:
    """In order, and on threads that wait for none of the program's other work: two a core.

    A thread stands still while a compiled operation runs on one of its own; with one thread a core,
    a tenth of two cores was idle.
    """
    options = tf.data.Options()
    options.deterministic = True
    options.threading.private_threadpool_size = 2 * len(available_cores())
    return batches.with_options(options)
