"""Batches of a source: decoded, cropped or augmented, and without unreadable images."""

import functools
from collections.abc import Callable

import tensorflow as tf

from ssl_tf.cores import available_cores
from ssl_tf.data import decoding
from ssl_tf.data.decoding import KnownImages
from ssl_tf.data.order import Share, Steps, example_seed
from ssl_tf.data.source import Source
from ssl_tf.data.unreadable import UnreadableImages
from ssl_tf.views.evaluation_crop import evaluation_crop

Tensors = dict[str, tf.Tensor]

# Batches are large: two in reserve even out the input pipeline, more would only take memory.
_BATCHES_AHEAD = 2


def training_batches(
    source: Source,
    recipe: Callable[[tf.Tensor, tf.Tensor], Tensors],
    steps: Steps,
    *,
    with_boxes: bool = False,
    known: KnownImages | None = None,
) -> tf.data.Dataset:
    """The training batches of some steps, a pure function of (seed, step).

    Another example of the batch replaces an image that cannot be decoded. The run ends if no image
    of a batch can be decoded, or more images are unreadable than the source allows.

    Args:
        source: the examples; counts the images that cannot be decoded.
        recipe: `recipe(image, seed)` returns the views of a uint8 [H, W, 3] image: a dict of
            tensors (or tuples of tensors) of fixed shapes. The seed is int64 [2].
        steps: the optimizer steps whose batches are read.
        with_boxes: call `recipe(image, seed, boxes)` with the float32 [n, 4] boxes of the example;
            n is 0 if it has none.
        known: the images that have been decoded before; by default none at first.

    Returns:
        A data set of the views and, if the source has labels, "label" int64. All have a leading
        dimension of batch_size, or of the size of the share.
    """

    def make_views(example: Tensors, seed: tf.Tensor) -> Tensors:
        boxes = (example.get("boxes", tf.zeros([0, 4])),) if with_boxes else ()
        views = recipe(example["image"], seed, *boxes)
        if "label" in example:
            views["label"] = example["label"]
        return views

    return transformed_batches(source, make_views, steps, known)


def transformed_batches(
    source: Source,
    transform: Callable[[Tensors, tf.Tensor], Tensors],
    steps: Steps,
    known: KnownImages | None = None,
    decode: Callable[[Tensors], Tensors] | None = None,
) -> tf.data.Dataset:
    """The batches of some steps whose examples are transformed as a whole.

    Args:
        source: the examples; counts the images that cannot be decoded.
        transform: `transform(example, seed)` returns tensors of fixed shapes. The image of the
            example is decoded. Where "readable" is False it is black, and all else may be empty.
        steps: as in `training_batches`.
        known: as in `training_batches`.
        decode: replaces the decoding of an example; it adds "readable", bool.

    Returns:
        A data set of what `transform` returns, with a leading dimension of batch_size, or of the
        size of the share.
    """
    known = known or KnownImages()
    decode = decode or functools.partial(
        decoding.decode_fast, unreadable=source.unreadable, known=known
    )

    def transform_decoded(example: Tensors) -> tuple[Tensors, tf.Tensor]:
        example = decode(example)
        seed = example_seed(steps.seed, example["epoch"], example["index"])
        return transform(example, seed), example["readable"]

    def replace(views: Tensors, readable: tf.Tensor) -> Tensors:
        return _replace_unreadable(views, readable, source.unreadable)

    share = steps.share or Share(steps.batch_size)
    first, stop = steps.start * steps.batch_size, steps.stop * steps.batch_size
    batches = (
        source.stream(steps.seed, first, stop, share, transform_decoded)
        .batch(share.size, drop_remainder=True)
        .map(replace)
        .prefetch(_BATCHES_AHEAD)
    )
    return with_private_threads(batches)


def evaluation_batches(
    source: Source,
    image_size: int,
    batch_size: int,
    *,
    whole: bool = False,
    with_ids: bool = False,
) -> tf.data.Dataset:
    """Every readable example once, in canonical order.

    Args:
        source: the examples; counts the images that cannot be decoded, which are left out.
        image_size: side of the images, in pixels.
        batch_size: examples in a batch; the last one may be smaller.
        whole: show all of the centre square, as in `evaluation_crop`.
        with_ids: whether to give the ids, too.

    Returns:
        A data set of dicts: "image" uint8 [B, image_size, image_size, 3] (`evaluation_crop`),
        "index" int64 [B] and, if the source has labels, "label" int64 [B]; "id" string [B] if it is
        asked for.
    """
    kept = ("index", "label", "readable", *(("id",) if with_ids else ()))

    def crop(example: Tensors) -> Tensors:
        example = decoding.decode(example, source.unreadable)
        others = {key: example[key] for key in kept if key in example}
        return {"image": evaluation_crop(example["image"], image_size, whole), **others}

    def without_readable(example: Tensors) -> Tensors:
        return {key: value for key, value in example.items() if key != "readable"}

    batches = (
        source.sequence()
        .map(crop, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        .filter(lambda example: example["readable"])
        .map(without_readable)
        .batch(batch_size)
        .prefetch(_BATCHES_AHEAD)
    )
    return with_private_threads(batches)


def _replace_unreadable(
    views: Tensors, readable: tf.Tensor, unreadable: UnreadableImages
) -> Tensors:
    """The batch with each unreadable example replaced by the next readable one (cyclic)."""

    def refuse(readable_rows: tf.Tensor) -> tf.Tensor:
        def raise_error(_) -> int:
            unreadable.refuse_batch()

        return tf.numpy_function(raise_error, [readable_rows], tf.int64)

    def replace() -> Tensors:
        readable_rows = tf.where(readable)[:, 0]
        count = tf.size(readable_rows)
        readable_rows = tf.cond(count > 0, lambda: readable_rows, lambda: refuse(readable_rows))
        rows = tf.range(tf.size(readable, out_type=tf.int64))
        chosen = tf.gather(readable_rows, tf.searchsorted(readable_rows, rows) % count)
        return tf.nest.map_structure(
            lambda view: tf.ensure_shape(tf.gather(view, chosen), view.shape), views
        )

    return tf.cond(tf.reduce_all(readable), lambda: views, replace)


def with_private_threads(batches: tf.data.Dataset) -> tf.data.Dataset:
    """The batches in order, read by a private pool of two threads a core.

    A thread of the pool waits while a compiled operation runs on another thread. With one thread a
    core, two cores were idle for a tenth of the time.
    """
    options = tf.data.Options()
    options.deterministic = True
    options.threading.private_threadpool_size = 2 * len(available_cores())
    return batches.with_options(options)
