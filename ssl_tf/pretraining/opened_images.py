"""The images of a run: those to learn from, and those by which the monitors judge."""

from typing import NamedTuple

from ssl_tf.data.source import Source
from ssl_tf.data.sources.opening import has_training_boxes, open_held_out, open_training_source
from ssl_tf.data.sources.source_checks import (
    warn_of_copies,
    warn_of_split_folders,
    warn_of_training_images,
)
from ssl_tf.errors import SettingsError, warn
from ssl_tf.settings import PretrainSettings
from ssl_tf.training.data_places import HELD_OUT, TRAINING


class Images(NamedTuple):
    """The images of a run.

    Attributes:
        source: training images.
        held_out: images for the monitors; None if there are none.
        as_scenes: the monitors crop scenes where training crops objects.
    """

    source: Source
    held_out: Source | None
    as_scenes: bool

    @property
    def monitored(self) -> Source:
        """The images that the monitors look at."""
        return self.held_out or self.source

    @property
    def parts(self) -> dict[str, Source]:
        """The images that the record of a run tells from others, by their part."""
        return {TRAINING: self.source, **({HELD_OUT: self.held_out} if self.held_out else {})}


def _check_smallest_crop(side: int, source: Source) -> None:
    """Refuses regions that would all be the whole image, whatever the boxes are.

    Raises:
        SettingsError: names the largest side of the images.
    """
    longest = source.largest_side
    if longest is not None and side >= longest:
        raise SettingsError(
            f"--min_crop={side}: no image of {source.name} is longer than {longest} pixels, so "
            "that each crop would be of the whole image; give less, or 0"
        )


def open_images(settings: PretrainSettings) -> Images:
    """Opens the images of a run; what may make its figures others than expected is told on stderr.

    Raises:
        UserError: they cannot be opened, or are others than the flags expect.
        SettingsError: the monitors have fewer than two images.
    """
    data, views = settings.data, settings.views
    source, held_out = open_training_source(data, views.object_crops)
    warn_of_split_folders(source, data)
    if views.object_crops and views.crop_law == "random_resized" and views.crop_area:
        warn(
            "--crop_area bounds the crops of images without a box alone; give --smallest_area "
            "for those in boxes"
        )
    if views.object_crops and not settings.recorded.is_file():
        _check_smallest_crop(views.min_crop, source)
    as_scenes = False
    if held_out is None:
        held_out = open_held_out(data, settings.monitor.monitor_split, source)
        if held_out:
            warn_of_training_images(source, held_out)
            as_scenes = views.object_crops and not has_training_boxes(held_out, data)
    elif not settings.recorded.is_file():  # at the first start: files are read for it
        warn_of_copies(source, held_out)
    images = Images(source, held_out, as_scenes)
    if images.monitored.size < 2:
        raise SettingsError(
            f"{images.monitored.name}: the monitors compare two images or more; give --holdout=2 "
            "or more"
        )
    return images
