"""CorLoc on planted collections, easy and hard: `python scripts/lod_planted.py [--images=80]`.

Easy: a quarter of the regions are good, neighbours are of the same class. Hard: 6 of 80 regions
are good and half of the neighbours are wrong.

A planted collection has known objects and needs no encoder. The cells of a region that lie on the
object have the features of its class's template. The other cells have those of a background that no
other image shares.
"""

import argparse
import dataclasses
import tempfile
from pathlib import Path

import numpy as np

from ssl_tf.discovery.baselines import centre_box
from ssl_tf.discovery.box_metrics import measure, overlaps
from ssl_tf.discovery.graph import Graph, make_block, write_block
from ssl_tf.discovery.matching import match_pair
from ssl_tf.discovery.neighbours import unordered_pairs
from ssl_tf.discovery.ranking import rank_regions
from ssl_tf.settings import RANKERS, RankingSettings

HEIGHT, WIDTH = 240, 320
CLASSES = 4
_GRID, _CHANNELS = 7, 16


@dataclasses.dataclass(frozen=True)
class Planted:
    """Images with one object each.

    Attributes:
        boxes: int [N, R, 4]; the first is the full image.
        descriptors: float32 [N, R, 7 * 7 * 16], non-negative.
        objects: int [N, 4].
        labels: int [N], classes of the objects.
    """

    boxes: np.ndarray
    descriptors: np.ndarray
    objects: np.ndarray
    labels: np.ndarray


def plant(images: int, regions: int, good: int, noise: float, seed: int) -> Planted:
    """A planted collection.

    Args:
        images: N.
        regions: R.
        good: number of each image's regions that overlap the object by 0.5 or more.
        noise: standard deviation of the noise on descriptors; that of a template is 0.6.
        seed: of all draws.
    """
    random = np.random.default_rng(seed)
    shape = (CLASSES, _GRID, _GRID, _CHANNELS)
    templates = np.maximum(random.standard_normal(shape), 0)
    labels = np.arange(images) % CLASSES
    boxes, descriptors, objects = [], [], []
    for label in labels:
        object_box = _draw(random, 0.05, 0.25)
        candidates = [np.array([1, 1, WIDTH, HEIGHT])]
        while len(candidates) < regions:
            near = len(candidates) <= good
            box = _jittered(random, object_box) if near else _draw(random, 0.02, 0.6)
            if (overlaps(box[None], object_box[None])[0, 0] >= 0.5) == near:
                candidates.append(box)
        # Half as strong as the objects, as features of a background are.
        background = np.maximum(random.standard_normal((24, 32, _CHANNELS)), 0) / 2
        features = np.stack(
            [_cell_features(box, object_box, templates[label], background) for box in candidates]
        )
        features += noise * random.standard_normal(features.shape)
        boxes.append(np.stack(candidates))
        descriptors.append(np.maximum(features, 0).reshape(regions, -1))
        objects.append(object_box)
    vectors = np.stack(descriptors).astype(np.float32)
    return Planted(np.stack(boxes), vectors, np.stack(objects), labels)


def normalized(descriptors: np.ndarray, norm: str) -> np.ndarray:
    """The descriptors normalized as in `Collection` with --descriptor_norm."""
    if norm == "max01":
        return descriptors / descriptors.max(axis=(1, 2), keepdims=True)
    centred = descriptors - descriptors.mean(axis=(0, 1))
    return centred / np.linalg.norm(centred, axis=2, keepdims=True)


def planted_neighbours(labels: np.ndarray, count: int, wrong: float, seed: int) -> np.ndarray:
    """Neighbours of the same class, except for a share `wrong` of them: int [N, count]."""
    random = np.random.default_rng([seed, 1])
    bad = round(wrong * count)
    rows = []
    for image, label in enumerate(labels):
        same = np.flatnonzero((labels == label) & (np.arange(len(labels)) != image))
        others = np.flatnonzero(labels != label)
        rows.append([*random.permutation(same)[: count - bad], *random.permutation(others)[:bad]])
    return np.array(rows)


def corloc_of_rankers(
    planted: Planted, norm: str, neighbours: np.ndarray, directory: Path
) -> dict[str, float]:
    """The CorLoc of every ranker and baseline; the graph is written to the directory."""
    images, regions = planted.boxes.shape[:2]
    vectors = normalized(planted.descriptors, norm)
    size = (HEIGHT, WIDTH)
    rows, columns, scores = [], [], []
    for one, other in unordered_pairs(neighbours).tolist():
        i, j, pair_scores = match_pair(
            vectors[one] @ vectors[other].T, planted.boxes[one], planted.boxes[other], size, size,
            top_k=200,
        )  # fmt: skip
        rows.append(one * regions + i)
        columns.append(other * regions + j)
        scores.append(pair_scores)
    total = images * regions
    path = directory / f"{norm}.npz"
    write_block(path, make_block(0, total, *map(np.concatenate, (rows, columns, scores))))
    graph = Graph([path], total, memory_mib=64)
    counts, settings = np.full(images, regions), RankingSettings()
    truth = [item[None] for item in planted.objects]
    boxes = {}
    for name in RANKERS:
        region_scores = rank_regions(name, graph.product, graph.degree, counts, settings)
        best = region_scores.reshape(images, regions).argmax(axis=1)
        boxes[name] = planted.boxes[np.arange(images), best]
    random = np.random.default_rng([len(boxes), images])
    drawn = random.integers(regions, size=images)
    boxes["random proposal"] = planted.boxes[np.arange(images), drawn]
    boxes["centre box"] = np.repeat(centre_box(HEIGHT, WIDTH, 0.5), images, axis=0)
    boxes["full image"] = planted.boxes[:, 0]
    return {name: measure(list(one[:, None]), truth).corloc for name, one in boxes.items()}


def _draw(random: np.random.Generator, least: float, most: float) -> np.ndarray:
    """A random box of a share of the image's area, of any position and aspect ratio up to 2."""
    while True:
        area = random.uniform(least, most) * HEIGHT * WIDTH
        stretch = 2 ** random.uniform(-0.5, 0.5)
        width, height = round(np.sqrt(area) * stretch), round(np.sqrt(area) / stretch)
        if width < WIDTH and height < HEIGHT:
            left = random.integers(1, WIDTH - width + 1)
            top = random.integers(1, HEIGHT - height + 1)
            return np.array([left, top, left + width - 1, top + height - 1])


def _jittered(random: np.random.Generator, box: np.ndarray) -> np.ndarray:
    sides = np.tile(box[2:] - box[:2], 2)
    moved = np.round(box + sides * random.uniform(-0.2, 0.2, 4)).astype(int)
    return np.clip(moved, 1, [WIDTH, HEIGHT, WIDTH, HEIGHT])


def _cell_features(
    box: np.ndarray, object_box: np.ndarray, template: np.ndarray, background: np.ndarray
) -> np.ndarray:
    """The features at the centres of a box's cells, float [7, 7, C]."""
    steps = (np.arange(_GRID) + 0.5) / _GRID
    x = box[0] + steps * (box[2] - box[0])
    y = box[1] + steps * (box[3] - box[1])
    rows, columns = (y * 24 // (HEIGHT + 1)).astype(int), (x * 32 // (WIDTH + 1)).astype(int)
    features = background[rows][:, columns].copy()
    u = (x - object_box[0]) / (object_box[2] - object_box[0]) * _GRID
    v = (y - object_box[1]) / (object_box[3] - object_box[1]) * _GRID
    across, down = (u >= 0) & (u < _GRID), (v >= 0) & (v < _GRID)
    part = template[v[down].astype(int)][:, u[across].astype(int)]
    features[np.ix_(down, across)] = part
    return features


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, default=80)
    parser.add_argument("--regions", type=int, default=80)
    parser.add_argument("--neighbours", type=int, default=12)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--noise", type=float, nargs="+", default=[0.1, 0.3, 0.6])
    flags = parser.parse_args()
    for name, good, wrong in (("easy", flags.regions // 4, 0.0), ("hard", 6, 0.5)):
        for noise in flags.noise:
            for norm in ("max01", "center_l2"):
                for seed in range(flags.seeds):
                    planted = plant(flags.images, flags.regions, good, noise, seed)
                    near = planted_neighbours(planted.labels, flags.neighbours, wrong, seed)
                    with tempfile.TemporaryDirectory() as directory:
                        found = corloc_of_rankers(planted, norm, near, Path(directory))
                    told = "  ".join(f"{key} {value:.2f}" for key, value in found.items())
                    print(f"{name} noise {noise} {norm:<9} seed {seed}: {told}", flush=True)


if __name__ == "__main__":
    main()
