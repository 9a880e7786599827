"""The objects of many images in a few arrays, and the count of the annotations left out of them."""

import math

import numpy as np

from ssl_tf.errors import UserError, listed, warn

_LISTED = 3
# Pixels by which a box may be longer than its image: annotations are rounded, or count from 0 or 1.
_ROUNDED = 2


class BadAnnotations:
    """Counts the annotations that are left out, by reason, with the first names of each.

    Boxes that are kept and look as if they were of another format are counted, too.

    Attributes:
        names: reason -> names of what it was found in.
    """

    def __init__(self, box_format: str = ""):
        """
        Args:
            box_format: how the annotations have their boxes, in words.
        """
        self.names: dict[str, list[str]] = {}
        self._box_format = box_format
        self._boxes = 0
        self._doubtful: dict[str, list[str]] = {}
        self._repeated: list[str] = []

    @property
    def count(self) -> int:
        """Number of annotations that are left out."""
        return sum(map(len, self.names.values()))

    def add(self, reason: str, name: str) -> None:
        """Counts one annotation.

        Args:
            reason: why it is left out, such as "boxes without an area".
            name: of the annotation or its image.
        """
        self.names.setdefault(reason, []).append(name)

    def look_at(self, name: str, box: np.ndarray, cut: np.ndarray, size: np.ndarray) -> None:
        """Counts a box, and whether it is doubtful.

        Args:
            name: of the box or its image.
            box: ymin, xmin, ymax, xmax in pixels.
            cut: what lies in the image of it.
            size: height and width of the image, in pixels.
        """
        self._boxes += 1
        sides = cut[2:] - cut[:2]
        if np.abs(box - cut).max() > _ROUNDED:
            reason = f"reach more than {_ROUNDED} pixels beyond their image"
        # An image of one pixel has no smaller side; of one that cannot be read no more is known.
        elif ((sides > 0) & (sides < np.minimum(size - 1, 1))).any():
            reason = "have a side below a pixel"
        else:
            return
        self._doubtful.setdefault(reason, []).append(name)

    def add_repeated(self, name: str) -> None:
        """Counts an object that has the class and the box of another one of its image."""
        self._repeated.append(name)

    def warn(self, told: str) -> None:
        """Tells each reason on stderr, once, with its count and first names.

        Raises:
            UserError: most boxes are doubtful.
        """
        for reason, names in self.names.items():
            warn(f"{told}: {len(names)} {reason}, left out: {listed(names, _LISTED)}")
        doubts = [
            f"{len(names)} of {self._boxes} boxes {reason}, such as {listed(names, _LISTED)}"
            for reason, names in self._doubtful.items()
        ]
        if 2 * sum(map(len, self._doubtful.values())) > self._boxes:
            raise UserError(
                f"{told}: {'; '.join(doubts)}: give boxes as {self._box_format}, and the sizes of "
                "the images that they were drawn in"
            )
        for doubt in doubts:
            warn(f"{told}: {doubt}")
        if self._repeated:
            warn(
                f"{told}: {len(self._repeated)} objects have the class and the box of another, and "
                f"count beside it: {listed(self._repeated, _LISTED)}; one of two is found at most"
            )


class ObjectTable:
    """The objects of all images of a set, image after image.

    Attributes:
        ends: int64 [N], the number of objects up to and with each image.
        boxes: float32 [M, 4], ymin, xmin, ymax, xmax in [0, 1].
        classes: int64 [M], from 0 without holes.
        crowd, difficult: bool [M].
        areas: float32 [M], in pixels of the original.
    """

    def __init__(self, counts: np.ndarray, **columns: np.ndarray):
        """
        Args:
            counts: int [N], objects of each image.
            **columns: the other attributes.
        """
        kinds = {
            "boxes": np.float32,
            "classes": np.int64,
            "crowd": bool,
            "difficult": bool,
            "areas": np.float32,
        }
        self.ends = np.cumsum(counts, dtype=np.int64)
        for name, kind in kinds.items():
            column = np.asarray(columns[name], kind)
            setattr(self, name, column.reshape(-1, 4) if name == "boxes" else column)

    def rows_of(self, image: int) -> slice:
        """The rows of the objects of an image."""
        return slice(int(self.ends[image - 1]) if image else 0, int(self.ends[image]))

    def of(self, image: int) -> tuple[np.ndarray, ...]:
        """Boxes, classes, crowd, difficult and areas of an image."""
        rows = self.rows_of(image)
        columns = (self.boxes, self.classes, self.crowd, self.difficult, self.areas)
        return tuple(column[rows] for column in columns)

    def content(self, image: int) -> bytes:
        """What is known of the objects of an image, as it is kept."""
        return b"".join(column.tobytes() for column in self.of(image))

    def learned(self) -> np.ndarray:
        """Objects of each image that a detector learns from, all but crowds: int64 [N]."""
        total = np.concatenate([[0], np.cumsum(~self.crowd)])[np.concatenate([[0], self.ends])]
        return np.diff(total)


class ObjectRows:
    """Collects the rows of an `ObjectTable`; boxes without an area are counted and left out."""

    def __init__(self, bad: BadAnnotations):
        self._bad = bad
        self._counts: list[int] = []
        self._rows: list[tuple] = []
        self._seen: set[tuple] = set()

    def begin_image(self) -> None:
        """The objects that follow are of the next image."""
        self._counts.append(0)
        self._seen.clear()

    def add(
        self,
        name: str,
        box: tuple[float, float, float, float],
        size: tuple[int, int],
        label: int,
        *,
        crowd: bool = False,
        difficult: bool = False,
        area: float | None = None,
    ) -> bool:
        """Adds an object of the newest image, cut at the borders of the image.

        Args:
            name: of the object, for the count of what is left out.
            box: ymin, xmin, ymax, xmax in pixels.
            size: height and width of the image, in pixels.
            label: its class, from 0.
            crowd: it stands for several objects.
            difficult: it does not count in VOC's evaluation.
            area: of its segment, in pixels; where it is not above 0, that of the box.

        Returns:
            Whether it has an area, and was added.
        """
        scale = np.array([*size, *size], np.float64)
        box = np.array(box, np.float64)
        cut = np.clip(box, 0, scale)
        self._bad.look_at(name, box, cut, scale[:2])
        sides = cut[2:] - cut[:2]
        if not (np.isfinite(cut).all() and (sides > 0).all()):
            self._bad.add("boxes without an area in the image", name)
            return False
        self._counts[-1] += 1
        if (label, *box) in self._seen:
            self._bad.add_repeated(name)
        self._seen.add((label, *box))
        area = float(area if area and 0 < area < math.inf else sides.prod())
        self._rows.append((cut / scale, label, crowd, difficult, area))
        return True

    def table(self) -> ObjectTable:
        """The table of all objects that were added."""
        columns = list(zip(*self._rows)) or [()] * 5
        names = ("boxes", "classes", "crowd", "difficult", "areas")
        return ObjectTable(np.array(self._counts), **dict(zip(names, columns)))
