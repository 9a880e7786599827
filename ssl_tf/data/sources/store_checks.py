"""Whether the boxes of a store were made of the images that it is read with.

Ids alone do not tell it: other data sets, other scenes and images that were cropped anew have the
same ones.
"""

import glob
import itertools
import os
from collections.abc import Collection, Iterator
from pathlib import Path

import tensorflow as tf

from ssl_tf.data.decoding import attempt, image_of, upright
from ssl_tf.data.prepared_manifest import has_turned_images
from ssl_tf.data.proposals.store import ProposalStore
from ssl_tf.data.source import Source
from ssl_tf.data.sources.folder import ImageFolder
from ssl_tf.errors import UserError, warn
from ssl_tf.settings import DataSettings, flagfiles

# Images that are decoded for their sizes, and records of a store of which one must tell a size.
_LOOKED_AT = 64
_READ = 4096


def check_images(store: ProposalStore, source: Source, data: DataSettings) -> None:
    """Compares what a store tells of its images with these; warns on stderr of what is doubtful.

    Args:
        store: of the boxes.
        source: the images, without boxes of a store.
        data: names the images.

    Raises:
        UserError: the boxes are of other scenes, of images that were turned otherwise, or of images
            of other shapes.
    """
    _check_scenes(store, data)
    _check_upright(store, source, data)
    _warn_of_another_dataset(store, data)
    _warn_of_another_place(store, data)
    _check_shapes(store, source)


def _warn_of_another_place(store: ProposalStore, data: DataSettings) -> None:
    """Tells where the boxes were made of another folder, files or split, whose ids may be alike.

    A place that is not there any more may have moved.
    """
    told = store.manifest.settings
    for name in ("image_folder", "prepared", "tfrecord"):
        there, here = told.get(name, ""), getattr(data, name)
        if there and here and _is_another(there, here):
            warn(
                f"{store.path} has boxes of --{name}={there}, and these images are of "
                f"--{name}={here}: boxes fit other images of the same names only by chance"
            )
    there, here = (split.partition("[")[0] for split in (told.get("split", ""), data.split))
    if data.has_splits and there and data.dataset == told.get("dataset") and there != here:
        warn(
            f"{store.path} has boxes of --split={there}, and these images are of --split={here}; "
            "the ids of two splits may be alike"
        )


def _is_another(there: str, here: str) -> bool:
    """Whether two paths, or globs of files, name different places that are both there."""
    old, new = (
        sorted(os.path.realpath(file) for file in glob.glob(glob.escape(place)) or glob.glob(place))
        for place in (there, here)
    )
    return bool(old and new) and old != new


def _warn_of_another_dataset(store: ProposalStore, data: DataSettings) -> None:
    """Tells where the boxes were made of another data set of TFDS, or of other images in it."""
    told = store.manifest.settings
    if not (data.dataset and told.get("dataset")):
        return
    for name in ("dataset", "image_feature"):
        there, here = (
            value.partition(":")[0] for value in (told.get(name, ""), getattr(data, name))
        )
        if there != here:
            warn(
                f"{store.path} has boxes of --{name}={there}, and these images are of "
                f"--{name}={here}; the ids of many data sets are alike"
            )


def _check_shapes(store: ProposalStore, source: Source) -> None:
    """Compares height : width of some images with that of the store's, where it has their sizes.

    Smaller and larger copies of an image have its shape.

    Raises:
        UserError: most are of another shape.
    """
    if not any(image.height for image in itertools.islice(store.images(), _READ)):
        return
    here = {
        example["id"]: example["size"].tolist()
        for example in source.read(source.sequence(0, min(source.size, _LOOKED_AT)).map(_size))
        if example["readable"]
    }
    compared, others = 0, []
    for name, size in _sizes_in(store, here):
        compared += 1
        height, width = here[name]
        # Each side of a copy is rounded.
        if abs(height * size[1] - width * size[0]) > max(height + width, sum(size)):
            others.append(
                f"{name.decode(errors='backslashreplace')!r} of {size[0]}x{size[1]} there and "
                f"{height}x{width} here"
            )
    if not others:
        return
    told = (
        f"{store.path} has boxes of images of other shapes: {len(others)} of {compared} that were "
        f"looked at, such as {others[0]} (height x width)"
    )
    if 2 * len(others) > compared:
        raise UserError(f"{told}; make the proposals of these images")
    warn(told)


def _sizes_in(
    store: ProposalStore, names: Collection[bytes]
) -> Iterator[tuple[bytes, tuple[int, int]]]:
    """The name, height and width of these images, as the store tells them, in its order."""
    left = set(names)
    for image in store.images():
        if not left:
            return
        name = image.image_id.encode("utf-8", "surrogateescape")
        if name in left:
            left.remove(name)
            if image.height and image.width:
                yield name, (image.height, image.width)


def _size(example: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    image, readable = attempt(image_of, example["image"], tf.zeros([0, 0, 3], tf.uint8))
    return {
        "id": example["id"],
        "size": tf.shape(upright(image, example))[:2],
        "readable": readable,
    }


def _check_scenes(store: ProposalStore, data: DataSettings) -> None:
    """Compares the scenes of a store with those of the settings, as far as it tells of its own.

    Built-in scenes of all kinds have the same ids. A store that was imported tells nothing.

    Raises:
        UserError: the store is of other scenes.
    """
    told = store.manifest.settings
    if not data.dataset == told.get("dataset") == "scenes":
        return
    # Scenes of shapes are the same at every size. A store of an older version lacks later flags.
    of_objects = ("scene_size", "image_feature", "label_feature") if data.scene_objects else ()
    names = ("scene_objects", "scene_ground", *of_objects)
    here, usual = flagfiles.as_dict(data), flagfiles.as_dict(DataSettings(dataset="scenes"))
    for name in names:
        there = told.get(name, usual[name])
        if there != here[name]:
            raise UserError(
                f"{store.path}: has boxes of scenes of --{name}={there}, not of these, of "
                f"--{name}={here[name]}; make the proposals of these, or give that flag"
            )


def _check_upright(store: ProposalStore, source: Source, data: DataSettings) -> None:
    """Compares whether EXIF turned the images of a store, as far as it tells, and those here.

    A store that was imported tells nothing, nor does one of an older version. Of images in record
    files nobody knows whether they were turned before.

    Raises:
        UserError: it did in one of them alone, and there are images to turn.
    """
    told = store.manifest.settings
    of_files = told.get("image_folder") or told.get("prepared")
    if "orient" not in told or not of_files or not (data.image_folder or data.prepared):
        return
    there, here = told["orient"] == "true" or bool(told.get("prepared")), data.are_upright
    if there == here:
        return
    if isinstance(source, ImageFolder):
        turned, flag = source.has_turned_images(), f", or give --orient={str(there).lower()}"
    else:
        turned, flag = has_turned_images(Path(data.prepared)), ""
    if turned:
        ways = {True: "turned upright, as EXIF says", False: "as they are stored"}
        raise UserError(
            f"{store.path}: has boxes of images {ways[there]}, and here they are {ways[here]}; "
            f"make the proposals of these{flag}"
        )
