"""True and found objects of random images, as often alike as a middling detector finds them."""

import numpy as np

from ssl_tf.detection.found_objects import ImageObjects
from ssl_tf.detection.run_lengths import encode_mask

SIDE = 160


def random_images(seed, images=6, classes=3, difficult=0.0, crowd=0.0, masks=False):
    """(true, found) objects of each image.

    Boxes are of one pixel up to the image. What is found is a true object moved by up to a fifth,
    twice for some, or invented; scores are of two digits, so that some are equal.
    """
    random = np.random.default_rng(seed)
    truth, found = [], []
    for index in range(images):
        size = (SIDE, int(random.integers(100, 200)))
        boxes = [_box(random, size) for _ in range(random.integers(0, 7))]
        labels = random.integers(0, classes, len(boxes))
        near, their_labels = [], []
        for box, label in zip(boxes, labels):
            for _ in range(random.integers(0, 3)):
                near.append(_moved(random, box, size))
                their_labels.append(label if random.random() < 0.9 else random.integers(classes))
        for _ in range(random.integers(0, 4)):
            near.append(_box(random, size))
            their_labels.append(random.integers(classes))
        truth.append(
            ImageObjects(
                index,
                size,
                np.array(boxes, np.float64).reshape(-1, 4),
                labels,
                _masks(boxes, size) if masks else (),
                crowd=random.random(len(boxes)) < crowd,
                difficult=random.random(len(boxes)) < difficult,
                # Of a segment, which is smaller than its box.
                areas=np.array([0.8 * _area(box) for box in boxes]),
            )
        )
        found.append(
            ImageObjects(
                index,
                size,
                np.array(near, np.float64).reshape(-1, 4),
                np.array(their_labels, np.int64),
                _masks(near, size) if masks else (),
                scores=random.random(len(near)).round(2),
            )
        )
    return truth, found


def _box(random, size):
    limits = np.array(size)
    low = random.integers(0, limits - 1)
    high = np.minimum(low + random.choice([1, 8, 20, 40, 120], 2), limits)
    return np.concatenate([low, high]).astype(float)


def _moved(random, box, size):
    sides = np.tile(box[2:] - box[:2], 2)
    moved = np.round(box + random.uniform(-0.2, 0.2, 4) * sides)
    moved = moved.clip(0, np.tile(size, 2))
    return moved if (moved[2:] > moved[:2]).all() else box


def _area(box):
    return float((box[2] - box[0]) * (box[3] - box[1]))


def _masks(boxes, size):
    """Of each box the part above its diagonal."""
    y, x = np.mgrid[: size[0], : size[1]] + 0.5
    return tuple(
        encode_mask(
            (y >= top)
            & (y < bottom)
            & (x >= left)
            & (x < right)
            & ((y - top) / (bottom - top) <= 0.2 + (x - left) / (right - left))
        )
        for top, left, bottom, right in boxes
    )
