"""The split into training and validation images, seeded and stratified by class."""

import numpy as np


def validation_rows(groups: np.ndarray, labels: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Which images are for validation: bool [n].

    Images of a group, which look alike, stay together: an image seen in training is no test. Each
    class gives its share of images, within one, and keeps at least one group for training. Groups
    are drawn one after another, and one of more images than are still due is skipped, as frames of
    a video may be; so a class of large groups alone may give less.

    Args:
        groups: int64 [n], the group of each image.
        labels: int64 [n], its class; the same for all without classes. A group has the class of its
            first image.
        share: of the images of each class.
        seed: of the draw.
    """
    _, first_rows, sizes = np.unique(groups, return_index=True, return_counts=True)
    group_labels = labels[first_rows]
    # Of NumPy's generators this one alone promises the same numbers in all versions.
    drawn = np.random.RandomState(seed).permutation(len(first_rows))
    chosen = np.zeros(len(first_rows), bool)
    # Sums are rounded, not shares, so that classes of four images give some, too.
    wanted, given = 0.0, 0
    by_class = drawn[np.argsort(group_labels[drawn], kind="stable")]
    for members in np.split(by_class, np.flatnonzero(np.diff(group_labels[by_class])) + 1):
        images = int(sizes[members].sum())
        wanted += share * images
        due = int(np.floor(wanted + 0.5)) - given
        fitting = _fitting(sizes[members], min(due, images - 1))
        count = int(sizes[members[fitting]].sum())
        # What a class is too small to give, no other class makes up for.
        wanted -= due - count
        given += count
        chosen[members[fitting]] = True
    return np.isin(groups, groups[first_rows[chosen]])


def _fitting(sizes: np.ndarray, room: int) -> list[int]:
    """Rows of the groups, in their order, of which each is taken if there is room for it."""
    rows = []
    for row, size in enumerate(sizes.tolist()):
        if not room:
            break
        if size <= room:
            rows.append(row)
            room -= size
    return rows
