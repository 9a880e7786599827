"""The choice of OHMS's images and classes by their numbers of boxes (OAC section 4.1).

OHMS has the images of OpenImages with objects of at least two classes, and of these images the
classes with at least 900 images.
"""

import dataclasses
from collections.abc import Iterable

import numpy as np

from ssl_tf.data.openimages.box_csv import BoxRows

# Counts that the paper states for its subset.
PAPER = {"images": 212_753, "classes": 208, "boxes_per_image": 12}


@dataclasses.dataclass(frozen=True)
class BoxCounts:
    """The number of boxes of each pair of an image and a class that occurs in it.

    The counts take 18 bytes a pair and 8 an image.

    Attributes:
        images: uint64 [images], ids of the images, ascending.
        image: int64 [pairs], row in `images`, ascending.
        label: uint16 [pairs], number of the class.
        boxes: int64 [pairs], number of boxes.
    """

    images: np.ndarray
    image: np.ndarray
    label: np.ndarray
    boxes: np.ndarray

    def keep(self, pairs: np.ndarray) -> "BoxCounts":
        """The pairs that are True in a bool [pairs] array, and the images that have such a pair."""
        rows, image = np.unique(self.image[pairs], return_inverse=True)
        return BoxCounts(self.images[rows], image, self.label[pairs], self.boxes[pairs])

    @property
    def classes(self) -> np.ndarray:
        """Numbers of the classes that occur, ascending."""
        return np.unique(self.label)

    def describe(self) -> dict[str, float]:
        """Total counts, to be compared with the paper's."""
        of_class = np.bincount(self.label)
        of_class = of_class[of_class > 0]
        images, boxes = len(self.images), int(self.boxes.sum())
        return {
            "images": images,
            "classes": len(of_class),
            "boxes": boxes,
            "boxes_per_image": round(boxes / max(images, 1), 3),
            "classes_per_image": round(len(self.image) / max(images, 1), 3),
            "fewest_images_of_a_class": int(of_class.min(initial=images)),
            "most_images_of_a_class": int(of_class.max(initial=0)),
        }


def count_boxes(rows: Iterable[BoxRows]) -> BoxCounts:
    """The number of boxes of each image and class."""
    pieces = [
        _merged(piece.images, piece.labels, np.ones(len(piece.images), np.int64)) for piece in rows
    ]
    columns = zip(*pieces) if pieces else ([np.zeros(0, np.uint64)], *[[np.zeros(0, np.int64)]] * 2)
    images, labels, boxes = _merged(*map(np.concatenate, columns))
    ids, image = np.unique(images, return_inverse=True)
    return BoxCounts(ids, image, labels, boxes)


def select(
    counts: BoxCounts,
    *,
    min_classes: int = 2,
    min_images: int = 900,
    min_classes_after: int = 1,
    to_fixed_point: bool = False,
) -> tuple[BoxCounts, list[dict]]:
    """Applies the paper's filters in the paper's order.

    Args:
        counts: counts of all boxes.
        min_classes: least number of distinct classes of an image.
        min_images: least number of these images of a class.
        min_classes_after: least number of distinct kept classes of an image.
        to_fixed_point: repeat the last two filters until nothing changes. Without it, dropping
            images of too few kept classes may leave a class fewer than `min_images`.

    Returns:
        The counts of the chosen images and classes, and the counts after each step.
    """
    counts = _with_classes(counts, min_classes)
    steps = [{"step": f"{min_classes} classes or more an image", **counts.describe()}]
    while True:
        before = len(counts.image)
        of_class = np.bincount(counts.label)
        counts = counts.keep((of_class >= min_images)[counts.label])
        steps.append({"step": f"{min_images} images or more a class", **counts.describe()})
        counts = _with_classes(counts, min_classes_after)
        steps.append(
            {"step": f"{min_classes_after} kept classes or more an image", **counts.describe()}
        )
        if not to_fixed_point or len(counts.image) == before:
            return counts, steps


def only_images(counts: BoxCounts, ids: np.ndarray) -> BoxCounts:
    """The counts of some images, by id."""
    return counts.keep(np.isin(counts.images, ids)[counts.image])


def only_classes(counts: BoxCounts, classes: np.ndarray) -> BoxCounts:
    """The counts of some classes, in the images that have any of them."""
    return counts.keep(np.isin(counts.label, classes))


def draw_images(counts: BoxCounts, count: int, seed: int) -> np.ndarray:
    """`count` ids drawn uniformly, ascending; all ids if there are fewer."""
    random = np.random.default_rng(seed)
    count = min(count, len(counts.images))
    return np.sort(random.choice(counts.images, count, replace=False))


def _with_classes(counts: BoxCounts, least: int) -> BoxCounts:
    return counts.keep((np.bincount(counts.image) >= least)[counts.image])


def _merged(
    images: np.ndarray, labels: np.ndarray, boxes: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(image, class, boxes) sorted by image and class; the boxes of equal pairs are added up."""
    order = np.lexsort((labels, images))
    images, labels, boxes = images[order], labels[order], boxes[order]
    first = np.ones(len(images), bool)
    first[1:] = (images[1:] != images[:-1]) | (labels[1:] != labels[:-1])
    starts = np.flatnonzero(first)
    total = np.add.reduceat(boxes, starts) if len(starts) else boxes
    return images[starts], labels[starts].astype(np.uint16), total
