"""What is wrong with images that can be read: refused, or told on stderr."""

import os

from ssl_tf.data import orientation
from ssl_tf.data.listing import are_splits
from ssl_tf.data.source import Source
from ssl_tf.data.sources.file_copies import copied
from ssl_tf.data.sources.folder import ImageFolder
from ssl_tf.errors import SettingsError, warn
from ssl_tf.settings import DataSettings

# Of more images to judge by, so many are looked at for copies: each of them may be of the size of
# some of a million training images.
_LOOKED_AT = 2000
# Of images in record files, so many are looked at for their EXIF.
_READ = 100


def check_guesses(source: Source, *, judged: bool, begun: bool = False) -> None:
    """Refuses what was guessed of the examples and matters, and tells the rest on stderr.

    Args:
        source: of the examples.
        judged: a figure depends on the labels.
        begun: the work was begun, maybe by an older version, and goes on with guessed labels. Their
            classes stand in `data.json`; which of several images were seen stands nowhere.

    Raises:
        SettingsError: the images were guessed, or the labels on which a figure depends.
    """
    for flag, guessed in source.guesses.items():
        if flag != "label_feature" or (judged and not begun):
            place = ", here and in flags.txt" if begun else ""
            raise SettingsError(f"{guessed}; name one by --{flag}{place}")
        warn(f"{guessed}; the first is taken, --{flag} names another")


def split_folders(source: Source, data: DataSettings) -> str:
    """Tells that classes were folders that are named like splits; empty if they were not.

    Args:
        source: of the images, maybe with boxes.
        data: by which it was opened.
    """
    names = source.class_names
    if not (data.image_folder or data.prepared) or not are_splits(names):
        return ""
    return f"{source.name} has only the folders {', '.join(names)}"


def warn_of_split_folders(source: Source, data: DataSettings) -> None:
    """Says on stderr that all parts of a data set are learned from, if its folders are splits.

    Args:
        source: of the images, maybe with boxes.
        data: by which it was opened.
    """
    folders = split_folders(source, data)
    if folders:
        way_out = "prepare one of them" if data.prepared else "give one of them as --image_folder"
        warn(f"{folders}: all are learned from, and they are taken for classes; {way_out}")


def warn_of_turns(source: Source, others_are_upright: bool) -> None:
    """Says on stderr that images are taken as stored, where others are turned as EXIF says.

    Args:
        source: of the images; of record files some are looked at.
        others_are_upright: the encoder learned from images that were turned, or the training
            images of an evaluation are.
    """
    if not others_are_upright or (isinstance(source, ImageFolder) and source.orient):
        return
    seen, way_out = "these are", "give --orient"
    if not isinstance(source, ImageFolder):
        first = [example["image"] for example in source.read(source.sequence().take(_READ))]
        turned = sum(isinstance(x, bytes) and orientation.in_head(x) > 1 for x in first)
        if not turned:
            return
        seen = f"{turned} of the first {len(first)} of these, which EXIF turns, are"
        way_out = "turn them before they are written"
    warn(
        f"{source.name}: the encoder learned from images that were turned upright, as EXIF says, "
        f"or is judged with such, and {seen} taken as they are stored; {way_out}"
    )


def warn_of_training_images(source: Source, monitored: Source) -> None:
    """Says on stderr that the monitors look at images that are learned from, if they do."""
    common = source.common_images(monitored)
    if common:
        warn(
            f"{common} of the {monitored.size} images of {monitored.name}, by which the "
            "monitors judge, are training images; give --monitor_split or --holdout=N"
        )


def warn_of_copies(train: Source, test: Source) -> None:
    """Says on stderr that images to judge by are copies of training images, if they are.

    Args:
        train, test: of others than image files nothing is said.
    """
    if not (train.are_files and test.are_files):
        return
    looked_at = sorted(test.files())
    looked_at = looked_at[:: max(1, -(-len(looked_at) // _LOOKED_AT))]
    copies = copied(looked_at, sorted(train.files()))
    if copies:
        seen = (
            "" if len(looked_at) == test.size else f"{len(looked_at)} that were looked at of the "
        )
        warn(
            f"{len(copies)} of the {seen}{test.size} images of {test.name} are copies of training "
            f"images, such as {os.fsdecode(copies[0])}, and flatter the figure; remove copies, as "
            "`python -m ssl_tf.prepare` does"
        )


def warn_of_originals(train: Source, test: Source) -> None:
    """Says on stderr that test images are those from which training images were prepared.

    Args:
        train: the training images; others than prepared ones say nothing.
        test: the test images.
    """
    if isinstance(train, ImageFolder) or not isinstance(test, ImageFolder):
        return
    common = len(train.files() & test.files())
    if common:
        warn(
            f"{train.name} was made of {common} of the {test.size} images of {test.name}, which "
            "flatters the figure; test on --test_split=validation, or on others"
        )
