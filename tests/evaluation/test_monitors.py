import math

import numpy as np
import pytest

from ssl_tf.evaluation.metrics import embedding_std, rankme
from ssl_tf.evaluation.monitors import collapse_verdict, evenly


def verdict(z):
    return collapse_verdict(embedding_std(z), rankme(z), z.shape[1])


def test_spread_out_embeddings_are_healthy():
    z = np.random.default_rng(0).normal(size=(500, 64))
    assert verdict(z) is None


def test_one_point_is_a_collapse():
    random = np.random.default_rng(1)
    z = np.ones((500, 64)) + 1e-3 * random.normal(size=(500, 64))
    assert "standard deviation" in verdict(z)


def test_one_line_is_a_collapse():
    random = np.random.default_rng(2)
    z = random.normal(size=(500, 1)) * np.ones((1, 64)) * random.choice([-1, 1], 64)
    assert "effective rank" in verdict(z)


@pytest.mark.parametrize("d", [8, 2048])
def test_the_threshold_scales_with_the_dimension(d):
    healthy = 1 / math.sqrt(d)
    assert collapse_verdict(0.11 * healthy, 5.0, d) is None
    assert collapse_verdict(0.09 * healthy, 5.0, d) is not None


def test_evenly_takes_at_most_what_there_is():
    class Ten:
        size = 10

        def hold_out(self, count):
            return "rest", f"{count} held"

    source = Ten()
    assert evenly(source, 4) == "4 held"
    assert evenly(source, 10) is source and evenly(source, 11) is source
