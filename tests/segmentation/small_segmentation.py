"""A segmentation that a test can afford: rendered scenes of 32 pixels, a ResNet of four blocks."""

import numpy as np

from ssl_tf.data.annotations.annotated_scenes import AnnotatedScenes
from ssl_tf.data.scenes.shapes import Scenes
from ssl_tf.downstream.starting_encoders import open_starting_encoders
from ssl_tf.segmentation.segmentation_task import Segmentation
from ssl_tf.settings import SegmentSettings, flagfiles
from ssl_tf.training.strategy import mirrored_strategy

NETWORK = ("--depth=18", "--width=0.125", "--stem=small")
FROZEN = "--batch_norm=frozen"
SMALL = (
    "--dataset=scenes",
    "--output=unused",
    "--output_stride=8",
    "--head_channels=8",
    "--crop_size=32",
    "--batch_size=4",
    "--steps=6",
    "--save_every=2",
    "--log_every=1",
    "--learning_rate=0.05",
)


def settings(*flags):
    """The settings; an encoder whose normalization is frozen is that of a run."""
    start = ("--checkpoint=unused",) if FROZEN in flags else NETWORK
    return flagfiles.parse([*SMALL, *start, *flags], SegmentSettings)


def scenes(count=6, size=32, split="train"):
    return AnnotatedScenes(Scenes(split, count, size), label_maps=True)


def task(*flags, train=None, test=None):
    given = settings(*flags)
    train = train or scenes()
    return Segmentation(train, test or train, given.training, given.segmenter)


def random_start(*flags):
    given = settings(*(flag for flag in flags if flag != FROZEN))
    return open_starting_encoders(given.start, 0)[0]


def batch(size=4, side=32, classes=11, seed=0):
    """Random images and label maps, of which each image has another share ignored."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, classes, (size, side, side)).astype(np.int32)
    ignored = random.random((size, side, side)) < np.linspace(0, 0.9, size)[:, None, None]
    return {
        "image": random.integers(0, 256, (size, side, side, 3), dtype=np.uint8),
        "label_map": np.where(ignored, 255, labels).astype(np.int32),
    }


def one_device():
    return mirrored_strategy(["CPU:0"])
