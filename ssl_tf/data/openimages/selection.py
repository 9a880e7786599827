"""Which images and classes make up OHMS, from the counts of their boxes (OAC section 4.1).

OHMS: the images of OpenImages with objects of two classes or more, and of those the classes with
900 images or more.
"""

import dataclasses
from collections.abc import Iterable

import numpy as np

from ssl_tf.data.openimages.box_csv import BoxRows

# What the paper states of its subset.
PAPER = {"images": 212_753, "classes": 208, "boxes_per_image": 12}


@dataclasses.dataclass(frozen=True)
class BoxCounts:
    """How many boxes of which class each image has; an entry for each such pair.

    18 bytes a pair and 8 an image.

    Attributes:
        images: uint64 [images], the ids, ascending.
        image: int64 [pairs], row in `images`, ascending.
        kind: uint16 [pairs], number of the class.
        boxes: int64 [pairs].
    """

    images: np.ndarray
    image: np.ndarray
    kind: np.ndarray
    boxes: np.ndarray

    def keep(self, pairs: np.ndarray) -> "BoxCounts":
        """The pairs that are True in a bool [pairs] array, and the images that have any."""
        rows, image = np.unique(self.image[pairs], return_inverse=True)
        return BoxCounts(self.images[rows], image, self.kind[pairs], self.boxes[pairs])

    @property
    def classes(self) -> np.ndarray:
        """Numbers of the classes that occur, ascending."""
        return np.unique(self.kind)

    def describe(self) -> dict[str, float]:
        """The counts to compare with the paper's."""
        of_class = np.bincount(self.kind)
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
    """Counts the boxes of each image and class."""
    pieces = [
        _merged(some.images, some.kinds, np.ones(len(some.images), np.int64)) for some in rows
    ]
    columns = zip(*pieces) if pieces else ([np.zeros(0, np.uint64)], *[[np.zeros(0, np.int64)]] * 2)
    images, kinds, boxes = _merged(*map(np.concatenate, columns))
    ids, image = np.unique(images, return_inverse=True)
    return BoxCounts(ids, image, kinds, boxes)


def select(
    counts: BoxCounts,
    *,
    min_classes: int = 2,
    min_images: int = 900,
    min_classes_after: int = 1,
    to_fixed_point: bool = False,
) -> tuple[BoxCounts, list[dict]]:
    """Applies the paper's filters in the paper's order, and says what each leaves.

    Args:
        counts: of all boxes.
        min_classes: distinct classes an image needs.
        min_images: images a class needs, among those images.
        min_classes_after: distinct kept classes that an image needs in the end.
        to_fixed_point: repeat the last two until nothing changes, which dropping images of too few
            kept classes makes necessary if every class is to have `min_images` in the end.

    Returns:
        The counts of what is left, and the counts after each step.
    """
    counts = _with_classes(counts, min_classes)
    steps = [{"step": f"{min_classes} classes or more an image", **counts.describe()}]
    while True:
        before = len(counts.image)
        of_class = np.bincount(counts.kind)
        counts = counts.keep((of_class >= min_images)[counts.kind])
        steps.append({"step": f"{min_images} images or more a class", **counts.describe()})
        counts = _with_classes(counts, min_classes_after)
        steps.append(
            {"step": f"{min_classes_after} kept classes or more an image", **counts.describe()}
        )
        if not to_fixed_point or len(counts.image) == before:
            return counts, steps


def only_images(counts: BoxCounts, ids: np.ndarray) -> BoxCounts:
    """The counts of the images whose ids are given."""
    return counts.keep(np.isin(counts.images, ids)[counts.image])


def only_classes(counts: BoxCounts, classes: np.ndarray) -> BoxCounts:
    """The counts of some classes, and of the images that have any of them."""
    return counts.keep(np.isin(counts.kind, classes))


def draw_images(counts: BoxCounts, count: int, seed: int) -> np.ndarray:
    """Returns `count` ids drawn uniformly, ascending; all of them, where there are fewer."""
    random = np.random.default_rng(seed)
    count = min(count, len(counts.images))
    return np.sort(random.choice(counts.images, count, replace=False))


def _with_classes(counts: BoxCounts, least: int) -> BoxCounts:
    return counts.keep((np.bincount(counts.image) >= least)[counts.image])


def _merged(
    images: np.ndarray, kinds: np.ndarray, boxes: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sorts (image, class, boxes) by image and class and adds up those of the same."""
    order = np.lexsort((kinds, images))
    images, kinds, boxes = images[order], kinds[order], boxes[order]
    first = np.ones(len(images), bool)
    first[1:] = (images[1:] != images[:-1]) | (kinds[1:] != kinds[:-1])
    starts = np.flatnonzero(first)
    total = np.add.reduceat(boxes, starts) if len(starts) else boxes
    return images[starts], kinds[starts].astype(np.uint16), total
