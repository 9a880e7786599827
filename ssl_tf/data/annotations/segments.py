"""Segments of COCO's json, in flat arrays: polygons, and run lengths plain or compressed."""

from typing import Any

import numpy as np

# Of COCO's polygons, to a pixel.
_STEPS = 5
# A corner lies at most as many sides of the image away.
_FARTHEST = 10


class Segments:
    """The segments of many objects.

    Several polygons of one object are united. The masks are those of pycocotools, which belongs to
    the extra `downstream`, and trusts what it is given; here run lengths of another size than the
    image are refused.
    """

    def __init__(self):
        # One array an object: float64 [k, 2] corners x, y of its polygons behind each other, with
        # their lengths; or uint32 run lengths.
        self._corners: list[np.ndarray] = []
        self._lengths: list[tuple[int, ...] | None] = []

    def add(self, segmentation: Any, size: tuple[int, int]) -> str:
        """Adds the segment of one object.

        Args:
            segmentation: of an annotation: a list of polygons x, y, x, y, ...; or a dict of "size"
                and "counts", which is a list or COCO's compressed text.
            size: height and width of the image.

        Returns:
            Why it is refused; empty if it was added.
        """
        try:
            if isinstance(segmentation, dict):
                return self._add_runs(segmentation, size)
            polygons = [np.array(polygon, np.float64) for polygon in segmentation]
        except (TypeError, ValueError, KeyError, OverflowError):
            return "segments that are neither polygons nor run lengths"
        if any(p.ndim != 1 or p.size % 2 or p.size < 6 for p in polygons) or not polygons:
            return "segments without a polygon of three corners"
        corners = np.concatenate(polygons)
        # COCO's tool walks an edge to its end, however far that is.
        if not np.abs(corners).max() <= _FARTHEST * max(size):
            return "segments with corners that are no numbers, or far outside of the image"
        self._corners.append(corners.reshape(-1, 2))
        self._lengths.append(tuple(p.size // 2 for p in polygons))
        return ""

    def _add_runs(self, segmentation: dict, size: tuple[int, int]) -> str:
        counts = segmentation["counts"]
        counts = decompress(counts) if isinstance(counts, str) else counts
        counts = np.array(counts, np.int64)
        is_of_size = list(segmentation["size"]) == list(size) and counts.sum() == np.prod(size)
        if not is_of_size or (counts < 0).any() or counts.ndim != 1:
            return "segments of another size than the image"
        self._corners.append(counts.astype(np.uint32))
        self._lengths.append(None)
        return ""

    def remove_last(self) -> None:
        """Removes the segment that was added last."""
        self._corners.pop()
        self._lengths.pop()

    def content(self, rows: slice) -> bytes:
        """The segments of some objects, as they are kept."""
        arrays = (array.tobytes() for array in self._corners[rows])
        return repr(self._lengths[rows]).encode() + b"".join(arrays)

    def mask(self, index: int, size: tuple[int, int]) -> np.ndarray:
        """The mask of an object, bool [height, width].

        Args:
            index: number of the object.
            size: height and width of the image.
        """
        corners, lengths = self._corners[index], self._lengths[index]
        if lengths is None:
            inside = np.repeat(np.arange(len(corners)) % 2 == 1, corners)
            return inside.reshape(size, order="F")
        mask = np.zeros(size, bool)
        for polygon in np.split(corners, np.cumsum(lengths)[:-1]):
            mask |= fill(polygon, size)
        return mask


def fill(polygon: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The pixels of a polygon as pycocotools has them, so that figures of masks are COCO's.

    Corners are rounded to fifths of a pixel, edges are walked in such steps. Where a walk passes
    the middle of a column of pixels, the inside begins or ends with the next pixel below. Pixels
    are counted down the columns, so what lies below the last one begins the next column.

    Args:
        polygon: float64 [k, 2], corners x, y in pixels.
        size: height and width.

    Returns:
        bool [height, width].
    """
    height, width = size
    first = np.trunc(_STEPS * polygon + 0.5)
    last = np.roll(first, -1, axis=0)
    along_x = np.abs(last - first)[:, 0] >= np.abs(last - first)[:, 1]
    # The coordinate by which an edge is walked, upwards, and the other one.
    walked, other = (np.where(along_x, axis, 1 - axis) for axis in (0, 1))
    edges = np.arange(len(first))
    backwards = first[edges, walked] > last[edges, walked]
    begin = np.where(backwards[:, None], last, first)
    end = np.where(backwards[:, None], first, last)
    length = (end - begin)[edges, walked]
    slope = (end - begin)[edges, other] / np.maximum(length, 1)

    counts = length.astype(int) + 1
    edge = np.repeat(edges, counts)
    step = np.arange(len(edge)) - np.repeat(np.cumsum(counts) - counts, counts)
    step = np.where(backwards[edge], counts[edge] - 1 - step, step)
    points = np.empty((len(edge), 2))
    points[np.arange(len(edge)), walked[edge]] = step + begin[edge, walked[edge]]
    points[np.arange(len(edge)), other[edge]] = np.trunc(
        begin[edge, other[edge]] + slope[edge] * step + 0.5
    )

    passes = np.flatnonzero(np.diff(points[:, 0]))
    x, y = np.minimum(points[passes], points[passes + 1]).T
    x, y = ((place + 0.5) / _STEPS - 0.5 for place in (x, y))
    in_middle = (x == np.floor(x)) & (x >= 0) & (x <= width - 1)
    rows = np.ceil(y.clip(0, height))[in_middle].astype(int)
    changes = np.bincount(x[in_middle].astype(int) * height + rows, minlength=height * width + 1)
    inside = np.cumsum(changes[:-1]) % 2 == 1
    return inside.reshape(size, order="F")


def decompress(text: str) -> list[int]:
    """The run lengths in COCO's compressed text.

    A number is written in groups of 5 bits, the lowest first, each as a letter from "0" on. The
    sixth bit says that more follow, the highest bit of the last group is the sign. From the fourth
    number on, the difference to the number before the last is written.

    Raises:
        ValueError: the text ends inside a number.
    """
    lengths: list[int] = []
    value = shift = 0
    for letter in text:
        group = ord(letter) - 48
        value |= (group & 31) << shift
        shift += 5
        if group & 32:
            continue
        if group & 16:
            value -= 1 << shift
        lengths.append(value + (lengths[-2] if len(lengths) > 2 else 0))
        value = shift = 0
    if shift:
        raise ValueError("the text ends inside a number")
    return lengths
