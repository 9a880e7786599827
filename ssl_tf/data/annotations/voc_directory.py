"""Sources of directories in the format of PASCAL VOC: objects in XML, or label maps."""

import os
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable, Sequence
from pathlib import Path

from ssl_tf.data.annotation_marks import is_set
from ssl_tf.data.annotations.annotated_files import AnnotatedFiles, read_bytes
from ssl_tf.data.annotations.annotated_source import BACKGROUND
from ssl_tf.data.annotations.image_sizes import image_size
from ssl_tf.data.annotations.label_maps import LabelMapFiles
from ssl_tf.data.annotations.object_table import BadAnnotations, ObjectRows
from ssl_tf.errors import SettingsError, UserError, listed

CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train",
    "tvmonitor",
)  # fmt: skip


class VocObjects(AnnotatedFiles):
    """The images of lists in ImageSets/Main, with the boxes of Annotations.

    Corners of VOC are pixels counted from 1, both inside the box: 1 is subtracted from the first.
    The classes are VOC's twenty; of a directory with others, its own in alphabetical order. An id
    is that of VOC, with the name of the directory before it where there are several.
    """

    def __init__(
        self, directories: Sequence[str], lists: Sequence[str], classes: tuple[str, ...] = ()
    ):
        """Reads all annotations.

        Args:
            directories: such as VOCdevkit/VOC2007.
            lists: a list of each directory, such as trainval; or one for all.
            classes: names of the classes; empty: as above.

        Raises:
            UserError: a directory, list, annotation or image is missing or damaged.
        """
        entries = _listed(directories, lists, "Main")
        self._paths = [_jpeg(directory, name) for directory, name, _ in entries]
        _check_all_there(self._paths, directories)
        trees = [
            _annotation(os.path.join(directory, "Annotations", f"{name}.xml"))
            for directory, name, _ in entries
        ]
        names = classes or _classes(trees)
        bad = BadAnnotations("xmin, ymin, xmax and ymax in pixels, counted from 1")
        rows = ObjectRows(bad)
        self._sizes = [_size(tree) for tree in trees]
        for (_, _, image_id), path, tree, told in zip(entries, self._paths, trees, self._sizes):
            rows.begin_image()
            size = told or image_size(read_bytes(path))
            for node in tree.iter("object"):
                _add(node, image_id, size, names, rows, bad)
        super().__init__(
            f"VOC {','.join(directories)}:{','.join(lists)}",
            [image_id.encode() for _, _, image_id in entries],
            len(names),
            names,
            objects=rows.table(),
            bad=bad,
        )

    def _annotated_size(self, row: int) -> tuple[int, int] | None:
        return self._sizes[row]

    def _detail(self, row: int) -> bytes:
        return super()._detail(row) + repr(self._sizes[row]).encode()


class VocLabelMaps(LabelMapFiles):
    """The images of lists in ImageSets/Segmentation, with the label maps of SegmentationClass.

    Label 0 is the background, 1 to 20 are VOC's classes. 255, the border of objects, is ignored.
    """

    def __init__(
        self, directories: Sequence[str], lists: Sequence[str], names: tuple[str, ...] = ()
    ):
        """
        Args:
            directories, lists: as in `VocObjects`.
            names: of the labels, from 0; empty: as above.

        Raises:
            UserError: a directory, list, image or label map is missing.
            SettingsError: no names are given, and the annotations beside the maps have other
                classes, whose labels nothing tells.
        """
        entries = _listed(directories, lists, "Segmentation")
        self._paths = [_jpeg(directory, name) for directory, name, _ in entries]
        self._maps = [
            os.path.join(directory, "SegmentationClass", f"{name}.png")
            for directory, name, _ in entries
        ]
        _check_all_there([*self._paths, *self._maps], directories)
        if not names:
            names = (BACKGROUND, *CLASSES)
            _check_classes_of_voc(entries)
        super().__init__(
            f"VOC {','.join(directories)}:{','.join(lists)}, label maps",
            [image_id.encode() for _, _, image_id in entries],
            len(names),
            names,
            objects=None,
        )


def _listed(
    directories: Sequence[str], lists: Sequence[str], kind: str
) -> list[tuple[str, str, str]]:
    """(directory, VOC's name, id) of each image of the lists."""
    if len(lists) not in (1, len(directories)):
        raise SettingsError(
            f"--voc_list={','.join(lists)}: give one list, or one for each of the "
            f"{len(directories)} directories of --voc_dir"
        )
    prefixes = {directory: Path(directory).name for directory in directories}
    if len({*prefixes.values()}) < len(directories):
        prefixes = {directory: directory.rstrip("/") for directory in directories}
    found = []
    for directory, name in zip(directories, [*lists] * (len(directories) // len(lists))):
        path = Path(directory, "ImageSets", kind, f"{name}.txt")
        try:
            lines = path.read_text().splitlines()
        except OSError as error:
            raise UserError(
                f"--voc_dir={directory}: {path} cannot be read ({error.strerror}); give VOC's "
                "directory of a year, and by --voc_list a list that it has"
            ) from None
        prefix = f"{prefixes[directory]}/" if len(directories) > 1 else ""
        rows = [line.split() for line in lines if line.strip()]
        # VOC has the images of a whole list in each of its lists of a class: 1 in a second column
        # stands for those that show it, 0 for difficult objects alone, -1 for all others.
        if any(row[1:] in (["-1"], ["0"]) for row in rows):
            raise SettingsError(
                f"{path} is VOC's list of one class, and has images without it; give a list of "
                "images alone, such as trainval, or write those of 1 to a list of their own"
            )
        found += [(directory, row[0], prefix + row[0]) for row in rows]
    if not found:
        raise UserError(f"--voc_dir={','.join(directories)}: the lists {','.join(lists)} are empty")
    return found


def _jpeg(directory: str, name: str) -> str:
    return os.path.join(directory, "JPEGImages", f"{name}.jpg")


def _check_all_there(paths: list[str], directories: Sequence[str]) -> None:
    missing = [path for path in paths if not os.path.exists(path)]
    if missing:
        raise UserError(
            f"--voc_dir={','.join(directories)}: {len(missing)} files of the list are missing, "
            f"such as {missing[0]}; complete the directory"
        )


def _annotation(path: str) -> ElementTree.Element:
    try:
        return ElementTree.parse(path).getroot()
    except (OSError, ElementTree.ParseError) as error:
        raise UserError(
            f"--voc_dir: {path} cannot be read ({error}); restore it, or take it from the list"
        ) from None


def _class(node: ElementTree.Element) -> str:
    return node.findtext("name", "").strip()


def _classes(trees: Iterable[ElementTree.Element]) -> tuple[str, ...]:
    """VOC's twenty; of annotations with others, their own in alphabetical order."""
    found = {_class(node) for tree in trees for node in tree.iter("object")} - {""}
    return CLASSES if found <= {*CLASSES} else tuple(sorted(found))


def _check_classes_of_voc(entries: Sequence[tuple[str, str, str]]) -> None:
    paths = (os.path.join(root, "Annotations", f"{name}.xml") for root, name, _ in entries)
    trees = [_annotation(path) for path in paths if os.path.exists(path)]
    others = set(_classes(trees)) - {*CLASSES}
    if others:
        raise SettingsError(
            f"--voc_dir={entries[0][0]}: its annotations have classes that are not VOC's "
            f"({listed(sorted(others))}), and which labels they have is not known; give "
            "--label_names=FILE, the names from label 0 on, a line each"
        )


def _size(tree: ElementTree.Element) -> tuple[int, int] | None:
    """Height and width in an annotation; None if it does not tell them."""
    try:
        size = tuple(int(tree.findtext(f"size/{side}", "0")) for side in ("height", "width"))
    except ValueError:
        return None
    return size if min(size) > 0 else None


def _add(
    node: ElementTree.Element,
    image_id: str,
    size: tuple[int, int] | None,
    names: tuple[str, ...],
    rows: ObjectRows,
    bad: BadAnnotations,
) -> None:
    """Adds one object to the rows, or counts it as bad."""
    kind = _class(node)
    told = f"{kind or 'an object'} of {image_id}"
    if kind not in names:
        bad.add("objects of other classes", told)
        return
    try:
        left, top, right, bottom = (
            float(node.findtext(f"bndbox/{side}", "")) for side in ("xmin", "ymin", "xmax", "ymax")
        )
    except ValueError:
        bad.add("objects without a box", told)
        return
    if size is None:
        bad.add("objects of images without a size", told)
        return
    try:
        difficult = is_set(node.findtext("difficult", "0"))
    except ValueError:
        bad.add("objects whose difficult is neither 0 nor 1", told)
        return
    box = (top - 1, left - 1, bottom, right)
    rows.add(told, box, size, names.index(kind), difficult=difficult)
