"""The settings that --auto chooses, at four sizes of data on four machines."""

import dataclasses
import math

import pytest

from ssl_tf.errors import SettingsError
from ssl_tf.networks.resnet import activation_floats, build_resnet
from ssl_tf.pretraining.auto_rules import FLOATS_A_PIXEL, RULES, SMALL_STEM, Facts, choose
from ssl_tf.pretraining.machine import Machine
from ssl_tf.settings import METHODS, PretrainSettings, fields, flagfiles
from ssl_tf.settings.methods import PrototypeFlags, QueueFlags

TWO_CORES = Machine(2, 8.0)
LAPTOP = Machine(8, 16.0)
ONE_GPU = Machine(16, 64.0, 1, 16.0)
EIGHT_GPUS = Machine(96, 512.0, 8, 80.0)


def chosen(facts, **given):
    choices = choose(facts, given)
    return {name: value for choice in choices for name, value in choice.flags.items()}


def settings(facts, **given):
    """What the flags are in a run: those that are given come last."""
    given = {"image_folder": "x", **given}
    flags = flagfiles.as_arguments(None, chosen(facts, **given))
    return flagfiles.parse([*flags, *flagfiles.as_arguments(None, given)], PretrainSettings)


# images, side, machine -> method, depth, width, side of a view, batch, epochs, held out, queue,
# epochs between two looks.
TABLE = [
    (8, 375, TWO_CORES, "moco", 18, 0.5, 96, 2, 400, 4, 4, 40),
    (24, 375, TWO_CORES, "moco", 18, 0.5, 96, 8, 400, 8, 16, 40),
    (40, 375, TWO_CORES, "moco", 18, 0.5, 96, 16, 400, 8, 32, 40),
    (300, 375, TWO_CORES, "moco", 18, 0.5, 96, 64, 400, 30, 128, 40),
    (10_000, 375, TWO_CORES, "moco", 18, 0.5, 96, 128, 22, 1000, 2048, 2.2),
    (3_000_000, 375, TWO_CORES, "moco", 18, 0.5, 96, 128, 0.067, 1000, 40_192, 0.0067),
    (40, 375, LAPTOP, "moco", 18, 0.5, 96, 16, 400, 8, 32, 40),
    (10_000, 32, LAPTOP, "moco", 18, 0.5, 32, 128, 400, 1000, 2048, 40),
    (10_000, 375, LAPTOP, "moco", 18, 0.5, 96, 128, 89, 1000, 2048, 8.9),
    (3_000_000, 375, LAPTOP, "moco", 18, 0.5, 96, 128, 0.27, 1000, 65_536, 0.027),
    (300, 375, ONE_GPU, "moco", 18, 1.0, 224, 64, 800, 30, 128, 40),
    (10_000, 375, ONE_GPU, "moco", 18, 1.0, 224, 128, 800, 1000, 2176, 40),
    (3_000_000, 375, ONE_GPU, "moco", 50, 1.0, 224, 32, 33, 1000, 65_536, 1),
    (40, 375, EIGHT_GPUS, "moco", 18, 1.0, 224, 16, 800, 8, 32, 40),
    (10_000, 375, EIGHT_GPUS, "ma_ssrl", 18, 1.0, 224, 256, 800, 1000, None, 40),
    (3_000_000, 375, EIGHT_GPUS, "ma_ssrl", 50, 1.0, 224, 2048, 270, 1000, None, 1),
]


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row[0]} of {row[1]} on {row[2]}")
def test_the_choices_at_each_size(row):
    count, side, machine, method, depth, width, size, batch, epochs, held_out, queue, every = row
    made = settings(Facts(count, side, machine))
    model, optimization = made.model, made.optimization
    assert (model.method, model.depth, model.width) == (method, depth, width)
    assert made.views.image_size == size and made.data.holdout == held_out
    assert (optimization.batch_size, optimization.epochs) == (batch, epochs)
    assert optimization.batch_size % max(1, machine.gpus) == 0
    assert made.monitor.monitor_every == made.run.checkpoint_every == every
    assert optimization.warmup_epochs == pytest.approx(min(10, epochs / 20), rel=0.05)
    if queue:
        keys = batch * (2 if made.model.flags[QueueFlags].symmetric else 1)
        queue_flags = made.model.flags[QueueFlags]
        assert queue_flags.queue == queue and queue % keys == 0


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("count, machine", [(40, TWO_CORES), (3_000_000, EIGHT_GPUS)])
@pytest.mark.parametrize("side", [32, 375])
def test_every_method_gets_its_own_recipe(method, count, machine, side):
    made = settings(Facts(count, side, machine, labelled=True), method=method)
    assert made.model.method == method
    supervised = method == "supervised"
    assert len(made.views.strategies) == (1 if supervised else 2)
    if "blur" not in fields.unused(made):
        assert made.views.blur or side == 32


@pytest.mark.parametrize("method", ["moco", "densecl"])
def test_keys_are_hidden_on_several_gpus_as_in_the_recipe(method):
    norms = {
        machine.gpus: settings(Facts(3_000_000, 375, machine), method=method).model.batch_norm
        for machine in (ONE_GPU, EIGHT_GPUS)
    }
    assert norms == {1: "synchronized", 8: "shuffled"}


def test_large_images_shrink_as_in_the_code_of_the_recipe():
    for method in ("moco", "simsiam"):
        library = {
            side: settings(Facts(300, side, TWO_CORES), method=method).views.library
            for side in (32, 375)
        }
        assert library == {32: "tensorflow", 375: "pillow"}


@pytest.mark.parametrize(
    "given, memory, batch, pixels",
    [
        # Views of 224 pixels: two; two and six of 96; eight.
        ({}, 40.0, 128, 2 * 224**2),
        ({"method": "dino"}, 40.0, 64, 2 * 224**2 + 6 * 96**2),
        ({"method": "byol", "recipe": "ma_ssrl_authors"}, 16.0, 8, 8 * 224**2),
        ({"method": "byol", "recipe": "ma_ssrl_authors"}, 80.0, 64, 8 * 224**2),
    ],
)
def test_a_batch_on_a_gpu_leaves_room_for_all_its_views(given, memory, batch, pixels):
    facts = Facts(200_000, 375, Machine(16, 64.0, 1, memory))
    assert settings(facts, **given).optimization.batch_size == batch
    floats = FLOATS_A_PIXEL[50] * pixels
    assert 4 * floats * batch <= 0.6 * memory * 2**30 < 4 * floats * 2 * batch


def test_a_flag_that_is_given_is_not_chosen():
    facts = Facts(300, 375, TWO_CORES, labelled=True)
    everything = chosen(facts)
    assert {rule.flag for rule in RULES} - everything.keys() == {"stem", "augment_on"}
    for name, value in everything.items():
        assert name not in chosen(facts, **{name: value})
    # What follows from it is chosen by it.
    assert settings(facts, batch_size=8).model.flags[QueueFlags].queue == 64
    assert settings(facts, epochs=10).optimization.warmup_epochs == 0.5
    assert settings(facts, image_size=32).optimization.epochs == 400


def test_given_views_and_a_given_optimizer_keep_what_belongs_to_them():
    facts = Facts(300, 32, TWO_CORES)
    made = settings(facts, method="simsiam", recipe="ma_ssrl")
    assert made.views == settings(facts, recipe="ma_ssrl").views and made.views.blur
    made = settings(facts, optimizer="adamw", base_learning_rate=0.001, weight_decay=0.05)
    assert made.optimization.weight_decay == 0.05 and not made.optimization.decay_rank_one


def test_a_given_flag_of_the_views_leaves_the_others_to_the_recipe():
    facts = Facts(5000, 128, TWO_CORES)
    own = settings(facts).views
    assert (own.recipe, own.strategies) == ("moco", ("moco", "moco"))
    for given in (
        {"crops": "object_dilated", "proposals": "ground_truth"},
        {"crop": "random_resized"},
        {"crop_area": (0.1, 1.0)},
        {"policy_set": "cifar10"},
        {"blur": False},
    ):
        made = settings(facts, **given).views
        assert (made.recipe, made.strategies) == (own.recipe, own.strategies)
        changed = {n: value for n, value in given.items() if n != "proposals"}
        assert made == dataclasses.replace(own, **changed)


def test_what_a_given_flag_replaces_is_not_chosen():
    small = Facts(5000, 32, TWO_CORES)
    made = settings(small, method="dino", small_views=0).views
    assert made.small_views == 0 and made.recipe == "byol" and made.crop_area == (0.25, 1.0)
    # An area is that of the law beside which it was tuned.
    made = settings(small, method="swav", crop="uniform").views
    assert made.crop_area == () and made.recipe == "simclr" and made.jitter_strength == 0.5


def test_an_optimizer_of_the_recipe_keeps_its_rate_and_decay():
    facts = Facts(5000, 128, TWO_CORES)
    for method, name in (("moco", "sgd"), ("byol", "lars")):
        own, given = settings(facts, method=method), settings(facts, method=method, optimizer=name)
        assert given.optimization == own.optimization
    assert given.optimization.base_learning_rate == 3
    for rate in ({}, {"base_learning_rate": 0.001}):
        with pytest.raises(SettingsError, match="tuned with sgd; give .*--weight_decay, too"):
            settings(facts, optimizer="adamw", **rate)


# The flagfiles: of 10 epochs 0.5, of swav 1 of 400, of dino 1 of 800.
@pytest.mark.parametrize(
    "method, facts, epochs, frozen",
    [
        ("swav", Facts(1_281_167, 375, TWO_CORES), 0.16, 0.008),
        ("dino", Facts(1_281_167, 375, TWO_CORES), 0.16, 0.008),
        ("swav", Facts(5000, 128, LAPTOP), 180, 0.5),
        ("dino", Facts(5000, 128, LAPTOP), 180, 0.5),
        ("swav", Facts(14_000_000, 375, ONE_GPU), 7.1, 0.018),
        ("dino", Facts(14_000_000, 375, ONE_GPU), 7.1, 0.0089),
    ],
)
def test_periods_of_a_method_end_within_the_run(method, facts, epochs, frozen):
    own = {"swav": {"feature_queue": 128}, "dino": {"teacher_temperature": 0.1}}[method]
    made = settings(facts, method=method, **own)
    made.check_new()
    periods = {"swav": "feature_queue_start", "dino": "teacher_temperature_epochs"}
    assert made.model.periods.keys() == {"freeze_prototypes", periods[method]}
    assert made.optimization.epochs == epochs
    assert made.model.flags[PrototypeFlags].freeze_prototypes == frozen


@pytest.mark.parametrize("flag", ["init_from", "init_encoder"])
@pytest.mark.parametrize("machine", [TWO_CORES, ONE_GPU])
def test_the_network_of_given_weights_is_not_chosen(flag, machine):
    made = chosen(Facts(300, 32, machine), **{flag: "x"})
    assert not {"depth", "width", "stem"} & made.keys()


def test_a_test_split_leaves_nothing_to_hold_out():
    assert settings(Facts(50_000, 32, TWO_CORES, has_test=True)).data.holdout == 0


def test_few_cores_a_gpu_leave_the_pixels_to_the_gpu():
    facts = Facts(10_000, 375, Machine(4, 32.0, 2, 16.0))
    assert settings(facts).views.augment_on == "device"
    assert settings(Facts(10_000, 375, Machine(6, 32.0, 2, 16.0))).views.augment_on == "host"


@pytest.mark.parametrize("gpus", [3, 7])
def test_the_batch_divides_over_any_number_of_gpus(gpus):
    made = settings(Facts(10_000, 375, Machine(96, 512.0, gpus, 24.0)))
    assert made.optimization.batch_size % gpus == 0


@pytest.mark.parametrize("depth", [18, 50])
def test_the_memory_of_a_batch_is_that_of_its_activations(depth):
    network = build_resnet(depth, 1.0, "imagenet", seed=0)
    floats = activation_floats(network, 96) / 96**2
    assert FLOATS_A_PIXEL[depth] == pytest.approx(floats, rel=0.05)
    small = activation_floats(build_resnet(depth, 1.0, "small", seed=0), 32) / 32**2
    # Of the small stem it is an upper bound.
    assert 0.5 < small / floats / SMALL_STEM < 1.0


def test_a_small_gpu_gets_a_batch_that_fits():
    made = settings(Facts(3_000_000, 375, Machine(16, 64.0, 1, 8.0)))
    bytes_of_images = 2 * 4 * FLOATS_A_PIXEL[50] * 224**2 * made.optimization.batch_size
    assert 0.25 < bytes_of_images / (8 * 2**30) < 0.6


@pytest.mark.parametrize("side", [20, 32, 47, 48])
@pytest.mark.parametrize("machine", [TWO_CORES, ONE_GPU])
def test_densecl_has_several_positions_to_compare(side, machine):
    made = settings(Facts(10_000, side, machine), method="densecl")
    # ImageNet's stem halves the sides twice, the stages behind either stem three times.
    stride = 8 if made.model.stem == "small" else 32
    assert math.ceil(made.views.image_size / stride) >= 2
