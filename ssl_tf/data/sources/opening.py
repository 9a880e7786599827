"""Sources opened by the settings: for training, for evaluation, and with boxes."""

import sys

from ssl_tf.data.boxes import check_boxes
from ssl_tf.data.labels import labels_are_hidden
from ssl_tf.data.proposals.join import WithProposals
from ssl_tf.data.proposals.store import ProposalStore
from ssl_tf.data.scenes.objects import ObjectScenes
from ssl_tf.data.scenes.shapes import Scenes
from ssl_tf.data.source import Source
from ssl_tf.data.sources.folder import ImageFolder
from ssl_tf.data.sources.prepared import open_prepared
from ssl_tf.data.sources.store_checks import check_images
from ssl_tf.data.sources.tfds import PreparedDataset
from ssl_tf.data.sources.tfrecord import ExampleFiles
from ssl_tf.data.unreadable import UnreadableImages
from ssl_tf.errors import NoSuchSplit, SettingsError
from ssl_tf.settings import GROUND_TRUTH, DataSettings


def open_split(data: DataSettings, split: str = "") -> Source:
    """The images that the settings name.

    Args:
        data: names the images.
        split: another split than that of the settings; empty: theirs.

    Raises:
        SettingsError: the split does not exist.
        UserError: the data is missing or damaged.
    """
    split = split or data.split
    if not data.has_splits and split != "train":
        raise SettingsError(
            f"split {split!r} of {data.image_folder or data.tfrecord}: only --dataset and "
            "--prepared have splits"
        )
    features = data.image_feature, data.label_feature
    reading = data.data_dir, split, data.shuffle_mib
    if data.image_folder:
        source = ImageFolder(data.image_folder, data.orient)
    elif data.prepared:
        source = open_prepared(data.prepared, split, data.shuffle_mib)
    elif data.tfrecord:
        source = ExampleFiles(data.tfrecord, data.shuffle_mib, data.first_label)
    elif data.scene_objects:
        objects = PreparedDataset(data.scene_objects, *reading, *features)
        ground = PreparedDataset(data.scene_ground, *reading) if data.scene_ground else None
        source = ObjectScenes(objects, split, data.scenes, data.scene_size, ground)
    elif data.dataset == "scenes":
        source = Scenes(split, data.scenes, data.scene_size)
    else:
        source = PreparedDataset(data.dataset, *reading, *features)
    source.unreadable = UnreadableImages(data.max_bad_images)
    source.holdout_rule = data.holdout_rule
    return source


def with_boxes(source: Source, data: DataSettings) -> Source:
    """The source with the boxes that --proposals names; prints how many images have no box.

    Raises:
        UserError: the source has no boxes, or what is none, or the store is damaged or has those of
            other images, or of images that were read in another way.
    """
    if data.proposals == GROUND_TRUTH:
        with source.reading():
            without = check_boxes(source.boxes(), source.name)
        print(
            f"{source.name}: {without} of {source.size} images have no box and keep scene crops",
            file=sys.stderr,
        )
        return source
    store = ProposalStore(data.proposals)
    check_images(store, source, data)
    joined = WithProposals(source, store)
    matches = joined.match(allow_unmatched=data.unmatched_proposals == "ignore")
    unmatched = f"; {matches.unmatched} proposals are of other images" if matches.unmatched else ""
    print(
        f"{data.proposals}: {matches.without_proposal} of {matches.images} images have no proposal "
        f"and keep scene crops{unmatched}",
        file=sys.stderr,
    )
    with joined.reading():
        check_boxes(joined.boxes(), data.proposals)
    return joined


def has_training_boxes(held_out: Source, data: DataSettings) -> bool:
    """Whether another split than that of the training has boxes by --proposals, which it checks.

    A store has those of the training images. Its ids may be those of other images in another split.

    Raises:
        UserError: the split's own boxes are to be used, and it has none, or what is none.
    """
    if data.proposals != GROUND_TRUTH:
        return False
    with_boxes(held_out, data)
    return True


def open_training_source(data: DataSettings, boxes: bool = False) -> tuple[Source, Source | None]:
    """The training images, and the images held out of them (None without --holdout).

    Args:
        data: names the images.
        boxes: add the boxes of --proposals, for object crops.

    Raises:
        UserError: the source does not exist, or has another number of images or classes than
            expected.
    """
    source = open_split(data)
    if data.num_images and source.size != data.num_images:
        raise SettingsError(
            f"{source.name} has {source.size} images, not the --num_images={data.num_images} of "
            "this recipe; complete the data, or give --num_images=0 for any number"
        )
    if data.num_classes and source.num_classes != data.num_classes:
        raise SettingsError(
            f"{source.name} has {source.num_classes or 'no'} classes, not the "
            f"--num_classes={data.num_classes} of this recipe; correct the flag or complete the "
            "data"
        )
    if boxes:
        source = with_boxes(source, data)
    if not data.holdout:
        return source, None
    return source.hold_out(check_holdout(data, source.name, source.size))


def check_holdout(data: DataSettings, name: str, size: int) -> int:
    """The number of --holdout, checked against that of the images of this name.

    Raises:
        SettingsError: no image would be left.
    """
    if data.holdout >= size:
        raise SettingsError(f"--holdout={data.holdout}: {name} has {size} images; hold out fewer")
    return data.holdout


def open_held_out(data: DataSettings, split: str, train: Source) -> Source | None:
    """The named split; else the split test or validation, if the data set has one; else None.

    Args:
        data: names the data set.
        split: name of the split; empty: test or validation, whichever has labels that are public.
        train: the training images; unreadable images are counted together with theirs.

    Raises:
        NoSuchSplit: the named split does not exist.
        UserError: the split cannot be read. No other split stands in for a damaged one.
    """
    names = (split,) if split else ("test", "validation") if data.has_splits else ()
    for name in names:
        try:
            held_out = open_split(data, name)
        except NoSuchSplit:
            if split:
                raise
            continue
        if not split and labels_are_hidden(held_out):
            print(f"{held_out.name} is passed over: its labels are not public", file=sys.stderr)
            continue
        held_out.count_unreadable_with(train)
        return held_out
    return None
