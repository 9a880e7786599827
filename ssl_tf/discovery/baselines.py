"""Baselines of discovery: boxes without any comparison of images."""

import numpy as np


def centre_box(height: int, width: int, share: float) -> np.ndarray:
    """The centred box with `share` of both sides of the image, int [1, 4]."""
    margin_x, margin_y = round((1 - share) / 2 * width), round((1 - share) / 2 * height)
    return np.array([[1 + margin_x, 1 + margin_y, width - margin_x, height - margin_y]])


def full_image(height: int, width: int) -> np.ndarray:
    """The box of the whole image, int [1, 4]."""
    return np.array([[1, 1, width, height]])


def random_proposals(boxes: np.ndarray, limit: int, random: np.random.Generator) -> np.ndarray:
    """Up to `limit` of an image's proposals in random order, int [K, 4]."""
    return boxes[random.permutation(len(boxes))[:limit]]
