"""The settings that `--auto` chooses, from the images and the machine.

`RULES` is the table: a row for each flag, with its value and its reason. Rows are read from top to
bottom; each sees the flags that were given and those of the rows above. A flag that was given is
never chosen.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from ssl_tf.errors import SettingsError
from ssl_tf.pretraining.machine import Machine
from ssl_tf.settings import (
    METHODS,
    ModelSettings,
    OptimizationSettings,
    PretrainSettings,
    ViewSettings,
    fields,
    flagfiles,
)
from ssl_tf.settings.flagfile_lines import shipped
from ssl_tf.settings.methods import MethodFlags

# configs/cifar10_*.flags were tuned for a CPU and a few thousand steps; the others are published.
SHORT_STEPS = 20_000
# Images of an hour at most on one core, at 96 pixels; of a day or two on one GPU, 750 a second.
CORE_IMAGES, GPU_IMAGES = 100_000, 100_000_000
# Floats that the gradients keep of an image for each of its pixels, at width 1 (see
# `networks.resnet.activation_floats`). The small stem keeps sixteen times as many.
FLOATS_A_PIXEL = {18: 130, 34: 180, 50: 460, 101: 670, 152: 940, 200: 1200}
SMALL_STEM = 16

Values = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Facts:
    """What the rules choose from.

    Attributes:
        count: number of images, those to be held out included.
        side: median of the short sides of the images, in pixels.
        machine: of the run.
        labelled: whether the images have labels.
        has_test: whether the data has another split for the monitors.
    """

    count: int
    side: int
    machine: Machine
    labelled: bool = False
    has_test: bool = False

    @property
    def on_gpu(self) -> bool:
        return self.machine.gpus > 0

    @property
    def replicas(self) -> int:
        return max(1, self.machine.gpus)

    def trained(self, values: Values) -> int:
        """The number of images that are left to learn from."""
        return self.count - values["holdout"]

    def steps(self, values: Values) -> int:
        """The number of optimizer steps."""
        return round(values["epochs"] * self.trained(values) / values["batch_size"])

    def is_short(self, values: Values) -> bool:
        """Whether the recipes of configs/cifar10_*.flags suit the run."""
        return not self.on_gpu or self.steps(values) < SHORT_STEPS


class Rule(NamedTuple):
    """One row of the table.

    Attributes:
        flag: its name.
        choose: its value; None leaves the flag as it is.
        reason: why, for the reader of the printed flagfile.
    """

    flag: str
    choose: Callable[[Facts, Values], Any]
    reason: str


class Choice(NamedTuple):
    """Flags that were chosen for one reason: name -> value."""

    flags: dict[str, Any]
    reason: str


def choose(facts: Facts, given: Values) -> list[Choice]:
    """The flags that `RULES` and the recipe of the method give.

    Args:
        facts: of images and machine.
        given: the flags of the command line and its flagfiles, name -> value.
    """
    values, choices = dict(given), []
    for rule in RULES:
        if rule.flag not in given:
            value = rule.choose(facts, values)
            if value is not None:
                values[rule.flag] = value
                choices.append(Choice({rule.flag: value}, rule.reason))
            else:
                values[rule.flag] = _DEFAULTS[rule.flag]
        if rule.flag == "method":
            name, flags = recipe(facts, values)
            flags = {n: value for n, value in flags.items() if n not in given}
            values |= flags
            choices.append(Choice(flags, f"the recipe of this method, from configs/{name}"))
    return choices


def recipe(facts: Facts, values: Values) -> tuple[str, dict[str, Any]]:
    """The flagfile of the method for a run of this length, and what of it suits these images.

    That is its views, its optimizer, its heads and its losses, without what flags that are given
    replace.

    Raises:
        SettingsError: another optimizer is given without its rate and decay, or the method cannot
            take what is given.
    """
    method = values["method"]
    if facts.is_short(values):
        name = f"cifar10_{'moco' if method == 'densecl' else method}.flags"
    else:
        name = f"{'moco_v2' if method == 'moco' else method}.flags"
    flags = flagfiles.given([f"--flagfile={shipped(name)}"], PretrainSettings)
    wanted = _OF_METHOD | _VIEWS | _OF_OPTIMIZER
    if "recipe" in values or "view_strategies" in values:
        wanted -= _VIEWS
    if "crop" in values:
        wanted -= {"crop_area"}
    if (values.get("logical_cpus") or facts.replicas) == 1:
        wanted -= {"batch_norm"}
    if values.get("small_views") == 0:
        wanted -= {"small_image_size", "small_area"}
    if values.get("optimizer", flags["optimizer"]) != flags["optimizer"]:
        wanted -= _OF_OPTIMIZER
        _check_rate(values, flags["optimizer"])
    found = {n: value for n, value in flags.items() if n in wanted}
    if values["image_size"] > 64:
        found = {n: x for n, x in found.items() if n not in _OF_SMALL_IMAGES}
    if "small_image_size" in found:
        scale = values["image_size"] / flags["image_size"]
        found["small_image_size"] = max(8, round(found["small_image_size"] * scale))
    # In a run that is shorter than that of the flagfile its periods are shorter, too.
    model = {n: value for n, value in {**found, **values}.items() if n in _OF_MODEL}
    for period in flagfiles.from_keywords(ModelSettings, **model).periods:
        of = flags if period in flags else _DEFAULTS
        found[period] = _rounded(of[period] * min(1, values["epochs"] / of["epochs"]))
    return name, found


def _check_rate(values: Values, tuned: str) -> None:
    """Asks for what nobody tuned: the rate and the decay of an optimizer that is not the recipe's.

    Raises:
        SettingsError: one of them is not given.
    """
    missing = [f"--{n}" for n in ("base_learning_rate", "weight_decay") if n not in values]
    if missing:
        raise SettingsError(
            f"--optimizer={values['optimizer']}: the recipe of --method={values['method']} is "
            f"tuned with {tuned}; give {' and '.join(missing)}, too, or leave --optimizer out"
        )


def _image_size(facts: Facts, values: Values) -> int:
    largest = 224 if facts.on_gpu else 96
    return max(32, min(largest, facts.side // 16 * 16))


def _holdout(facts: Facts, values: Values) -> int:
    if facts.has_test:
        return 0
    return min(1000, max(8, facts.count // 10), facts.count // 2)


def _depth(facts: Facts, values: Values) -> int | None:
    if _is_given_weights(values):
        return None
    return 50 if facts.on_gpu and facts.trained(values) >= 50_000 else 18


def _stem(facts: Facts, values: Values) -> str | None:
    size = values["image_size"]
    # Of 32 pixels the stem of ImageNet leaves one position, and DenseCL compares several.
    small = size <= 64 if facts.on_gpu else size <= 32 and values.get("method") == "densecl"
    return "small" if small and not _is_given_weights(values) else None


def _width(facts: Facts, values: Values) -> float | None:
    return None if facts.on_gpu or _is_given_weights(values) else 0.5


def _is_given_weights(values: Values) -> bool:
    """Whether --init_from or --init_encoder gives the weights, and with them the network."""
    return bool(values.get("init_from") or values.get("init_encoder"))


def _epochs(facts: Facts, values: Values) -> float:
    trained = facts.trained(values)
    if facts.on_gpu:
        images, most = GPU_IMAGES * facts.replicas, 800 if trained < 100_000 else 300
    else:
        images = CORE_IMAGES * facts.machine.cores
        images *= (96 / values["image_size"]) ** 2
        most = 400
    return _rounded(min(most, images / trained))


def _batch_size(facts: Facts, values: Values) -> int:
    replicas = values.get("logical_cpus") or facts.replicas
    trained = facts.trained(values)
    # The recipes of short runs were tuned at 128; four times that is as far as their rates scale.
    wanted = max(min(trained / 4, 64), min(trained / 32, 512 if trained < 100_000 else math.inf))
    # The keys of a step, which may be of two views, are of different images.
    wanted = min(max(wanted, 16), trained / 2) / replicas
    share = _power_of_two(min(wanted, 256 if facts.on_gpu else 128))
    # The rest of the memory is for weights, optimizer and workspace.
    memory = 0.6 * facts.machine.gpu_memory * 2**30
    while facts.on_gpu and share > 1:
        batch = share * replicas
        if share * _activation_bytes(facts, {**values, "batch_size": batch}) <= memory:
            break
        share //= 2
    return share * replicas


def _activation_bytes(facts: Facts, values: Values) -> float:
    """The memory of the activations of all views of an image, in float32."""
    # Without a method that is given, one of two views is chosen.
    tuned = {n: value for n, value in values.items() if n != "optimizer"}
    flags = {**(recipe(facts, tuned)[1] if "method" in values else {}), **values}
    views = flagfiles.from_keywords(
        ViewSettings, **{n: value for n, value in flags.items() if n in _OF_VIEW_SIZES}
    )
    pixels = len(views.strategies) * views.image_size**2
    pixels += views.small_views * views.small_image_size**2
    stem = SMALL_STEM if values["stem"] == "small" else 1
    return 4 * FLOATS_A_PIXEL[values["depth"]] * values["width"] * stem * pixels


def _method(facts: Facts, values: Values) -> str:
    # BYOL, on which MA-SSRL is built, lost 3 points at batch 128 and 13 at 64 (its table 16).
    return "moco" if facts.is_short(values) or values["batch_size"] < 256 else "ma_ssrl"


def _queue(facts: Facts, values: Values) -> int | None:
    if "queue" not in METHODS[values["method"]].flag_names:
        return None
    keys = values["batch_size"] * (2 if values.get("symmetric") else 1)
    seen = facts.steps(values) * keys
    return max(1, min(65_536, facts.trained(values) // 4, seen // 10) // keys) * keys


def _monitor_every(facts: Facts, values: Values) -> float:
    every = values["epochs"] / (20 if facts.on_gpu else 10)
    return _rounded(every if facts.trained(values) < 100_000 else min(1, every))


def _augment_on(facts: Facts, values: Values) -> str | None:
    return "device" if facts.machine.cores < 3 * facts.machine.gpus else None


RULES = (
    Rule(
        "image_size",
        _image_size,
        "as large as the images; at most 224, on a CPU 96, which takes a fifth of the time",
    ),
    Rule(
        "holdout",
        _holdout,
        "a tenth of the images, at most 1,000, for the monitors; none beside a test split",
    ),
    Rule(
        "depth", _depth, "ResNet-18 learns soonest; 50 has room for 50,000 images or more, on a GPU"
    ),
    Rule(
        "width",
        _width,
        "half of all channels take a quarter of the time on a CPU",
    ),
    Rule("stem", _stem, "small images lose too much in the stem of ImageNet"),
    Rule(
        "epochs",
        _epochs,
        "at most an hour on an idle CPU, two days on GPUs; few images are seen 400 or 800 times",
    ),
    Rule(
        "batch_size",
        _batch_size,
        "128, on GPUs 256 each or what fits their memory; of few images at most a quarter",
    ),
    Rule(
        "method",
        _method,
        "in short runs MoCo-v2 is near the best (docs/measured.md), in long, large ones MA-SSRL",
    ),
    Rule(
        "warmup_epochs",
        lambda facts, values: _rounded(min(10, values["epochs"] / 20)),
        "a twentieth of the run, at most 10 epochs",
    ),
    Rule(
        "queue",
        _queue,
        "a quarter of the images: few keys are of the image itself; full after a tenth of the run",
    ),
    Rule(
        "augment_on",
        _augment_on,
        "fewer than three cores a GPU cannot make its views in time",
    ),
    Rule(
        "monitor_every",
        _monitor_every,
        "ten looks in all, twenty on a GPU; of 100,000 images or more one an epoch at least",
    ),
    Rule(
        "checkpoint_every",
        lambda facts, values: values["monitor_every"],
        "at each look",
    ),
    Rule(
        "log_every",
        lambda facts, values: min(50, max(1, facts.steps(values) // 100)),
        "about a hundred lines, at most 50 steps apart",
    ),
    Rule(
        "monitor_bank",
        lambda facts, values: 2000 if facts.labelled and not facts.on_gpu else None,
        "a look should take seconds on a CPU, too",
    ),
    Rule(
        "knn_k",
        lambda facts, values: (
            min(200, max(5, facts.trained(values) // 50)) if facts.labelled else None
        ),
        "a fiftieth of the images vote, at most 200",
    ),
    Rule(
        "max_bad_images",
        lambda facts, values: max(10, facts.count // 100),
        "a hundredth of the images may be unreadable",
    ),
)

_DEFAULTS = fields.defaults(PretrainSettings)
_VIEWS = {
    "recipe", "crop", "crops", "view_strategies", "crop_area", "jitter_strength", "blur",
    "policy_set", "small_views", "small_image_size", "small_area", "image_library",
}  # fmt: skip
_OF_VIEW_SIZES = {"recipe", "view_strategies", "image_size", "small_views", "small_image_size"}
# Chosen for images of CIFAR-10's size: the policies, no blur, and pixels without antialiasing, as
# the figures of those flagfiles were made. A photograph that shrinks so is points of itself.
_OF_SMALL_IMAGES = {"blur", "policy_set", "image_library"}
_CHOSEN = {rule.flag for rule in RULES}
_OF_OPTIMIZER = {*fields.names(OptimizationSettings)} - _CHOSEN
_OF_MODEL = {*fields.names(ModelSettings)}
# How the keys of a queue are hidden is of the method, too.
_OF_METHOD = {*fields.names(MethodFlags)} - _CHOSEN | {"batch_norm"}


def _power_of_two(number: float) -> int:
    """The largest power of two up to a number, at least 1."""
    return 2 ** max(0, math.floor(math.log2(max(number, 1))))


def _rounded(number: float) -> float:
    """Two digits are enough, and easy to read."""
    return float(f"{number:.2g}")
