"""Means over seeds and paired differences, against SciPy."""

import numpy as np
import pytest
from scipy import stats

from ssl_tf.evaluation.paired import difference_of, mean_of


@pytest.mark.parametrize("count", [2, 3, 5, 16])
def test_means_and_differences_are_those_of_scipy(count):
    random = np.random.default_rng(count)
    ours = random.normal(0.5, 0.02, count)
    theirs = ours - random.normal(0.01, 0.01, count)
    mean = mean_of(ours)
    assert mean.mean == pytest.approx(np.mean(ours)) and mean.count == count
    assert mean.error == pytest.approx(stats.sem(ours))
    seeds = random.permutation(100)[:count].tolist()
    found = difference_of(dict(zip(seeds, ours)), dict(zip(seeds[::-1], theirs[::-1])))
    expected = stats.ttest_rel(ours, theirs)
    assert found.p == pytest.approx(expected.pvalue, rel=1e-9)
    assert found.mean / found.error == pytest.approx(expected.statistic)
    assert found.error == pytest.approx(stats.sem(ours - theirs)) and found.count == count


def test_only_common_seeds_are_paired():
    found = difference_of({0: 0.5, 1: 0.6, 7: 9.0}, {1: 0.4, 0: 0.4, 8: 0.0})
    assert found.count == 2 and found.mean == pytest.approx(0.15)
    assert difference_of({0: 1.0}, {1: 1.0}) is None


def test_one_seed_has_no_error_and_equal_differences_no_p():
    assert (mean_of([0.25]).error, mean_of([0.25]).mean) == (None, 0.25)
    assert difference_of({3: 0.5}, {3: 0.25}).p is None
    equal = difference_of({0: 0.5, 1: 0.75}, {0: 0.25, 1: 0.5})
    assert (equal.mean, equal.error, equal.p) == (0.25, 0.0, None)
    # Of 500 images, equal but for the rounding of their shares.
    ours, theirs = {0: 207 / 500, 1: 226 / 500}, {0: 202 / 500, 1: 221 / 500}
    assert len({ours[seed] - theirs[seed] for seed in ours}) == 2
    assert difference_of(ours, theirs).p is None


@pytest.mark.parametrize("value", [0.1, 0.02, -0.07])
@pytest.mark.parametrize("count", [2, 3, 7])
def test_equal_differences_have_no_error_whatever_their_rounding(value, count):
    """The mean of three tenths is more than a tenth in double precision."""
    found = difference_of(dict.fromkeys(range(count), value), dict.fromkeys(range(count), 0.0))
    assert (found.mean, found.error, found.p) == (value, 0.0, None)
