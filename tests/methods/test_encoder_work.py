"""The passes and the arithmetic that an image costs each method."""

import dataclasses
import json

import pytest

from ssl_tf.methods.encoder_work import read_work, work_of_settings
from ssl_tf.settings import PretrainSettings, flagfiles

SMALL = ("--dataset=scenes --depth=18 --width=0.0625 --image_size=32 --batch_size=16").split()
EIGHT = "--view_strategies=" + ",".join(["plain"] * 8)


def work(*flags):
    return work_of_settings(flagfiles.parse([*SMALL, *flags], PretrainSettings), 4000)


OBJECTS = ("--crops=object_dilated", "--proposals=ground_truth", "--dilation=0.1")


@pytest.mark.parametrize(
    "units, flags",
    [
        (2 * (3 + 1), ("--method=byol",)),
        (8 * (3 + 1), ("--method=byol", EIGHT)),
        (2 * (3 + 1), ("--method=ma_ssrl",)),
        (2 * 3, ("--method=simclr",)),
        (2 * 3, ("--method=simsiam",)),
        (2 * 3, ("--method=barlow_twins",)),
        (2 * 3, ("--method=swav", "--prototypes=8")),
        (3 + 1, ("--method=moco", "--queue=64")),
        (2 * (3 + 1), ("--method=moco", "--queue=64", "--symmetric")),
        (3 + 1, ("--method=densecl", "--queue=64", "--stem=small")),
        (2 * (3 + 1), ("--method=dino", "--prototypes=8")),
        (3, ("--method=supervised", "--view_strategies=plain")),
        # The object is turned and encoded once more.
        (3 * 3 + 2, ("--method=byol", "--pretext=rotation", *OBJECTS)),
    ],
)
def test_forward_units(units, flags):
    found = work(*flags)
    assert found.forward_units == units
    assert found.flops == units * found.forward_flops["32"]


def test_small_views_cost_by_their_arithmetic():
    small = ("--small_views=3", "--small_image_size=16")
    found = work("--method=dino", "--prototypes=8", *small, "--recipe=byol")
    assert found.views == {"32": 2, "16": 3} and found.views_an_image == 5
    assert found.target_passes == {"32": 2}
    share = found.forward_flops["16"] / found.forward_flops["32"]
    assert found.forward_units == pytest.approx(2 * (3 + 1) + 3 * 3 * share)
    assert share == pytest.approx(0.25, rel=0.05)


def test_work_is_read_back():
    found = work("--method=byol")
    assert read_work(json.loads(json.dumps(dataclasses.asdict(found)))) == found
    with pytest.raises(KeyError):
        read_work({"views": {"32": 2}})
