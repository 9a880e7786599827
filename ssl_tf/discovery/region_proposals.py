"""Region proposals from feature maps, as rOSD (Vo et al. 2020) makes them and LOD uses them.

Peaks of the saliency map by persistence; around each peak the map of cells that look like it; the
boxes of that map's level sets. Constants and their readings are those of the published MATLAB code.

A box is (x1, y1, x2, y2) in pixels, counted from 1, both ends inside: the published convention,
kept through all of `discovery` so that its arithmetic can be compared.
"""

import dataclasses

import numpy as np
from scipy import ndimage

from ssl_tf.settings import RegionSettings

_EIGHT = [(-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1)]
# The published list of neighbours lacks the cell below.
_SEVEN = [step for step in _EIGHT if step != (1, 0)]


@dataclasses.dataclass(frozen=True)
class Regions:
    """Proposals of one image; the full image is the first, where there are any.

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
    """Proposals of all feature maps of an image, at most `max_regions`.

    Args:
        maps: non-negative float [h, w, D], one a layer; their cells tile the image.
        height, width: of the image in pixels.
        settings: constants of the peaks, the local maps and the levels.
        random: draws which boxes stay, where there are too many.

    Returns:
        Regions, empty where no map has a peak: all features are flat or not finite.
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
    # A box that is one pixel wide has no extent to measure a change of scale by.
    least = np.maximum(2, settings.least_side * np.array([width, height]))
    real = (boxes[:, 2:] - boxes[:, :2] + 1 >= least).all(axis=1)
    kept = np.sort(first[real])
    boxes, groups = np.array(rows, np.int32)[kept], np.array(groups, np.int32)[kept]
    chosen = _sample(groups, settings, random)
    return Regions(boxes[chosen], groups[chosen])


def find_peaks(saliency: np.ndarray, settings: RegionSettings) -> list[tuple[int, int]]:
    """Cells (row, column) of the saliency's peaks, the most persistent first.

    Cells are visited from the most salient down and joined to components of their 8-neighbours; a
    component that meets an older one dies. A cell's persistence is the number of cells visited
    between its birth and its death. Peaks are taken by persistence, and none inside the window of
    an earlier one.

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
    """Death rank - birth rank of cells that are visited in this order, int [len(cells)]."""
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
    """bool [h, w]: cells above `threshold` times the mean, the border cells never."""
    inner = _without_border(saliency)
    return inner > threshold * inner.mean()


def local_maps(
    features: np.ndarray,
    peaks: list[tuple[int, int]],
    mask: np.ndarray,
    settings: RegionSettings,
) -> np.ndarray:
    """For each peak how much every cell looks like it and its neighbourhood, float [P, h, w].

    The cosine with the peak plus the mean cosine with its neighbours, in [0, 2]; zero where it is
    at most `local_threshold` times its mean, in components that never reach `root_threshold`, at
    the border and outside the mask.
    """
    height, width, _ = features.shape
    norms = np.sqrt((features * features).sum(axis=2, keepdims=True))
    unit = features / np.maximum(norms, np.finfo(features.dtype).tiny)
    steps = _SEVEN if settings.local_neighbours == 7 else _EIGHT
    made = np.zeros([len(peaks), height, width], features.dtype)
    for number, (row, column) in enumerate(peaks):
        around = [
            unit[row + down, column + right]
            for down, right in steps
            if 0 <= row + down < height and 0 <= column + right < width
        ]
        similarity = unit @ (unit[row, column] + np.mean(around, axis=0))
        similarity[similarity <= settings.local_threshold * similarity.mean()] = 0
        similarity = _rooted(similarity, settings.root_threshold)
        made[number] = _without_border(similarity) * mask
    return made


def nested_boxes(
    similarity: np.ndarray, saliency: np.ndarray, settings: RegionSettings
) -> list[tuple[tuple[int, int, int, int], int]]:
    """Boxes of the components of a local map's level sets, as far as they hold a strong cell.

    Args:
        similarity: float [h, w], a local map.
        saliency: float [h, w].
        settings: levels, level_floor, root_threshold.

    Returns:
        ((first row, first column, last row + 1, last column + 1) in cells, root) of each, in the
        order of the levels; the root is the index of the component's most salient cell.
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
    found = {}
    for size in sizes[(sizes >= max(1, floor))]:
        level = np.zeros(similarity.size, bool)
        level[order[:size]] = True
        labels, count = ndimage.label(level.reshape(similarity.shape))
        alive = np.unique(labels[above & (labels > 0)])
        places = ndimage.find_objects(labels, count)
        for label in alive:
            rows, columns = places[label - 1]
            inside = labels[rows, columns] == label
            most = np.where(inside, saliency[rows, columns], -1).argmax()
            row, column = divmod(int(most), inside.shape[1])
            root = (rows.start + row) * similarity.shape[1] + columns.start + column
            found[(rows.start, columns.start, rows.stop, columns.stop), root] = None
    return list(found)


def to_pixels(
    cells: tuple[int, int, int, int], shape: tuple[int, int], height: int, width: int
) -> tuple[int, int, int, int]:
    """The box of those cells in the map brought to the image's size by nearest neighbour.

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
    """The box, in pixels, around the cells above the mean that connect to the most salient one."""
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
    """Indices of the regions that stay: the first, and a draw of the others, in their order."""
    count, limit = len(groups), settings.max_regions
    if count <= limit:
        return np.arange(count)
    others = 1 + random.permutation(count - 1)
    if settings.region_sample == "groups":
        # Every group in its turn: the n-th drawn of each before the (n + 1)-th of any.
        _, number = np.unique(groups[others], return_inverse=True)
        by_group = np.argsort(number, kind="stable")
        sizes = np.bincount(number)
        turn = np.empty(count - 1, int)
        turn[by_group] = np.arange(count - 1) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        others = others[np.argsort(turn, kind="stable")]
    return np.sort(np.append(0, others[: limit - 1]))
