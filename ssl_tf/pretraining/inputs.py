"""The batches of views on which a method trains, and a picture of the first ones."""

import dataclasses
import functools
import os
from pathlib import Path

import tensorflow as tf

from ssl_tf.data.batches import training_batches, transformed_batches
from ssl_tf.data.decoding import KnownImages, decode, decode_fast
from ssl_tf.data.order import Share, Steps, example_seed
from ssl_tf.data.source import Source
from ssl_tf.errors import UserError, printable
from ssl_tf.methods.base import Method
from ssl_tf.pretraining.machine import read_machine
from ssl_tf.pretraining.resident import ResidentImages, should_be_resident
from ssl_tf.settings import PretrainSettings, ViewSettings
from ssl_tf.training.plan import Plan
from ssl_tf.views.canvases import canvas_side, crops_on_canvas, fitted, on_canvas
from ssl_tf.views.device import PLACES, DeviceViews, drawn_batches
from ssl_tf.views.gallery import Example, view_cells
from ssl_tf.views.recipe import Recipe
from ssl_tf.views.regions import smallest_areas
from ssl_tf.views.sheet import draw_sheet

_SHOWN = 8


@dataclasses.dataclass(frozen=True)
class OnDevice:
    """How the step gets images from which it makes the views itself.

    Attributes:
        side: of the canvases that the images lie on, in pixels.
        resident: the images of the source, where they stay on the device; else the host sends them.
    """

    side: int
    resident: ResidentImages | None = None


def build_recipe(settings: PretrainSettings, source: Source) -> Recipe:
    """The recipe of all views that the method of a run takes.

    Args:
        settings: of the run.
        source: of the images; boxes are read where crops are drawn in them.
    """
    views = settings.views
    smallest = smallest_areas(views, source.boxes)
    return Recipe(views, smallest, settings.with_original, cut_side(views, source))


def cut_side(views: ViewSettings, source: Source) -> int | None:
    """The side of the canvases from which the training step cuts; None if the host cuts."""
    if views.augment_on == "host":
        return None
    return canvas_side(views.canvas, source.largest_side, views.image_size)


def on_device(
    settings: PretrainSettings, source: Source, strategy: tf.distribute.Strategy
) -> OnDevice | None:
    """What --augment_on=device, --canvas and --resident ask for; None if the host makes the views.

    Raises:
        SettingsError: the images do not fit the device.
        UserError: too many images are unreadable, or the stored data is damaged.
    """
    views = settings.views
    side = cut_side(views, source)
    if side is None:
        return None
    resident = should_be_resident(views.resident, source.size, side, read_machine())
    return OnDevice(side, ResidentImages(source, side, strategy) if resident else None)


def method_batches(
    method: Method,
    source: Source,
    recipe: Recipe,
    steps: Steps,
    device: OnDevice | None,
) -> tf.data.Dataset:
    """The batches of the steps as `method.train_step` takes them.

    Args:
        method: that trains; with `device` it gets its function `augment`.
        source: of the images.
        recipe: of the views.
        steps: as in `training_batches`.
        device: how the training step makes the views, in place of the input pipeline.
    """
    if device is None:
        needed = ("views", *method.needs)
        batches = _host_batches(source, recipe, steps, needed)
    else:
        needed = tuple(name for name in method.needs if name != "original")
        batches = placed_batches(source, recipe, steps, device, needed)
        method.augment = DeviceViews(recipe, device.resident and device.resident.canvases)
    if "label" in needed:
        batches = batches.map(functools.partial(_label_checked, source))
    kept = needed if device is None else ("placed", *needed)
    return batches.map(lambda batch: {name: batch[name] for name in kept})


def _host_batches(
    source: Source, recipe: Recipe, steps: Steps, needed: tuple[str, ...]
) -> tf.data.Dataset:
    """Batches of what `recipe` returns, as far as it is needed, and of the labels."""

    def select_needed(*example: tf.Tensor) -> dict[str, tf.Tensor | tuple]:
        # Only returned values are computed and batched. The label comes from the source.
        outputs = recipe(*example)
        return {name: outputs[name] for name in needed if name != "label"}

    return training_batches(source, select_needed, steps, with_boxes=recipe.takes_boxes)


def placed_batches(
    source: Source,
    recipe: Recipe,
    steps: Steps,
    device: OnDevice,
    needed: tuple[str, ...] = (),
    known: KnownImages | None = None,
) -> tf.data.Dataset:
    """Batches of images, or of their indices, and of what is drawn for them, for `DeviceViews`.

    Args:
        source, recipe, steps, device: as in `method_batches`.
        needed: keys of `Recipe.place`, or "label".
        known: as in `training_batches`.

    Returns:
        A data set of dicts of "placed" and what is needed.
    """
    resident, known = device.resident, known or KnownImages()

    def decoded(example: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        if resident is not None:
            return resident.look_up(example)
        example = decode_fast(example, source.unreadable, known, device.side)
        image = fitted(example["image"], device.side)
        return {**example, "image": image, "held": tf.shape(image)[:2]}

    def place(example: dict[str, tf.Tensor], seed: tf.Tensor) -> dict[str, tf.Tensor | dict]:
        boxes = (example.get("boxes", tf.zeros([0, 4])),) if recipe.takes_boxes else ()
        # Some laws of crops count pixels: those of the image, however small its copy is.
        made = recipe.place(*tf.unstack(example["sides"]), seed, *boxes)
        images = (
            {"canvas": on_canvas(example["image"], device.side)}
            if resident is None
            else {"index": example["index"]}
        )
        sides = {name: example[name] for name in ("sides", "held")}
        placed = {**images, **sides, **{name: made[name] for name in PLACES}}
        return {"placed": placed, **{name: {**made, **example}[name] for name in needed}}

    def moved(batch: dict) -> dict:
        placed = dict(batch["placed"])
        sides = placed.pop("sides"), placed.pop("held")
        return {**batch, "placed": {**placed, "crops": crops_on_canvas(placed["crops"], *sides)}}

    # A batch at once, not image by image.
    batches = transformed_batches(source, place, steps, decode=decoded).map(moved)
    return drawn_batches(batches, recipe)


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
    device = on_device(settings, source, strategy)

    def worker_batches(context: tf.distribute.InputContext) -> tf.data.Dataset:
        share = Share(batch_size, context.input_pipeline_id, context.num_input_pipelines)
        steps = Steps(settings.run.seed, batch_size, start, plan.total_steps, share)
        batches = method_batches(method, source, recipe, steps, device)
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
    """Writes a PNG of the first views of a run, as `views_report` shows them.

    Without a readable image there is no PNG. The run goes on to its first batch, and ends there.

    Raises:
        UserError: too many images are unreadable, or the stored data is damaged.
    """
    examples = _readable(source, seed, _SHOWN, recipe.takes_boxes)
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
        UserError: no image is readable, too many are not, or the stored data is damaged.
    """
    examples = _readable(source, seed, count, with_boxes)
    if not examples:
        raise UserError(f"{source.name}: no image can be decoded; mend or convert them")
    return examples


def _readable(source: Source, seed: int, count: int, with_boxes: bool) -> list[Example]:
    """As `first_examples`; empty if no image is readable."""
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
