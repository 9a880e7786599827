"""Region proposals from feature maps, as in rOSD (Vo et al. 2020) and LOD.

The peaks of the saliency map are found by persistence. Around each peak a local map marks the cells
that look like it. The boxes of the local map's level sets are the proposals. Constants are those of
the published MATLAB code.

A box is (x1, y1, x2, y2) in pixels, counted from 1, both ends inside. All of `discovery` keeps this
published convention, so that its numbers can be compared.
"""

import dataclasses

import numpy as np
from scipy import ndimage

from ssl_tf.settings import RegionSettings

# Neighbours in a component, ndimage's default, which it would make anew for every level.
_CROSS = ndimage.generate_binary_structure(2, 1)
_EIGHT = [(-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1)]
# The published list of neighbours lacks the cell below.
_SEVEN = [step for step in _EIGHT if step != (1, 0)]


@dataclasses.dataclass(frozen=True)
class Regions:
    """The proposals of one image; if there are any, the first is the full image.

    Attributes:
        boxes: int32 [R, 4], distinct.
        groups: int32 [R], number of the (feature map, root cell) from which the box grew.
    """

    boxes: np.ndarray
    groups: np.ndarray


def propose_regions(
    maps: list[np.ndarray],
    height: int,
    width: int,
    settings: RegionSettings,
    random: np.random.Generator,
) -> Regions:
    """The proposals from all feature maps of an image, at most `max_regions`.

    Args:
        maps: non-negative float [h, w, D], one a layer; their cells tile the image.
        height, width: of the image in pixels.
        settings: constants of the peaks, the local maps and the levels.
        random: draws the boxes that stay, if there are too many.

    Returns:
        The regions; empty if no map has a peak, because all features are flat or not finite.
    """
    rows = [(1, 1, width, height)]
    groups: list[int] = []
    offset = 0
    for features in maps:
        saliency = features.sum(axis=2)
        cells = saliency.size
        peaks = find_peaks(saliency, settings) if np.isfinite(saliency).all() else []
        if peaks and not groups:
            groups.append(offset + int(saliency.argmax()))
        mask = global_mask(saliency, settings.mask_threshold)
        for similarity in local_maps(features, peaks, mask, settings):
            for box, root in nested_boxes(similarity, saliency, settings):
                rows.append(to_pixels(box, saliency.shape, height, width))
                groups.append(offset + root)
        offset += cells
    if not groups:
        return Regions(np.zeros([0, 4], np.int32), np.zeros([0], np.int32))
    boxes, first = np.unique(np.array(rows, np.int32), axis=0, return_index=True)
    # A box that is one pixel wide has no extent, so that no change of scale can be measured.
    least = np.maximum(2, settings.least_side * np.array([width, height]))
    is_large_enough = (boxes[:, 2:] - boxes[:, :2] + 1 >= least).all(axis=1)
    indices = np.sort(first[is_large_enough])
    boxes, groups = np.array(rows, np.int32)[indices], np.array(groups, np.int32)[indices]
    chosen = _sample(groups, settings, random)
    return Regions(boxes[chosen], groups[chosen])


def find_peaks(saliency: np.ndarray, settings: RegionSettings) -> list[tuple[int, int]]:
    """The cells (row, column) of the saliency's peaks, the most persistent first.

    Cells are visited from the most salient down and joined to components of their 8-neighbours. A
    component that meets an older one dies. A cell's persistence is the number of cells visited
    between its birth and its death. Peaks are taken by persistence, but not inside the window of an
    earlier one.

    Args:
        saliency: float [h, w].
        settings: peaks, peak_threshold, peak_window, peak_margin.
    """
    height, width = saliency.shape
    inner = np.zeros_like(saliency)
    if settings.peak_margin == "cell":
        rows, columns = 1, 1
    else:
        rows, columns = height // 15, width // 15
    middle = np.s_[rows : height - rows, columns : width - columns]
    inner[middle] = saliency[middle]
    top = saliency.max() if settings.peak_margin == "cell" else inner.max()
    threshold = settings.peak_threshold * top
    inner[inner <= threshold] = 0
    cells = np.flatnonzero(inner)
    cells = cells[np.argsort(-inner.ravel()[cells], kind="stable")]
    persistence = _persistence(cells, height, width)
    peaks, taken = [], np.zeros([height, width], bool)
    reach = settings.peak_window // 2
    for rank in np.argsort(-persistence, kind="stable"):
        if len(peaks) == settings.peaks:
            break
        row, column = divmod(int(cells[rank]), width)
        window = np.s_[
            max(0, row - reach) : row + reach + 1, max(0, column - reach) : column + reach + 1
        ]
        if not taken[window].any():
            taken[window] = True
            peaks.append((row, column))
    return peaks


def _persistence(cells: np.ndarray, height: int, width: int) -> np.ndarray:
    """Death rank minus birth rank of cells visited in this order, int [len(cells)]."""
    rank_of = {int(cell): rank for rank, cell in enumerate(cells)}
    parent = list(range(len(cells)))
    death = np.full(len(cells), len(cells))

    def root_of(rank: int) -> int:
        while parent[rank] != rank:
            parent[rank] = parent[parent[rank]]
            rank = parent[rank]
        return rank

    for rank, cell in enumerate(cells):
        row, column = divmod(int(cell), width)
        around = set()
        for down, right in _EIGHT:
            if 0 <= row + down < height and 0 <= column + right < width:
                neighbour = rank_of.get((row + down) * width + column + right, len(cells))
                if neighbour < rank:
                    around.add(root_of(neighbour))
        if around:
            oldest = min(around)
            for younger in around - {oldest}:
                parent[younger] = oldest
                death[younger] = rank
            parent[rank] = oldest
            death[rank] = rank
    return death - np.arange(len(cells))


def global_mask(saliency: np.ndarray, threshold: float) -> np.ndarray:
    """The mask of cells above `threshold` times the mean, without the border: bool [h, w]."""
    inner = _without_border(saliency)
    return inner > threshold * inner.mean()


def local_maps(
    features: np.ndarray,
    peaks: list[tuple[int, int]],
    mask: np.ndarray,
    settings: RegionSettings,
) -> np.ndarray:
    """The similarity of every cell to each peak and its neighbourhood, float [P, h, w].

    It is the cosine with the peak plus the mean cosine with its neighbours, in [0, 2]. It is set to
    zero if it is at most `local_threshold` times its mean, in components that never reach
    `root_threshold`, at the border and outside the mask.
    """
    height, width, _ = features.shape
    norms = np.sqrt((features * features).sum(axis=2, keepdims=True))
    unit = features / np.maximum(norms, np.finfo(features.dtype).tiny)
    steps = _SEVEN if settings.local_neighbours == 7 else _EIGHT
    maps = np.zeros([len(peaks), height, width], features.dtype)
    for index, (row, column) in enumerate(peaks):
        around = [
            unit[row + down, column + right]
            for down, right in steps
            if 0 <= row + down < height and 0 <= column + right < width
        ]
        similarity = unit @ (unit[row, column] + np.mean(around, axis=0))
        similarity[similarity <= settings.local_threshold * similarity.mean()] = 0
        similarity = _rooted(similarity, settings.root_threshold)
        maps[index] = _without_border(similarity) * mask
    return maps


def nested_boxes(
    similarity: np.ndarray, saliency: np.ndarray, settings: RegionSettings
) -> list[tuple[tuple[int, int, int, int], int]]:
    """The boxes of the components of a local map's level sets that contain a strong cell.

    Args:
        similarity: float [h, w], a local map.
        saliency: float [h, w].
        settings: levels, level_floor, root_threshold.

    Returns:
        ((first row, first column, last row + 1, last column + 1) in cells, root) of each box, in
        the order of the levels. The root is the index of the component's most salient cell.
    """
    cells = np.flatnonzero(similarity)
    if not cells.size:
        return []
    strong = min(settings.root_threshold, similarity.max())
    order = cells[np.argsort(-similarity.ravel()[cells], kind="stable")]
    above = similarity >= strong
    floor = ndimage.label(above)[1] if settings.level_floor == "components" else above.sum()
    steps = np.arange(1, settings.levels + 1) * len(cells) / settings.levels
    # Halves up, as MATLAB rounds.
    sizes = np.unique(np.floor(steps + 0.5).astype(int))
    # Of the cells of a component the last is its root: the most salient, the first of equals.
    by_saliency = cells[np.argsort(-saliency.ravel()[cells], kind="stable")[::-1]]
    strong_cells = np.flatnonzero(above)
    level, labels = np.zeros(similarity.shape, bool), np.zeros(similarity.shape, np.int32)
    flat_level, flat_labels = level.ravel(), labels.ravel()
    filled, boxes = 0, {}
    for size in sizes[(sizes >= max(1, floor))]:
        flat_level[order[filled:size]] = True
        filled = size
        count = ndimage.label(level, _CROSS, output=labels)
        is_alive = np.zeros(count + 1, bool)
        is_alive[flat_labels[strong_cells]] = True
        is_alive[0] = False
        roots = np.zeros(count + 1, int)
        roots[flat_labels[by_saliency]] = by_saliency
        places = ndimage.find_objects(labels, count)
        for label in np.flatnonzero(is_alive).tolist():
            rows, columns = places[label - 1]
            root = int(roots[label])
            boxes[(rows.start, columns.start, rows.stop, columns.stop), root] = None
    return list(boxes)


def to_pixels(
    cells: tuple[int, int, int, int], shape: tuple[int, int], height: int, width: int
) -> tuple[int, int, int, int]:
    """The pixel box of a box of cells, after nearest-neighbour resizing of the map to the image.

    Args:
        cells: first row, first column, last row + 1, last column + 1.
        shape: (h, w) of the map.
        height, width: of the image in pixels.
    """
    (top, left, bottom, right), (h, w) = cells, shape
    return (
        _first_pixel(left, w, width) + 1,
        _first_pixel(top, h, height) + 1,
        _first_pixel(right, w, width),
        _first_pixel(bottom, h, height),
    )


def _first_pixel(cell: int, cells: int, pixels: int) -> int:
    """The first pixel x, counted from 0, whose cell floor((x + 1/2) cells / pixels) is `cell`."""
    return -(-(2 * cell * pixels - cells) // (2 * cells))


def salient_box(saliency: np.ndarray, height: int, width: int) -> tuple[int, int, int, int]:
    """The pixel box around the cells above the mean that are connected to the most salient one."""
    labels, _ = ndimage.label(saliency > saliency.mean())
    label = labels.ravel()[saliency.argmax()]
    if not label:
        return 1, 1, width, height
    rows, columns = ndimage.find_objects(labels)[label - 1]
    cells = (rows.start, columns.start, rows.stop, columns.stop)
    return to_pixels(cells, saliency.shape, height, width)


def _rooted(similarity: np.ndarray, threshold: float) -> np.ndarray:
    """The map without the 4-connected components that stay below the threshold."""
    labels, count = ndimage.label(similarity > 0)
    strong = np.zeros(count + 1, bool)
    strong[labels[similarity >= min(threshold, similarity.max())]] = True
    strong[0] = False
    return np.where(strong[labels], similarity, 0)


def _without_border(values: np.ndarray) -> np.ndarray:
    inner = np.zeros_like(values)
    inner[1:-1, 1:-1] = values[1:-1, 1:-1]
    return inner


def _sample(
    groups: np.ndarray, settings: RegionSettings, random: np.random.Generator
) -> np.ndarray:
    """The sorted indices of the regions that stay: the first, and a draw of the others."""
    count, limit = len(groups), settings.max_regions
    if count <= limit:
        return np.arange(count)
    others = 1 + random.permutation(count - 1)
    if settings.region_sample == "groups":
        # Round robin: the n-th drawn region of each group before the (n + 1)-th of any.
        _, number = np.unique(groups[others], return_inverse=True)
        by_group = np.argsort(number, kind="stable")
        sizes = np.bincount(number)
        turn = np.empty(count - 1, int)
        turn[by_group] = np.arange(count - 1) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        others = others[np.argsort(turn, kind="stable")]
    return np.sort(np.append(0, others[: limit - 1]))
