"""Test images that a run has learned from, so that a figure of them says less."""

import dataclasses
from pathlib import Path

from ssl_tf.data.source import Source
from ssl_tf.data.sources.folder import ImageFolder
from ssl_tf.data.sources.opening import open_training_source
from ssl_tf.errors import SettingsError, UserError, warn
from ssl_tf.settings import DataSettings, PretrainSettings

# What names images, and which of them are held out.
_IMAGES = (
    "dataset",
    "data_dir",
    "split",
    "image_folder",
    "prepared",
    "tfrecord",
    "scenes",
    "scene_size",
    "scene_objects",
    "scene_ground",
    "holdout",
    "holdout_rule",
)


def check_learned_images(
    run: Path, trained: PretrainSettings, data: DataSettings, test: Source
) -> int:
    """Tells on stderr how many test images the run has learned from.

    The images that evaluations learn from were compared before, so nothing is opened where the run
    had the same.

    Args:
        run: directory of the run.
        trained: settings of the run.
        data: the images of the evaluation.
        test: those to report on.

    Returns:
        Their number; 0 where the images of the run are not here any more.

    Raises:
        SettingsError: there are some, and the run has learned their labels.
    """
    learned = trained.data
    if _images(learned) == _images(data):
        return 0
    if learned.image_folder and not isinstance(test, ImageFolder):
        return 0  # a large folder takes minutes to list
    try:
        source, _ = open_training_source(dataclasses.replace(learned, num_images=0, num_classes=0))
    except UserError:
        return 0
    count = source.common_images(test)
    if not count:
        return 0
    told = f"{run} has learned from {count} of the {test.size} images of {test.name}"
    held = f"--holdout={learned.holdout}" if learned.holdout else "another split or folder"
    if trained.model.method == "supervised":
        raise SettingsError(
            f"{told}, with their labels; report on images that it has not seen, by {held}"
        )
    warn(
        f"{told}, without their labels; the report tells that, and {held} gives images "
        "that it has not seen"
    )
    return count


def _images(data: DataSettings) -> list[object]:
    return [getattr(data, name) for name in _IMAGES]
