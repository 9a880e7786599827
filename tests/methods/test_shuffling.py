import numpy as np
import pytest
import tensorflow as tf

from ssl_tf.methods.shuffling import shuffle, unshuffle
from ssl_tf.training.strategy import mirrored_strategy

GLOBAL = 8


def run(replicas, function):
    """Concatenated results of `function(share)` on the shares of rows 0..7, replica by replica."""
    strategy = mirrored_strategy([f"CPU:{i}" for i in range(replicas)])
    rows = np.arange(2 * GLOBAL, dtype=np.float32).reshape(GLOBAL, 2)
    share = GLOBAL // replicas

    def local(context):
        i = context.replica_id_in_sync_group
        return tf.constant(rows[i * share : (i + 1) * share])

    x = strategy.experimental_distribute_values_from_function(local)
    made = tf.function(lambda: strategy.run(function, args=(x,)))()
    return np.concatenate(strategy.experimental_local_results(made))[:, 0] // 2


@pytest.mark.parametrize("replicas", [1, 2, 4])
def test_unshuffle_undoes_shuffle(replicas):
    seed = tf.constant([3, 5], tf.int64)
    found = run(replicas, lambda x: unshuffle(shuffle(x, seed), seed))
    np.testing.assert_array_equal(found, np.arange(GLOBAL))


def test_half_precision_travels_too():
    seed = tf.constant([3, 5], tf.int64)

    def there_and_back(x):
        back = unshuffle(shuffle(tf.cast(x, tf.bfloat16), seed), seed)
        assert back.dtype == tf.bfloat16
        return tf.cast(back, tf.float32)

    np.testing.assert_array_equal(run(2, there_and_back), np.arange(GLOBAL))


def test_the_permutation_depends_on_the_seed_alone():
    def order(replicas, step):
        return run(replicas, lambda x: shuffle(x, tf.constant([0, step], tf.int64)))

    first = order(2, 0)
    np.testing.assert_array_equal(np.sort(first), np.arange(GLOBAL))
    assert (first[:4] >= 4).any()  # examples change replicas
    np.testing.assert_array_equal(order(2, 0), first)
    np.testing.assert_array_equal(order(4, 0), first)
    assert (order(2, 1) != first).any()
