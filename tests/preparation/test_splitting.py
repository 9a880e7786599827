"""Every class gives its share to validation, and images that look alike stay together."""

import numpy as np
import pytest

from ssl_tf.preparation.splitting import validation_rows


def split(labels, share, seed=0, groups=None):
    groups = np.arange(len(labels)) if groups is None else np.array(groups)
    return validation_rows(groups, np.array(labels, np.int64), share, seed)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.25, 0.5, 0.9])
@pytest.mark.parametrize("sizes", [(100, 40, 7), (4,) * 50, (1000,), (2, 3)])
def test_every_class_gives_its_share_within_one(share, sizes):
    labels = np.repeat(np.arange(len(sizes)), sizes)
    chosen = split(labels, share)
    for label, size in enumerate(sizes):
        given = chosen[labels == label].sum()
        assert abs(given - share * size) <= 1.0 + 1e-9 and given < size
    if min(sizes) > 2 and share <= 0.5:
        assert abs(chosen.sum() - share * len(labels)) <= 1.0


def test_a_class_of_one_image_is_for_training_and_no_other_makes_up_for_it():
    labels = [*range(100), *[100] * 100]
    chosen = split(labels, 0.1)
    assert not chosen[:100].any() and 9 <= chosen[100:].sum() <= 11


def test_groups_stay_together():
    random = np.random.default_rng(0)
    groups = random.integers(0, 60, 300)
    chosen = split(random.integers(0, 3, 300), 0.2, groups=groups)
    for group in range(60):
        assert len(set(chosen[groups == group].tolist())) == 1
    assert 55 <= chosen.sum() <= 61


@pytest.mark.parametrize("seed", range(20))
def test_the_share_is_of_images_whatever_the_groups(seed):
    # A video of 500 frames beside 500 photographs, in either of two classes, and pairs.
    video = [*[0] * 500, *range(1, 501)]
    labels, groups = [0] * 1000 + [1] * 100, [*video, *(600 + n // 2 for n in range(100))]
    chosen = split(labels, 0.1, seed, groups)
    assert chosen[:1000].sum() == 100 and chosen[1000:].sum() == 10
    assert not chosen[:500].any()


def test_a_class_of_large_groups_gives_what_fits_and_no_other_class_makes_up_for_it():
    labels = [0] * 90 + [1] * 90
    groups = [n // 30 for n in range(90)] + [*range(100, 190)]
    for seed in range(5):
        for share, first in ((0.1, 0), (0.34, 30), (0.5, 30), (0.9, 60)):
            chosen = split(labels, share, seed, groups)
            assert chosen[:90].sum() == first and abs(chosen[90:].sum() - share * 90) <= 1


def test_a_class_that_is_one_group_is_for_training():
    assert not split([0] * 50, 0.9, groups=[0] * 50).any()


def test_the_seed_draws():
    labels = np.repeat([0, 1], 50)
    first, again, other = (split(labels, 0.2, seed) for seed in (1, 1, 2))
    assert (first == again).all() and (first != other).any()
    assert first.sum() == other.sum() == 20
