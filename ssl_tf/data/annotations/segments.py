"""Segments of COCO's json, in flat arrays: polygons, and run lengths plain or compressed."""

from typing import Any

import numpy as np


class Segments:
    """The segments of many objects.

    A pixel belongs to a polygon if its centre lies inside, by the even-odd rule; several polygons
    of one object are united. (COCO's own tool rounds corners to fifths of a pixel first, so that a
    pixel of the border may differ. It belongs to the extra `downstream`, and it trusts what it is
    given; here run lengths of another size than the image are refused.)
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
        except (TypeError, ValueError, KeyError):
            return "segments that are neither polygons nor run lengths"
        if any(p.ndim != 1 or p.size % 2 or p.size < 6 for p in polygons) or not polygons:
            return "segments without a polygon of three corners"
        self._corners.append(np.concatenate(polygons).reshape(-1, 2))
        self._lengths.append(tuple(p.size // 2 for p in polygons))
        return ""

    def _add_runs(self, segmentation: dict, size: tuple[int, int]) -> str:
        counts = segmentation["counts"]
        counts = decompress(counts) if isinstance(counts, str) else counts
        counts = np.array(counts, np.int64)
        is_of_size = list(segmentation["size"]) == list(size) and counts.sum() == np.prod(size)
        if not is_of_size or (counts < 0).any():
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
    """The pixels whose centres lie inside a polygon by the even-odd rule: bool [height, width].

    Args:
        polygon: float [k, 2], corners x, y in pixels.
        size: height and width.
    """
    height, width = size
    (x0, y0), (x1, y1) = polygon.T, np.roll(polygon, -1, axis=0).T
    first = np.ceil(np.minimum(y0, y1) - 0.5).clip(0, height).astype(int)
    last = np.ceil(np.maximum(y0, y1) - 0.5).clip(0, height).astype(int)
    # Each edge crosses the centre lines first..last-1; right of a crossing the side changes.
    edges = np.repeat(np.arange(len(polygon)), last - first)
    begins = np.cumsum(last - first) - (last - first)
    rows = np.arange(len(edges)) - begins[edges] + first[edges]
    slope = (x1 - x0)[edges] / (y1 - y0)[edges]
    crossing = x0[edges] + (rows + 0.5 - y0[edges]) * slope
    columns = np.ceil(crossing - 0.5).clip(0, width).astype(int)
    changes = np.zeros((height, width + 1), np.int64)
    np.add.at(changes, (rows, columns), 1)
    return np.cumsum(changes, axis=1)[:, :width] % 2 == 1


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
