"""Annotated sources opened by the settings, to learn from and to report on."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from ssl_tf.data.annotations.annotated_scenes import AnnotatedScenes
from ssl_tf.data.annotations.annotated_source import AnnotatedSource
from ssl_tf.data.annotations.coco_json import CocoImages
from ssl_tf.data.annotations.label_map_folders import LabelMapFolders, read_names
from ssl_tf.data.annotations.tfds_records import TfdsObjects, TfdsSceneParsing
from ssl_tf.data.annotations.voc_directory import VocLabelMaps, VocObjects
from ssl_tf.data.labels import choose_share
from ssl_tf.data.sources.opening import open_split
from ssl_tf.data.sources.source_checks import warn_of_copies
from ssl_tf.data.unreadable import UnreadableImages
from ssl_tf.errors import SettingsError, UserError, listed, warn
from ssl_tf.settings import AnnotationSettings, DataSettings, ShareSettings

_IDS_AT_ONCE = 4096

# What examples hold beside the image: boxes; boxes and masks; a label map.
Wanted = Literal["boxes", "masks", "label_maps"]


def open_annotated(
    data: AnnotationSettings, wanted: Wanted
) -> tuple[AnnotatedSource, AnnotatedSource]:
    """The images to learn from, and those to report on, of the same classes.

    Images without an object are left out of those to learn from, without --keep_empty. That both
    are the same images is told on stderr.

    Args:
        data: names the images.
        wanted: what their examples hold.

    Raises:
        UserError: the images or annotations do not exist, are damaged, or do not hold that; or some
            images to report on are training images; or one of both sets has no object.
    """
    train = _open(data, wanted)
    if data.holdout:
        train, test = train.hold_out(data.holdout)
        warn_of_copies(train, test)
    else:
        test = _open_test(data, wanted, train)
        test.count_unreadable_with(train)
        _check_apart(train, test)
    if train.num_classes != test.num_classes or (
        train.class_names and test.class_names and train.class_names != test.class_names
    ):
        differing = sorted({*train.class_names} ^ {*test.class_names})
        told = f"{train.num_classes}, {test.num_classes}"
        if differing:
            told += f": {', '.join(differing[:5])}"
        elif train.class_names:
            there, here = listed(train.class_names), listed(test.class_names)
            told = f"in another order: {there} there, {here} here"
        raise SettingsError(
            f"{test.name} has other classes than {train.name} ({told}), so its labels mean "
            "something else; give parts of one data set, with the same ids of classes"
        )
    _check_objects(train, "correct the annotations")
    _check_objects(test, f"give others to report on by {_test_flag(data)}")
    if wanted != "label_maps":
        train = train if data.keep_empty else with_objects(train)
    return train, test


def _check_apart(train: AnnotatedSource, test: AnnotatedSource) -> None:
    """Refuses training images among those to report on, unless both are the same set."""
    common = train.common_images(test)
    if common == train.size == test.size:
        warn(
            f"{test.name} is what is learned from: figures of it tell what was learned by "
            "heart, and nothing of other images"
        )
    elif common:
        raise SettingsError(
            f"{common} images of {test.name} are training images, of {train.name}; give others to "
            "report on, or --holdout=N"
        )
    else:
        warn_of_copies(train, test)


def _check_objects(source: AnnotatedSource, way_out: str) -> None:
    """Refuses images of which none has an object, crowds aside, as in a test set without truth."""
    counts = source.learned_objects()
    if counts is not None and not counts.any():
        raise UserError(f"{source.name}: no image has an object; {way_out}")


def _test_flag(data: AnnotationSettings) -> str:
    """The flag that gives the images to report on."""
    if data.holdout:
        return "a larger --holdout"
    if data.voc_dir:
        return "--test_voc_list"
    return "--test_split" if data.dataset else "--test_coco_json"


def with_objects(source: AnnotatedSource) -> AnnotatedSource:
    """The images with an object that is no crowd; the source itself if all have one."""
    has_objects = source.learned_objects() > 0
    if has_objects.all():
        return source
    return source.part(has_objects, f"{source.name}, {has_objects.sum()} with objects")


def labelled_share(
    source: AnnotatedSource, settings: ShareSettings, path: Path | None
) -> AnnotatedSource:
    """The labelled share of the images, drawn from all of them alike; smaller shares are nested.

    Args:
        source: all images to learn from.
        settings: of the share.
        path: text file for the ids of the labelled images, written if they are not all; None:
            there is none.

    Raises:
        UserError: the list is of other images, or no image is left.
    """
    if not settings.labels_from and settings.label_fraction == 1:
        return source
    ids = np.concatenate(list(source.read(source.ids().batch(_IDS_AT_ONCE))))
    alike = np.zeros([source.size, 1])
    keep, description = choose_share(source, ids, alike, settings, path, of="all images")
    return source.part(keep, f"{source.name}, {description}")


def _open(data: AnnotationSettings, wanted: Wanted) -> AnnotatedSource:
    if data.dataset:
        source = _open_dataset(data, data.split, wanted)
    elif data.coco_json:
        source = _open_coco(data.coco_json, data.image_folder, wanted)
    elif data.label_maps:
        _only_label_maps(wanted, f"--label_maps={data.label_maps}")
        source = LabelMapFolders(
            data.image_folder,
            data.label_maps,
            reduce_zero_label=data.reduce_zero_label,
            num_classes=data.num_classes,
            class_names=_label_names(data),
        )
    else:
        source = _open_voc(data.voc_dir, data.voc_list, wanted, _label_names(data))
    source.unreadable = UnreadableImages(data.max_bad_images)
    return source


def _open_test(data: AnnotationSettings, wanted: Wanted, train: AnnotatedSource) -> AnnotatedSource:
    if data.dataset:
        usual = "validation" if data.dataset.startswith("voc/2012") else "test"
        return _open_dataset(data, data.test_split or usual, wanted)
    folder = data.test_image_folder or data.image_folder
    try:
        if data.voc_dir:
            directories = data.test_voc_dir or data.voc_dir[:1]
            return _open_voc(directories, data.test_voc_list, wanted, train.class_names)
        if data.coco_json:
            return _open_coco(data.test_coco_json, folder, wanted)
        return LabelMapFolders(
            folder,
            data.test_label_maps,
            reduce_zero_label=data.reduce_zero_label,
            num_classes=train.num_classes,
            class_names=train.class_names,
            read_all=not data.num_classes,
        )
    except UserError as error:
        # A source names the flags of the training images.
        flags = r"--(coco_json|image_folder|label_maps|voc_dir|voc_list)\b"
        raise type(error)(re.sub(flags, r"--test_\1", str(error))) from None


def _open_dataset(data: AnnotationSettings, split: str, wanted: Wanted) -> AnnotatedSource:
    if data.dataset == "scenes":
        scenes = open_split(
            DataSettings(
                dataset="scenes",
                data_dir=data.data_dir,
                split=split,
                scenes=data.scenes,
                scene_size=data.scene_size,
                scene_objects=data.scene_objects,
            )
        )
        for flag, guessed in scenes.guesses.items():
            of_label = flag == "label_feature"
            if not (of_label and data.one_class):
                way_out = "--one_class, or other" if of_label else "other"
                raise SettingsError(f"{guessed}; give {way_out} --scene_objects")
        return AnnotatedScenes(
            scenes,
            masks=wanted == "masks",
            label_maps=wanted == "label_maps",
            one_class=data.one_class,
        )
    if data.dataset.startswith("scene_parse150"):
        _only_label_maps(wanted, f"--dataset={data.dataset}")
        return TfdsSceneParsing(data.dataset, data.data_dir, split, _label_names(data))
    if wanted != "boxes":
        raise SettingsError(
            f"--dataset={data.dataset}: a TFDS data set of objects has neither masks nor label "
            "maps; of VOC's own directory give --voc_dir, for label maps"
        )
    return TfdsObjects(data.dataset, data.data_dir, split)


def _open_coco(json: str, folder: str, wanted: Wanted) -> AnnotatedSource:
    return CocoImages(json, folder, masks=wanted == "masks", label_maps=wanted == "label_maps")


def _open_voc(
    directories: Sequence[str], lists: Sequence[str], wanted: Wanted, classes: tuple[str, ...] = ()
) -> AnnotatedSource:
    if wanted == "masks":
        raise SettingsError(
            f"--voc_dir={','.join(directories)}: VOC's XML has boxes and no masks; leave --masks "
            "out"
        )
    if wanted == "label_maps":
        return VocLabelMaps(directories, lists, classes)
    return VocObjects(directories, lists, classes)


def _only_label_maps(wanted: Wanted, told: str) -> None:
    if wanted != "label_maps":
        raise SettingsError(f"{told}: has label maps and no objects; give it to segment")


def _label_names(data: AnnotationSettings) -> tuple[str, ...]:
    return read_names(data.label_names) if data.label_names else ()
