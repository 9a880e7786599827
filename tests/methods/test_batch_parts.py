"""Parts of one image are refused where batch normalization would leave nothing of them."""

import pytest
import tensorflow as tf

from ssl_tf.errors import SettingsError
from ssl_tf.methods.batch_parts import check_parts
from ssl_tf.networks import resnet
from ssl_tf.pretraining.compiling import build_compiled, steps_at_once
from ssl_tf.pretraining.dry_run import describe
from ssl_tf.settings import METHODS
from ssl_tf.training.plan import make_plan
from tests.methods.small_methods import BATCH, CLASSES, IMAGES, SMALL, make, small_settings

# Methods whose heads have no batch normalization: MoCo's are plain, DINO's published ones, too.
PLAIN = {"moco", "densecl", "dino", "supervised"}
ONE_IMAGE = f"--batch_size=8 --accumulate={BATCH}: a part is one image"


@pytest.fixture(scope="module", autouse=True)
def four_blocks():
    with pytest.MonkeyPatch.context() as patch:
        # The last map of 16 pixels is 2 x 2, that of 8 is one position.
        patch.setitem(resnet.DEPTHS, 18, ((1, 1, 1, 1), False))
        yield


def build(name, *flags):
    settings = small_settings(f"--method={name}", *SMALL[name].flags, *flags)
    plan = make_plan(settings.optimization, IMAGES)
    return build_compiled(settings, tf.distribute.get_strategy(), plan, CLASSES)


@pytest.mark.parametrize("name", METHODS)
def test_a_normalized_head_needs_parts_of_two(name):
    one = f"--accumulate={BATCH}"
    if name in PLAIN:
        assert build(name, one).accumulate == BATCH
    else:
        with pytest.raises(SettingsError, match=ONE_IMAGE):
            build(name, one)
        assert build(name, f"--accumulate={BATCH // 2}").accumulate == BATCH // 2


@pytest.mark.parametrize("name", METHODS)
def test_a_loss_of_a_part_is_told(name, capsys):
    build(name, "--accumulate=2")
    told = f"--accumulate=2: the loss of {name} compares the 4 images of a part"
    assert (told in capsys.readouterr().err) == (name in {"simclr", "barlow_twins", "swav"})
    build(name)
    assert "--accumulate" not in capsys.readouterr().err


def test_a_shuffle_on_one_replica_is_told(capsys):
    told = "--batch_norm=shuffled: one replica has nothing to shuffle"
    build("moco", "--batch_norm=shuffled")
    assert told in capsys.readouterr().err
    build("moco")
    assert told not in capsys.readouterr().err


@pytest.mark.parametrize(
    "flags, steps, flag",
    [
        ("--steps_per_execution=20", 20, ""),
        ("--steps_per_execution=5000 --log_every=20", 20, "log_every"),
        ("--steps_per_execution=5000 --log_every=300 --monitor_every=40", 32, "checkpoint_every"),
        ("--steps_per_execution=5000 --log_every=300 --checkpoint_every=9", 24, "monitor_every"),
    ],
)
def test_an_execution_ends_where_something_waits_for_it(flags, steps, flag, capsys):
    periods = "--epochs=100 --warmup_epochs=1 --checkpoint_every=4 --monitor_every=3"
    settings = small_settings("--method=byol", *periods.split(), *flags.split())
    plan = make_plan(settings.optimization, 8 * settings.optimization.batch_size)
    assert steps_at_once(settings, plan) == steps
    told = capsys.readouterr().err
    assert (f"cut to {steps}, the steps of --{flag}" in told) if flag else not told


def test_a_head_that_is_normalized_by_a_flag_needs_parts_of_two():
    with pytest.raises(SettingsError, match=ONE_IMAGE):
        build("dino", "--head_batch_norm", f"--accumulate={BATCH}")


def test_a_map_of_one_position_needs_parts_of_two():
    with pytest.raises(SettingsError, match=ONE_IMAGE):
        build("moco", "--image_size=8", f"--accumulate={BATCH}")
    assert build("moco", "--image_size=8", "--accumulate=4").accumulate == 4


def test_a_part_is_over_all_replicas_where_statistics_are():
    flags = ["--method=simsiam", "--accumulate=4"]
    # Two replicas have one image each, and normalize both together.
    check_parts(make(*flags), small_settings(*flags), replicas=2)
    flags = ["--method=moco", "--image_size=8", "--accumulate=4"]
    check_parts(make(*flags), small_settings(*flags), replicas=2)
    shuffled = small_settings(*flags, "--batch_norm=shuffled")
    with pytest.raises(SettingsError, match="--batch_norm=shuffled on 2 replicas: a part is one"):
        check_parts(make(*flags), shuffled, replicas=2)


def test_a_dry_run_refuses_what_the_run_refuses():
    flags = ["--method=byol", "--dataset=scenes", "--scenes=16", f"--accumulate={BATCH}"]
    with pytest.raises(SettingsError, match=ONE_IMAGE):
        describe(small_settings(*flags))
