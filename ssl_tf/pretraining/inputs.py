"""The batches of views on which a method trains, and a picture of the first ones."""

import functools
from pathlib import Path

import tensorflow as tf

from ssl_tf.data.batches import training_batches
from ssl_tf.data.order import Steps
from ssl_tf.data.source import Source
from ssl_tf.methods.base import Method
from ssl_tf.views.device import augment_batch, cropped_batches
from ssl_tf.views.recipe import Recipe
from ssl_tf.views.sheet import draw_sheet

_SHOWN = 8


def method_batches(
    method: Method,
    source: Source,
    recipe: Recipe,
    steps: Steps,
    *,
    on_device: bool,
) -> tf.data.Dataset:
    """The batches of the steps as `method.train_step` takes them.

    Args:
        method: that trains; with `on_device` it gets its function `augment`.
        source: of the images.
        recipe: of the views.
        steps: as in `training_batches`.
        on_device: whether the training step computes the pixel operations, in place of the input
            pipeline.
    """
    make_views = recipe.crop if on_device else recipe
    needed = ("views", *method.needs)
    if on_device:
        # The original is the last of the views until the device has done their pixel operations.
        needed = (*(name for name in needed if name != "original"), "uniform")

    def select_needed(*example: tf.Tensor) -> dict[str, tf.Tensor | tuple]:
        # Only returned values are computed and batched. The label comes from the source.
        outputs = make_views(*example)
        return {name: outputs[name] for name in needed if name != "label"}

    batches = training_batches(source, select_needed, steps, with_boxes=recipe.takes_boxes)
    if "label" in needed:
        batches = batches.map(functools.partial(_label_checked, source))
    if on_device:
        method.augment = functools.partial(augment_batch, recipe)
        return cropped_batches(batches, recipe)
    return batches.map(lambda batch: {name: batch[name] for name in needed})


def _label_checked(
    source: Source, batch: dict[str, tf.Tensor | tuple]
) -> dict[str, tf.Tensor | tuple]:
    """The batch; ends the run if a label is not one of the source's classes.

    From such a label a GPU would compute NaN, and a CPU would raise an error that names no data.
    """
    labels = batch["label"]
    if source.multi_label:
        wrong = tf.reduce_any((labels != 0) & (labels != 1), axis=1)
    else:
        wrong = (labels < 0) | (labels >= source.num_classes)

    def refuse() -> tf.Tensor:
        def end_run(label) -> bool:
            source.unreadable.refuse(
                f"{source.name}: an image has the label {label}, but there are "
                f"{source.num_classes} classes, counted from 0; correct the data"
            )

        return tf.numpy_function(end_run, [tf.boolean_mask(labels, wrong)[0]], tf.bool)

    refused = tf.cond(tf.reduce_any(wrong), refuse, lambda: False)
    with tf.control_dependencies([refused]):
        return {**batch, "label": tf.identity(labels)}


def show_first_views(source: Source, recipe: Recipe, seed: int, path: Path) -> None:
    """Writes a PNG of the first views of a run, labelled with the policies that were drawn."""
    count = min(_SHOWN, source.size)
    first = Steps(seed, count, start=0, stop=1)
    batches = training_batches(source, recipe, first, with_boxes=recipe.takes_boxes)
    batch = next(batches.as_numpy_iterator())
    rows = []
    for i in range(count):
        labels = [
            recipe.describe(v, *(batch[name][i, v] for name in ("policy", "op", "value")))
            for v in range(len(batch["views"]))
        ]
        rows.append([(view[i], label) for view, label in zip(batch["views"], labels)])
    draw_sheet(rows, path)
