"""The source of two folders: images, and their label maps by name."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from ssl_tf.cores import available_cores
from ssl_tf.data.annotations.annotated_files import read_bytes
from ssl_tf.data.annotations.annotated_source import IGNORED
from ssl_tf.data.annotations.label_maps import LabelMapFiles, read_label_map, without_zero
from ssl_tf.data.decoding import EXTENSIONS
from ssl_tf.data.listing import Listing, list_images
from ssl_tf.errors import SettingsError, UserError, warn

# Maps that are looked at for their labels where the number of classes is given.
_LOOKED_AT = 64


def read_names(path: str) -> tuple[str, ...]:
    """The names in a text file, one a line.

    Raises:
        UserError: it cannot be read, is empty, or has an empty line between others.
    """
    try:
        names = tuple(line.strip() for line in Path(path).read_text().rstrip().splitlines())
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"--label_names={path} cannot be read ({error})") from None
    if not names:
        raise UserError(f"--label_names={path} is empty")
    if "" in names:
        raise UserError(
            f"--label_names={path}: line {names.index('') + 1} has no name, and would shift the "
            "others; give each label a line"
        )
    return names


class LabelMapFolders(LabelMapFiles):
    """The images of a folder, and a PNG of the same name in another folder for each.

    Both folders may have subfolders. An id is the path of the image. `IGNORED` pixels are ignored.
    """

    def __init__(
        self,
        images: str,
        label_maps: str,
        *,
        reduce_zero_label: bool = False,
        num_classes: int = 0,
        class_names: Sequence[str] = (),
        read_all: bool = False,
    ):
        """Lists the images.

        Told on stderr is how many files are no images by their name, and how many maps have none.

        Args:
            images, label_maps: the folders.
            reduce_zero_label: label 0 is ignored, and the classes count from label 1, as in ADE20K.
            num_classes: number of classes; 0: by the names, or else by the largest label.
            class_names: names of the classes, by label.
            read_all: all maps are read once for their labels, as without num_classes. Else a few
                are. It is told on stderr where they hold no more than one label beside `IGNORED`.

        Raises:
            UserError: there is no image, or one without a label map; or a map is damaged, or has a
                label beyond the classes; or all have the same label.
        """
        listing = list_images(f"--image_folder={images}", images, EXTENSIONS)
        names = sorted(map(os.fsdecode, listing.paths))
        self._paths = [os.path.join(images, name) for name in names]
        self._maps = [
            os.path.join(label_maps, os.path.splitext(name)[0] + ".png") for name in names
        ]
        self._reduce = reduce_zero_label
        if os.path.realpath(images) == os.path.realpath(label_maps):
            raise SettingsError(
                f"--label_maps={label_maps} is the folder of the images, so that maps would count "
                "as images; move the maps to a folder of their own"
            )
        first = dict(zip(reversed(self._maps), reversed(names)))
        for path, name in zip(self._maps, names):
            if first[path] != name:
                raise UserError(
                    f"--image_folder={images}: {first[path]} and {name} would have the same label "
                    f"map, {path}; rename one of them"
                )
        missing = [path for path in self._maps if not os.path.exists(path)]
        if missing:
            raise UserError(
                f"--label_maps={label_maps}: {len(missing)} of the {len(names)} images have no "
                f"label map, such as {missing[0]}; give the folder that has one PNG for each image"
            )
        # The flags of the images to learn from and to report on differ.
        listing.warn(f"images in {images}", [])
        _warn_of_maps_without_images(label_maps, self._maps)
        count = num_classes or len(class_names)
        if count:
            self._check_labels(count, read_all or not num_classes)
        else:
            count = self._largest_label() + 1
        super().__init__(
            f"label maps {label_maps}",
            [os.fsencode(name) for name in names],
            count,
            tuple(class_names),
            objects=None,
        )
        self.first_label = int(reduce_zero_label)

    def _label_map(self, row: int, size: tuple[int, int]) -> np.ndarray:
        labels = super()._label_map(row, size)
        return without_zero(labels) if self._reduce else labels

    def _largest_label(self) -> int:
        """The largest label of all maps; tells on stderr which smaller ones none has."""
        found = self._labels_of(self._maps)
        if not found or found[0] < 0:
            raise UserError(f"{os.path.dirname(self._maps[0])}: the label maps hold no label")
        if len(found) == 1:
            raise UserError(f"{self._only(found)}, or give --num_classes")
        empty = sorted({*range(found[-1])} - {*found})
        if empty:
            warn(
                f"no label map has {len(empty)} of the labels below {found[-1]}, such as "
                f"{', '.join(map(str, empty[:5]))}: these classes are empty, and are not learned"
            )
        return found[-1]

    def _check_labels(self, count: int, read_all: bool) -> None:
        """Looks at all maps or a few for labels beyond the classes, and for one label alone."""
        step = 1 if read_all else -(-len(self._maps) // _LOOKED_AT)
        found = self._labels_of(self._maps[::step])
        folder = os.path.dirname(self._maps[0])
        if found and found[-1] >= count:
            raise UserError(
                f"{folder}: a label map has the label {found[-1]}, and there are {count} classes, "
                "from 0; correct the maps, --num_classes or --label_names"
            )
        if len(found) < 2:
            warn(self._only(found))
        elif read_all and found[-1] + 1 < count:
            warn(
                f"{folder}: there are {count} classes, and the largest label is "
                f"{found[-1]}; the first class is label 0"
            )

    def _labels_of(self, paths: Sequence[str]) -> list[int]:
        """The labels in maps, ascending, without `IGNORED`."""

        def present(path: str) -> list[int]:
            labels = read_label_map(read_bytes(path), path, None)
            return np.unique(without_zero(labels) if self._reduce else labels).tolist()

        with ThreadPoolExecutor(len(available_cores())) as pool:
            return sorted(set().union(*pool.map(present, paths)) - {IGNORED})

    def _only(self, found: list[int]) -> str:
        return (
            f"{os.path.dirname(self._maps[0])}: label maps hold {found} alone, and pixels of "
            f"{IGNORED} are ignored: of masks of 0 and {IGNORED} write the foreground as 1"
        )


def _warn_of_maps_without_images(folder: str, claimed: Sequence[str]) -> None:
    """Tells on stderr how many PNGs of a folder are the label map of no image."""
    found = {
        os.path.join(folder, os.fsdecode(path))
        for path in Listing(os.fsencode(folder), (".png",), each_once=False).paths
    }
    unread = sorted(found - {*claimed})
    if unread:
        warn(
            f"{folder}: {len(unread)} of {len(found)} label maps have no image, such as "
            f"{unread[0]}, and are not read"
        )
