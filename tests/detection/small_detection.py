"""A detection that a test can afford: rendered scenes of 64 pixels, a ResNet of four blocks."""

import numpy as np

from ssl_tf.data.annotations.annotated_scenes import AnnotatedScenes
from ssl_tf.data.scenes.shapes import Scenes
from ssl_tf.detection.detection_task import Detection
from ssl_tf.downstream.starting_encoders import open_starting_encoders
from ssl_tf.settings import DetectSettings, flagfiles
from ssl_tf.training.strategy import mirrored_strategy

NETWORK = ("--depth=18", "--width=0.125")
FROZEN = "--batch_norm=frozen"
SMALL = (
    "--dataset=scenes",
    "--output=unused",
    "--canvas=64",
    "--scale_min=1",
    "--scale_max=1",
    "--noflip",
    "--pyramid_channels=8",
    "--anchor_scale=4",
    "--max_objects=5",
    "--max_detections=10",
    "--batch_size=4",
    "--steps=6",
    "--save_every=2",
    "--log_every=1",
    "--learning_rate=0.02",
)
OF_REGIONS = (
    "--box_head_channels=16",
    "--proposals=50",
    "--sampled_anchors=32",
    "--sampled_regions=16",
)
MASKS = (*OF_REGIONS, "--masks", "--mask_convs=1")


def settings(*flags):
    """The settings; an encoder whose normalization is frozen is that of a run."""
    start = ("--checkpoint=unused",) if FROZEN in flags else NETWORK
    return flagfiles.parse([*SMALL, *start, *flags], DetectSettings)


def scenes(count=6, size=64, split="train", masks=True):
    return AnnotatedScenes(Scenes(split, count, size), masks=masks)


def task(*flags, train=None, test=None):
    given = settings(*flags)
    train = train or scenes(masks=given.network.masks)
    return Detection(train, test or train, given.training, given.network, given.is_voc)


def random_start(*flags):
    given = settings(*(flag for flag in flags if flag != FROZEN))
    return open_starting_encoders(given.start, 0)[0]


def one_device():
    return mirrored_strategy(["CPU:0"])


def values(variables):
    return [np.array(variable) for variable in variables]
