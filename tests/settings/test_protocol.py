"""The protocol of an evaluation has what its figures depend on, and nothing of place or seed."""

import pytest

from ssl_tf.settings import (
    DetectSettings,
    FineTuneSettings,
    KnnSettings,
    LinearSettings,
    SegmentSettings,
    fields,
    flagfiles,
)
from ssl_tf.settings.protocol import LEFT_OUT, protocol

RUN = "--checkpoint=runs/a"


def of(settings_class, *flags):
    return protocol(flagfiles.parse(flags, settings_class))


def test_that_of_knn_is_complete():
    assert of(KnnSettings, "--dataset=scenes", "--scene_size=24", RUN, "--knn_k=20") == {
        "image_size": "0", "dataset": "scenes", "split": "train",
        "scenes": "4000", "scene_size": "24", "scene_objects": "", "holdout": "0", "knn_k": "20",
        "knn_temperature": "0.1",
    }  # fmt: skip


@pytest.mark.parametrize(
    "settings_class, one, other",
    [
        (
            LinearSettings,
            (RUN, "--step=3", "--image_folder=a", "--test_image_folder=b", "--output=o"),
            ("--init_encoder=f", "--image_folder=c", "--test_image_folder=d", "--output=p"),
        ),
        (LinearSettings, ("--dataset=cifar10", RUN), ("--dataset=cifar10", RUN, "--seed=3")),
        (
            FineTuneSettings,
            ("--dataset=cifar10", RUN, "--labels_from=x/labels.txt", "--log_every=3"),
            ("--dataset=cifar10", RUN, "--labels_from=y/1.txt", "--norandom_baseline"),
        ),
        (
            SegmentSettings,
            ("--dataset=scenes", "--output=o", "--depth=18", "--label_fraction=0.5"),
            ("--dataset=scenes", RUN, "--label_fraction=0.5", "--label_seed=2", "--seed=1"),
        ),
    ],
)
def test_places_seeds_and_the_encoder_are_not_in_it(settings_class, one, other):
    assert of(settings_class, *one) == of(settings_class, *other)


@pytest.mark.parametrize(
    "settings_class, flag",
    [
        (LinearSettings, "--epochs=5"),
        (LinearSettings, "--augment"),
        (FineTuneSettings, "--steps=7"),
        (SegmentSettings, "--test_flip"),
        (DetectSettings, "--detector=retinanet"),
        (DetectSettings, "--one_class"),
    ],
)
def test_what_changes_the_figures_is_in_it(settings_class, flag):
    name, _, value = flag.removeprefix("--").partition("=")
    place = "--output=o" if settings_class in (SegmentSettings, DetectSettings) else RUN
    plain, found = (of(settings_class, "--dataset=scenes", place, *more) for more in ((), (flag,)))
    assert found[name].startswith(value or "true") and plain[name] != found[name]


def test_flags_that_nothing_reads_beside_others_are_not_in_it():
    assert "epochs" not in of(FineTuneSettings, "--dataset=cifar10", RUN, "--steps=7")
    assert "scene_size" not in of(KnnSettings, "--dataset=cifar10", RUN)


def test_every_name_that_is_left_out_is_a_flag():
    classes = DetectSettings, FineTuneSettings, KnnSettings, LinearSettings, SegmentSettings
    names = {name for one in classes for name in fields.names(one)}
    assert LEFT_OUT <= names
