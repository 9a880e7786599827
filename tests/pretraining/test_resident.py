"""Views of images that stay on the device against those of images that the host sends."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from ssl_tf.data.order import Steps
from ssl_tf.errors import SettingsError
from ssl_tf.pretraining.inputs import OnDevice, method_batches
from ssl_tf.pretraining.machine import Machine
from ssl_tf.pretraining.resident import ResidentImages, should_be_resident
from ssl_tf.settings import ViewSettings
from ssl_tf.training.strategy import mirrored_strategy
from ssl_tf.views.recipe import Recipe
from tests.data.opened import source_of

SIDE, BATCH, IMAGES = 24, 4, 10


class Taker:
    """Takes the batches in place of a method."""

    needs = ("rectangles", "flipped")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Ten pictures of other sizes, three of them longer than the canvas, and one that is none."""
    directory = tmp_path_factory.mktemp("pictures")
    random = np.random.default_rng(0)
    for number in range(IMAGES - 1):
        sides = random.integers(9, 25, 2) * (1 + (number % 3 == 0))
        pixels = random.integers(0, 256, [*sides, 3], np.uint8)
        Image.fromarray(pixels).save(directory / f"{number}.{'jpg' if number % 2 else 'png'}")
    (directory / "bad.png").write_bytes(b"no image")
    return directory


def steps_of(folder, resident, start, strategy=None):
    """The views of steps `start` to 5, two epochs in all; each replica's batch."""
    strategy = strategy or tf.distribute.get_strategy()
    source = source_of(image_folder=str(folder))
    images = ResidentImages(source, SIDE, strategy) if resident else None
    recipe = Recipe(ViewSettings(image_size=12, recipe="byol"))
    taker = Taker()
    batches = method_batches(
        taker, source, recipe, Steps(5, BATCH, start, 5), OnDevice(SIDE, images)
    )
    replicas = strategy.num_replicas_in_sync
    distributed = strategy.experimental_distribute_dataset(batches)
    step = tf.function(lambda batch: strategy.run(taker.augment, [batch]))
    made = []
    for batch in distributed:
        parts = [strategy.experimental_local_results(part) for part in tf.nest.flatten(step(batch))]
        assert all(len(part) == replicas for part in parts)
        made.append([np.concatenate(part) for part in parts])
    return made, source.unreadable.count


def test_resident_images_give_the_views_of_sent_ones_to_the_bit(folder):
    sent, unreadable = steps_of(folder, False, 0)
    assert len(sent) == 5 and unreadable == 1
    for start in (0, 3):
        resident, unreadable = steps_of(folder, True, start)
        assert len(resident) == 5 - start and unreadable == 1
        for one, other in zip(sent[start:], resident, strict=True):
            for sent_part, resident_part in zip(one, other, strict=True):
                np.testing.assert_array_equal(sent_part, resident_part)


def test_every_replica_has_the_images(folder):
    whole, _ = steps_of(folder, False, 3)
    strategy = mirrored_strategy(["CPU:0", "CPU:1"])
    shared, _ = steps_of(folder, True, 3, strategy)
    for one, other in zip(whole, shared, strict=True):
        for part, of_replicas in zip(one, other, strict=True):
            np.testing.assert_array_equal(part, of_replicas)


def test_auto_takes_a_quarter_of_the_memory():
    gib = 2**30 // (512 * 512 * 3)  # images of a GiB
    host, gpu = Machine(2, 16.0), Machine(2, 64.0, 1, 80.0)
    assert should_be_resident("auto", 4 * gib, 512, host)
    assert not should_be_resident("auto", 5 * gib, 512, host)
    assert should_be_resident("auto", 20 * gib, 512, gpu)
    assert not should_be_resident("auto", 21 * gib, 512, gpu)
    assert should_be_resident("on", 70 * gib, 512, Machine(2, 160.0, 1, 80.0))
    assert not should_be_resident("off", 1, 512, gpu)
    # The host holds them twice while a GPU takes them, and three times where it is the device.
    small_host = Machine(2, 38.0, 1, 80.0)
    assert should_be_resident("auto", 18 * gib, 512, small_host)
    assert not should_be_resident("auto", 20 * gib, 512, small_host)
    with pytest.raises(SettingsError, match=r"take 40\.0 GiB of the host while .* has 38\.0; give"):
        should_be_resident("on", 20 * gib, 512, small_host)
    with pytest.raises(SettingsError, match=r"take 81\.0 GiB of the device .* has 80\.0; give"):
        should_be_resident("on", 81 * gib, 512, Machine(2, 400.0, 1, 80.0))
    with pytest.raises(SettingsError, match=r"--resident=on: .* of the host .* has 16\.0") as told:
        should_be_resident("on", 6 * gib, 512, host)
    assert "\n" not in str(told.value)
