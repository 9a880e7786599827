"""Step counts and learning rate of a run."""

import pytest

from ssl_tf.errors import SettingsError
from ssl_tf.settings import OptimizationSettings, flagfiles
from ssl_tf.training.plan import make_plan


def optimization(*flags):
    return flagfiles.parse(flags, OptimizationSettings)


def test_a_batch_above_the_images_is_told(capsys):
    flags = ("--batch_size=64", "--epochs=4", "--warmup_epochs=1")
    assert make_plan(optimization(*flags), 64).total_steps == 4
    assert capsys.readouterr().err == ""
    assert make_plan(optimization(*flags), 63).total_steps == 3
    assert "--batch_size=63 or less" in capsys.readouterr().err


def test_a_period_within_the_run_ends_before_its_last_step():
    # Half an epoch of 20 images: 1.25 steps of eight images, of which the run has but one.
    short = make_plan(optimization("--batch_size=8", "--epochs=0.7", "--warmup_epochs=0"), 20)
    assert (short.total_steps, short.steps_of(0.6), short.steps_until(0.6)) == (1, 2, 0)
    longer = make_plan(optimization("--batch_size=8", "--epochs=2", "--warmup_epochs=0"), 20)
    assert [longer.steps_until(epochs) for epochs in (0, 0.1, 0.6, 1.9)] == [0, 1, 2, 4]


def test_a_run_without_a_step_is_refused():
    with pytest.raises(SettingsError, match="do not fill one batch"):
        make_plan(optimization("--batch_size=64", "--epochs=1", "--warmup_epochs=0"), 63)


def test_batches_of_two_epochs_that_hold_images_twice_are_told(capsys):
    """In order: a quarter of the images, a divisor, and 256 of 300, of which up to 54 repeat."""
    for batch, images, told in ((64, 256, ""), (150, 300, ""), (100, 450, ""), (256, 300, "55")):
        make_plan(optimization(f"--batch_size={batch}", "--epochs=20", "--warmup_epochs=1"), images)
        err = capsys.readouterr().err
        assert (f"holds up to {told} images twice" in err) if told else not err


def test_a_warm_up_of_most_steps_is_told(capsys):
    flags = ("--batch_size=8", "--epochs=12", "--warmup_epochs=10")
    make_plan(optimization(*flags), 64)
    assert "the learning rate rises for 80 of the 96 steps" in capsys.readouterr().err


def test_a_warm_up_of_less_than_a_step_is_told(capsys):
    flags = ("--batch_size=16", "--epochs=12", "--warmup_epochs=0.25")
    assert make_plan(optimization(*flags), 56).warmup_steps == 0
    assert "--warmup_epochs=0.25: less than a batch of 56 images" in capsys.readouterr().err
    assert make_plan(optimization(*flags), 64).warmup_steps == 1
    assert not capsys.readouterr().err
