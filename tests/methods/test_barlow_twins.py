import numpy as np
import pytest
import tensorflow as tf

from ssl_tf.errors import SettingsError
from ssl_tf.methods.barlow_twins import redundancy_loss
from ssl_tf.networks.normalization import normalize_images
from tests.methods.small_methods import BATCH, SMALL, make, views

FLAGS = ("--method=barlow_twins", *SMALL["barlow_twins"].flags)
DIM = 8


def slow_loss(one, two, weight):
    """Eq. 1 and 2 in loops: the correlation of every two dimensions, then the distance."""
    total = 0.0
    for i in range(one.shape[1]):
        for j in range(two.shape[1]):
            a, b = one[:, i] - one[:, i].mean(), two[:, j] - two[:, j].mean()
            correlation = (a * b).sum() / np.sqrt((a**2).sum() * (b**2).sum())
            total += (1 - correlation) ** 2 if i == j else weight * correlation**2
    return total


def standardized(x):
    return (x - x.mean(axis=0)) / x.std(axis=0)


def test_the_loss_in_a_slow_loop():
    random = np.random.default_rng(0)
    one = random.normal(2, 3, [20, 6])
    two = one + random.normal(-1, 2, [20, 6])
    found = redundancy_loss(standardized(one), standardized(two), 0.3)
    assert found.dtype == tf.float64 and found.shape == []
    np.testing.assert_allclose(found, slow_loss(one, two, 0.3), rtol=1e-12)


def test_the_loss_of_closed_forms():
    # Orthogonal columns of +-1: the correlation of a batch with itself is the identity.
    hadamard = np.array([[1, 1, 1], [-1, 1, -1], [1, -1, -1], [-1, -1, 1]], np.float64)
    assert float(redundancy_loss(hadamard, hadamard, 0.5)) == 0
    assert float(redundancy_loss(hadamard, -hadamard, 0.5)) == 3 * 4  # (1 + 1)^2 each
    same = np.repeat(hadamard[:, :1], 3, axis=1)
    assert float(redundancy_loss(same, same, 0.5)) == 0.5 * 6  # all six pairs are redundant


def embedded(method, images):
    """The output of the projector's last Dense layer, before its normalization."""
    projector = method.networks["projector"]
    raw = tf.keras.Model(projector.input, projector.get_layer("dense3").output)
    return np.float64(raw(method.encoder(normalize_images(images), training=True), training=True))


@pytest.mark.parametrize("pairs", [[(0, 1)], [(0, 1), (1, 2)]])
def test_the_loss_is_the_mean_over_pairs_of_normalized_embeddings(pairs):
    count = 1 + max(max(pair) for pair in pairs)
    method = make(
        *FLAGS,
        "--redundancy_weight=0.1",
        f"--view_strategies={','.join(['simclr'] * count)}",
        f"--compared_pairs={','.join(f'{a}:{b}' for a, b in pairs)}",
    )
    batch = views(count)
    z = [embedded(method, view) for view in batch]
    found, kept = method.forward({"views": batch}, training=True)
    expected = np.mean([slow_loss(z[a], z[b], 0.1) for a, b in pairs])
    # The normalization adds 1e-5 to variances of about a hundredth.
    np.testing.assert_allclose(found["redundancy_loss"], expected, rtol=5e-3)
    assert found["redundancy_loss"].shape == [] and kept == {}
    assert set(method.networks) == {"encoder", "projector"} and method.encoder_passes == count


def test_chance_is_what_independent_embeddings_cost():
    method = make(*FLAGS, "--redundancy_weight=0.1", "--accumulate=2")
    random, part = np.random.default_rng(0), BATCH // 2
    loss = tf.function(redundancy_loss)
    costs = [float(loss(*random.normal(size=[2, part, DIM]), weight=0.1)) for _ in range(4000)]
    assert method.chance_loss == pytest.approx(np.mean(costs), rel=0.02)
    assert method.chance_loss == pytest.approx(DIM * (1 + 1 / 4) + 0.1 * DIM * 7 / 4)


def test_an_accumulated_part_has_a_correlation_of_its_own():
    method, other = make(*FLAGS, "--accumulate=2"), make(*FLAGS)
    one, two = views()
    halves = [{"views": (one[i : i + 4], two[i : i + 4])} for i in (0, 4)]
    expected = np.mean([other.forward(half, True)[0]["redundancy_loss"] for half in halves])
    logs = tf.function(method.train_step)({"views": (tf.constant(one), tf.constant(two))})
    assert float(logs["loss"]) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("optimizer", ["sgd", "lars"])
def test_biases_and_normalization_have_a_rate_of_their_own(optimizer):
    """With momentum 0 and no decay, a step along ones is the rate times the trust ratio."""
    method = make(
        *FLAGS, f"--optimizer={optimizer}", "--momentum=0", "--weight_decay=0",
        "--base_learning_rate=32", "--bias_rate=0.024",
        *(["--trust_coefficient=1"] if optimizer == "lars" else []),
    )  # fmt: skip
    before = [v.numpy() for v in method.learned_variables]
    ones = [tf.ones_like(v) for v in method.learned_variables]
    method.optimizer.apply_gradients(zip(ones, method.learned_variables))
    small = 0
    for old, variable in zip(before, method.learned_variables):
        if variable.shape.rank <= 1:
            small += 1
            expected = 0.024
        elif optimizer == "lars":
            expected = np.linalg.norm(old) / np.sqrt(old.size)
        else:
            expected = 1.0
        np.testing.assert_allclose(old - variable.numpy(), expected, rtol=1e-4, atol=1e-6)
    assert small == len(method.scaled_rate_variables[0]) > 4


def test_adamw_has_one_rate():
    flags = (*FLAGS, "--optimizer=adamw", "--base_learning_rate=0.001")
    with pytest.raises(SettingsError, match="give --optimizer=lars or sgd, or --bias_rate=1"):
        make(*flags)
    assert make(*flags, "--bias_rate=1").scaled_rate_variables == ([], 1.0)
