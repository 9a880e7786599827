"""The batches of views on which a method trains, and a picture of the first ones."""

import functools
import os
from pathlib import Path

import tensorflow as tf

from ssl_tf.data.batches import training_batches
from ssl_tf.data.decoding import decode
from ssl_tf.data.order import Share, Steps, example_seed
from ssl_tf.data.source import Source
from ssl_tf.errors import printable
from ssl_tf.methods.base import Method
from ssl_tf.settings import PretrainSettings
from ssl_tf.training.plan import Plan
from ssl_tf.views.device import augment_batch, cropped_batches
from ssl_tf.views.gallery import Example, view_cells
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


def distributed_batches(
    settings: PretrainSettings,
    method: Method,
    source: Source,
    recipe: Recipe,
    strategy: tf.distribute.Strategy,
    plan: Plan,
    start: int = 0,
) -> tf.distribute.DistributedDataset:
    """The batches of a run from a step on, each worker's share on its replicas.

    Args:
        settings: of the run.
        method: as in `method_batches`.
        source: of the images.
        recipe: of the views.
        strategy: whose replicas train.
        plan: of the run.
        start: the first step.
    """
    batch_size, replicas = plan.batch_size, strategy.num_replicas_in_sync

    def worker_batches(context: tf.distribute.InputContext) -> tf.data.Dataset:
        share = Share(batch_size, context.input_pipeline_id, context.num_input_pipelines)
        steps = Steps(settings.run.seed, batch_size, start, plan.total_steps, share)
        on_device = settings.views.augment_on == "device"
        batches = method_batches(method, source, recipe, steps, on_device=on_device)
        return batches.rebatch(batch_size // replicas) if replicas > 1 else batches

    return strategy.distribute_datasets_from_function(worker_batches)


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
    """Writes a PNG of the first views of a run, as `views_report` shows them."""
    examples = first_examples(source, seed, _SHOWN, with_boxes=recipe.takes_boxes)
    seed_of = functools.partial(example_seed, seed)
    if examples:
        draw_sheet(view_cells(recipe, examples, seed_of=seed_of, draws=1), path)


def first_examples(
    source: Source, seed: int, count: int, *, with_boxes: bool = False
) -> list[Example]:
    """The first readable images of a run, in its order.

    Args:
        source: of the images.
        seed: of the run.
        count: of the images, at most; unreadable ones are counted and left out.
        with_boxes: whether to read their boxes, too.

    Raises:
        UserError: too many images are unreadable, or the stored data is damaged.
    """
    records = (
        source.stream(seed, 0, source.size)
        .map(lambda record: decode(record, source.unreadable))
        .filter(lambda record: record["readable"])
        .take(count)
    )
    with source.reading():
        return [
            Example(
                int(record["index"]),
                printable(os.fsdecode(os.path.basename(record["id"].numpy()))),
                record["image"],
                record["boxes"] if with_boxes else None,
            )
            for record in records
        ]
