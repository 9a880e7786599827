import math

import numpy as np
import pytest
import tensorflow as tf

from ssl_tf.methods import losses
from ssl_tf.networks.normalization import normalize_images
from tests.methods.small_methods import BATCH, make, views

SIMCLR = ("--method=simclr", "--temperature=0.5")


def embedded(method, images):
    features = method.encoder(normalize_images(images), training=True)
    return method.networks["projector"](features, training=True)


def expected_pair(method, one, two):
    """Mean over both directions, [N]."""
    one, two = embedded(method, one), embedded(method, two)
    both, own = tf.concat([one, two], axis=0), tf.range(len(one))
    there = losses.nt_xent(one, two, both, own, 0.5)
    return (there + losses.nt_xent(two, one, both, len(one) + own, 0.5)) / 2


@pytest.mark.parametrize("pairs", [[(0, 1)], [(0, 1), (1, 2)]])
def test_the_loss_is_the_mean_over_directions_and_pairs(pairs):
    count = 1 + max(max(pair) for pair in pairs)
    method = make(
        *SIMCLR,
        f"--view_strategies={','.join(['simclr'] * count)}",
        f"--compared_pairs={','.join(f'{a}:{b}' for a, b in pairs)}",
    )
    batch = views(count)
    found, kept = method.forward({"views": batch}, training=True)
    expected = np.mean([expected_pair(method, batch[a], batch[b]) for a, b in pairs], axis=0)
    np.testing.assert_allclose(found["contrastive_loss"], expected, rtol=1e-4)
    assert kept == {} and method.encoder_passes == count
    assert method.chance_loss == pytest.approx(math.log(2 * BATCH - 1))
    assert set(method.networks) == {"encoder", "projector"}


def test_the_negatives_of_an_accumulated_part_are_that_parts():
    method, other = make(*SIMCLR, "--accumulate=2"), make(*SIMCLR)
    one, two = views()
    halves = [expected_pair(other, one[i : i + 4], two[i : i + 4]) for i in (0, 4)]
    logs = tf.function(method.train_step)({"views": (tf.constant(one), tf.constant(two))})
    assert float(logs["loss"]) == pytest.approx(np.mean(halves), rel=1e-5)
    assert method.chance_loss == pytest.approx(math.log(7))
