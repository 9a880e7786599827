"""The split into training and validation images, seeded and stratified by class."""

import numpy as np


def validation_rows(groups: np.ndarray, labels: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Which images are for validation: bool [n].

    Images of a group, which look alike, stay together: an image seen in training is no test. Each
    class gives its share of groups, within one, and keeps at least one for training.

    Args:
        groups: int64 [n], the group of each image.
        labels: int64 [n], its class; the same for all without classes. A group has the class of its
            first image.
        share: of the groups of each class.
        seed: of the draw.
    """
    first_rows = np.unique(groups, return_index=True)[1]
    group_labels = labels[first_rows]
    # Of NumPy's generators this one alone promises the same numbers in all versions.
    drawn = np.random.RandomState(seed).permutation(len(first_rows))
    chosen = np.zeros(len(first_rows), bool)
    # Sums are rounded, not shares, so that classes of four images give some, too.
    wanted, given = 0.0, 0
    for label in np.unique(group_labels):
        members = drawn[group_labels[drawn] == label]
        wanted += share * len(members)
        due = int(np.floor(wanted + 0.5)) - given
        count = min(due, len(members) - 1)
        # What a class is too small to give, no other class makes up for.
        wanted -= due - count
        given += count
        chosen[members[:count]] = True
    return np.isin(groups, groups[first_rows[chosen]])
