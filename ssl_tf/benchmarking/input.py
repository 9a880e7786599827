"""Measurements of the input: the floor, the recipe as in training, each operation.

Encoded images are read from memory, so that the processor is measured and not the disk.
"""

import dataclasses
import statistics

import numpy as np
import tensorflow as tf

from ssl_tf.benchmarking import FIRST, FLOOR, HOST, RECIPE, reading, rivals
from ssl_tf.benchmarking.floor import BATCH, ENDLESS, EXAMPLES, contender, floor_batches
from ssl_tf.benchmarking.timing import Contender, Cost, alternate, median_cost, median_ratio
from ssl_tf.data.batches import training_batches
from ssl_tf.data.decoding import KnownImages, pixels
from ssl_tf.data.order import Steps
from ssl_tf.data.source import IndexedSource, Source
from ssl_tf.data.sources.opening import open_split, with_boxes
from ssl_tf.errors import UserError
from ssl_tf.pretraining.inputs import OnDevice, build_recipe, placed_batches
from ssl_tf.settings import InputBenchmarkSettings
from ssl_tf.views.canvases import canvas_side
from ssl_tf.views.evaluation_crop import evaluation_crop
from ssl_tf.views.level_rules import Level
from ssl_tf.views.ops import OPS, Op
from ssl_tf.views.recipe import Recipe

_OP_LEVEL = 9.0
# An operation takes a small part of an image's time, so this share of the seconds will do.
_OP_SHARE = 0.1


class Sample(IndexedSource):
    """Up to `count` readable images of a source in memory, in the order of its first epoch.

    They are repeated to the number of examples of a large data set.
    """

    def __init__(self, source: Source, count: int, seed: int):
        """Reads the images.

        Raises:
            UserError: none of them can be decoded, or they are pixels already.
        """
        if source.sequence().element_spec["image"].dtype != tf.string:
            raise UserError(f"{source.name} is not encoded; measure it by --beside")
        self.encoded: list[bytes] = []
        boxes: list[np.ndarray] = []
        self.sizes: list[tuple[int, int]] = []
        turns: list[np.ndarray] = []
        for record in source.read(source.stream(seed, 0, min(count, source.size))):
            try:
                shape = pixels(record["image"]).shape
            except tf.errors.InvalidArgumentError:
                continue
            self.encoded.append(record["image"])
            self.sizes.append((shape[0], shape[1]))
            boxes.append(record.get("boxes", np.zeros([0, 4], np.float32)))
            if "orientation" in record:
                turns.append(record["orientation"])
        if not self.encoded:
            looked_at = min(count, source.size)
            raise UserError(f"{source.name}: none of its first {looked_at} images can be decoded")
        super().__init__(source.name, EXAMPLES)
        self.largest_side = source.largest_side
        self._encoded = tf.constant(self.encoded)
        self._turns = tf.constant(turns, tf.int32) if turns else None
        self._boxes = tf.RaggedTensor.from_row_lengths(
            np.concatenate(boxes), [len(of_image) for of_image in boxes]
        )

    def boxes(self) -> tf.data.Dataset:
        return tf.data.Dataset.from_tensors(self._boxes.values)

    def _example(self, row: tf.Tensor) -> dict[str, tf.Tensor]:
        row %= len(self.encoded)
        turn = {} if self._turns is None else {"orientation": tf.gather(self._turns, row)}
        return {
            **turn,
            "id": tf.strings.as_string(row),
            "image": tf.gather(self._encoded, row),
            "boxes": self._boxes[row],
        }

    def describe(self) -> dict:
        """The name, number, median sides in pixels and median bytes of the images."""
        height, width = (int(statistics.median(sides)) for sides in zip(*self.sizes))
        size = int(statistics.median(map(len, self.encoded)))
        count = len(self.encoded)
        return dict(name=self.name, images=count, height=height, width=width, bytes=size)


def measure_one_core(settings: InputBenchmarkSettings) -> dict:
    """Costs of floor, recipe, its host part, rivals and operations, in a process of one core.

    Returns:
        "sample": description of the images; "rows": a list of name, CPU milliseconds an image,
        ratio to the floor and range of that ratio; "ops": CPU milliseconds a view of each
        operation; "missing": rival -> why it could not be measured.
    """
    views, sample = settings.pretrain.views, _sample(settings)
    recipe = _host_recipe(settings, sample)
    contenders = _own_contenders(settings, sample, recipe) + reading.contenders(settings, recipe)
    others, missing = rivals.contenders(settings.against, sample.encoded, views.image_size)
    costs = alternate([*contenders, *others], settings.timing.seconds, settings.timing.repetitions)
    return {
        "sample": sample.describe(),
        "rows": [_row(name, measured, costs[FLOOR]) for name, measured in costs.items()],
        "ops": _op_costs(settings, sample),
        "missing": missing,
    }


def measure_cores(settings: InputBenchmarkSettings, cores: int) -> dict[str, dict[str, float]]:
    """Throughput of floor, recipe and its host part, in a process of `cores` cores.

    Returns:
        name -> "images_per_second" and "used", the share of the cores' time in [0, 1]. It is less
        than 1 if the pipeline waits or other programs run.
    """
    sample = _sample(settings)
    contenders = _own_contenders(settings, sample, _host_recipe(settings, sample))
    costs = alternate(contenders, settings.timing.seconds, settings.timing.repetitions)
    medians = {name: median_cost(measured) for name, measured in costs.items()}
    return {
        name: {"images_per_second": 1.0 / cost.wall, "used": cost.cpu / cost.wall / cores}
        for name, cost in medians.items()
    }


def _host_recipe(settings: InputBenchmarkSettings, sample: Sample) -> Recipe:
    """The recipe of views that are cut from the images themselves."""
    views = dataclasses.replace(settings.pretrain.views, augment_on="host")
    return build_recipe(dataclasses.replace(settings.pretrain, views=views), sample)


def _sample(settings: InputBenchmarkSettings) -> Sample:
    pretrain = settings.pretrain
    source = open_split(pretrain.data)
    if pretrain.views.object_crops:
        source = with_boxes(source, pretrain.data)
    return Sample(source, settings.sample, pretrain.run.seed)


def _own_contenders(
    settings: InputBenchmarkSettings, sample: Sample, recipe: Recipe
) -> list[Contender]:
    views = settings.pretrain.views
    with_original = recipe.with_original
    pipelines = {FLOOR: floor_batches(sample.encoded, views, with_original=with_original)}
    steps = Steps(settings.pretrain.run.seed, BATCH, start=0, stop=ENDLESS)
    for name in (RECIPE, FIRST):
        pipelines[name] = training_batches(
            sample,
            recipe,
            steps,
            with_boxes=recipe.takes_boxes,
            known=KnownImages(all_known=name != FIRST),
        )
    device = OnDevice(canvas_side(views.canvas, sample.largest_side, views.image_size))
    pipelines[HOST] = placed_batches(
        sample, recipe, steps, device, known=KnownImages(all_known=True)
    )
    return [contender(name, batches) for name, batches in pipelines.items()]


def _row(name: str, costs: list[Cost], floor_costs: list[Cost]) -> dict:
    ratios = [cost.cpu / floor.cpu for cost, floor in zip(costs, floor_costs)]
    return {
        "name": name,
        "cpu_ms": 1e3 * median_cost(costs).cpu,
        "ratio": median_ratio(costs, floor_costs),
        "ratio_low": min(ratios),
        "ratio_high": max(ratios),
    }


def _op_costs(settings: InputBenchmarkSettings, sample: Sample) -> dict[str, float]:
    """CPU milliseconds a view of each operation, less those of the identity."""
    views = settings.pretrain.views
    patches = np.stack(
        [evaluation_crop(pixels(e), views.image_size) for e in sample.encoded[:BATCH]]
    )
    contenders = [_op_contender(index, tf.constant(patches)) for index in range(len(OPS))]
    costs = alternate(contenders, _OP_SHARE * settings.timing.seconds, settings.timing.repetitions)
    times = {name: median_cost(measured).cpu for name, measured in costs.items()}
    return {name: 1e3 * (time - times["Identity"]) for name, time in times.items()}


def _op_contender(index: int, patches: tf.Tensor) -> Contender:
    op = OPS[index]
    value = tf.constant(_typical_value(op))

    def apply(counter: tf.Tensor) -> tf.Tensor:
        patch = tf.gather(patches, counter % len(patches))
        made = op.apply(patch, value, tf.constant(128.0), tf.constant([0.5, 0.5]))
        # One pixel is returned, so that the operation is measured and not the copy of its result.
        return made[0, 0, 0]

    views = tf.data.Dataset.range(ENDLESS).map(apply, num_parallel_calls=1).batch(BATCH)
    return contender(op.name, views)


def _typical_value(op: Op) -> float:
    """Three quarters through the range at level 9 of 10: away from every special value."""
    low, high = op.value_range(Level(_OP_LEVEL))
    return low + 0.75 * (high - low)
