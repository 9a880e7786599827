"""Whether the boxes of a store were made of the images that it is read with.

Ids alone do not tell it: other data sets, other scenes and images that were cropped anew have the
same ones.
"""

import glob
import itertools
import os
from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf

from ssl_tf.data.decoding import attempt, image_of, upright
from ssl_tf.data.orientation import TRANSPOSED
from ssl_tf.data.prepared_manifest import has_turned_images
from ssl_tf.data.proposals.store import ProposalStore
from ssl_tf.data.source import IndexedSource, Source
from ssl_tf.data.sources.folder import ImageFolder
from ssl_tf.errors import UserError, warn
from ssl_tf.settings import DataSettings, fields

# Images that are decoded for their sizes, and records of a store of which one must tell a size.
_LOOKED_AT = 64
_READ = 4096
# Files of a folder whose heads are read for their EXIF.
_HEADS = 2048

Size = tuple[int, int]  # height and width


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
    if _tells_upright(store):
        _check_upright(store, source, data)
    else:
        _check_upright_by_sizes(store, source, data)
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
    # Of an indexed source these are from anywhere, of record files the first.
    looked_at = source
    if isinstance(source, IndexedSource):
        spaced = np.zeros(source.size, bool)
        spaced[np.linspace(0, source.size - 1, _LOOKED_AT).astype(int)] = True
        looked_at = source.part(spaced, source.name)
    compared = list(_sizes_of_both(store, looked_at))
    others = [
        f"{name.decode(errors='backslashreplace')!r} of {there[0]}x{there[1]} there and "
        f"{here[0]}x{here[1]} here"
        for name, there, here in compared
        if not _are_alike(there, here)
    ]
    if not others:
        return
    told = (
        f"{store.path} has boxes of images of other shapes: {len(others)} of {len(compared)} that "
        f"were looked at, such as {others[0]} (height x width)"
    )
    if 2 * len(others) > len(compared):
        raise UserError(f"{told}; make the proposals of these images")
    warn(told)


def _are_alike(size: Size, other: Size) -> bool:
    """Whether one is a smaller or larger copy of the other; each of its sides is rounded."""
    (height, width), (other_height, other_width) = size, other
    return abs(height * other_width - width * other_height) <= max(sum(size), sum(other))


def _sizes_of_both(store: ProposalStore, source: Source) -> Iterator[tuple[bytes, Size, Size]]:
    """The first readable images of a source: name, height and width in the store, and here.

    Images of which the store tells no size are left out.
    """
    if not any(image.height for image in itertools.islice(store.images(), _READ)):
        return
    here = {
        example["id"]: tuple(example["size"].tolist())
        for example in source.read(source.sequence(0, min(source.size, _LOOKED_AT)).map(_size))
        if example["readable"]
    }
    for name, there in _sizes_in(store, here):
        yield name, there, here[name]


def _sizes_in(store: ProposalStore, names: Collection[bytes]) -> Iterator[tuple[bytes, Size]]:
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
    here, usual = fields.as_dict(data), fields.as_dict(DataSettings(dataset="scenes"))
    for name in names:
        there = told.get(name, usual[name])
        if there != here[name]:
            raise UserError(
                f"{store.path}: has boxes of scenes of --{name}={there}, not of these, of "
                f"--{name}={here[name]}; make the proposals of these, or give that flag"
            )


def _tells_upright(store: ProposalStore) -> bool:
    """Whether a store tells if EXIF turned its images, and these were files.

    A store that was imported tells nothing, nor does one of an older version. Of images in record
    files nobody knows whether they were turned before.
    """
    told = store.manifest.settings
    return "orient" in told and bool(told.get("image_folder") or told.get("prepared"))


def _check_upright(store: ProposalStore, source: Source, data: DataSettings) -> None:
    """Compares whether EXIF turned the images of a store, which tells it, and those here.

    Raises:
        UserError: it did in one of them alone, and there are images to turn.
    """
    told = store.manifest.settings
    if not (data.image_folder or data.prepared):
        return
    there = told["orient"] == "true" or bool(told.get("prepared"))
    if there == data.are_upright:
        return
    if isinstance(source, ImageFolder):
        turned = source.has_turned_images()
    else:
        turned = has_turned_images(Path(data.prepared))
    if turned:
        raise _turned_otherwise(store, source, there)


def _check_upright_by_sizes(store: ProposalStore, source: Source, data: DataSettings) -> None:
    """Compares the shapes of images that EXIF lays on their side, where a store tells nothing else.

    Tells on stderr where the images here are turned, and no shape says whether those of the store
    were: they are mirrored or upside down, square, or the store has no sizes.

    Raises:
        UserError: an image of the store lies on its side, and stands here, or the other way round.
    """
    if isinstance(source, ImageFolder):
        looked_at, turns = source.turns(_HEADS)
        any_turned = (turns > 1).any()
        lie = np.zeros(source.size, bool)
        lie[looked_at[turns >= TRANSPOSED]] = True
        for _, there, here in _sizes_of_both(store, source.part(lie, source.name)):
            as_here, as_otherwise = _are_alike(there, here), _are_alike(there, here[::-1])
            if as_here != as_otherwise:  # the sides differ
                if as_otherwise:
                    raise _turned_otherwise(store, source, not source.orient)
                return
    else:
        any_turned = bool(data.prepared) and has_turned_images(Path(data.prepared))
    if any_turned and data.are_upright:
        warn(
            f"{store.path} does not tell whether its boxes are of images turned upright, as EXIF "
            "says, and here some are turned: other boxes lie beside their objects"
        )


def _turned_otherwise(store: ProposalStore, source: Source, there: bool) -> UserError:
    ways = {True: "turned upright, as EXIF says", False: "as they are stored"}
    flag = f", or give --orient={str(there).lower()}" if isinstance(source, ImageFolder) else ""
    return UserError(
        f"{store.path}: has boxes of images {ways[there]}, and here they are {ways[not there]}; "
        f"make the proposals of these{flag}"
    )
