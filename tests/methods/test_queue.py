import numpy as np
import pytest
import tensorflow as tf

from ssl_tf.errors import SettingsError
from ssl_tf.methods.queue import KeyQueue, check_queue
from ssl_tf.training.strategy import mirrored_strategy


def keys_of(step, count=4, dim=3):
    return np.random.default_rng(step).normal(size=(count, dim)).astype(np.float32)


def enqueued(replicas, steps, start=None):
    """The queue of 8 keys after these steps of 4 keys each on this many replicas."""
    strategy = mirrored_strategy([f"CPU:{i}" for i in range(replicas)])
    with strategy.scope():
        queue = KeyQueue(8, 3, seed=0, name="queue")
        if start is not None:
            queue.keys.assign(start)
    share = 4 // replicas

    @tf.function
    def run(step, keys):
        strategy.run(queue.enqueue, args=(step, keys))

    for step in steps:
        everything = keys_of(step)

        def local(context, everything=everything):
            i = context.replica_id_in_sync_group
            return tf.constant(everything[i * share : (i + 1) * share])

        run(
            tf.constant(step, tf.int64),
            strategy.experimental_distribute_values_from_function(local),
        )
    return [copy.numpy() for copy in strategy.experimental_local_results(queue.keys)]


def test_a_queue_starts_as_unit_noise_from_seed_and_name():
    def keys(**changes):
        return KeyQueue(**{"length": 512, "dim": 16, "seed": 0, "name": "queue"} | changes).keys

    noise = keys().numpy()
    np.testing.assert_allclose(np.linalg.norm(noise, axis=1), np.ones(512), rtol=1e-6)
    assert np.abs(noise.mean(axis=0)).max() < 4 / np.sqrt(16 * 512)
    np.testing.assert_array_equal(keys(), noise)
    assert not np.allclose(keys(seed=1), noise)
    assert not np.allclose(keys(name="dense_queue"), noise)
    assert not keys().trainable


def test_one_replica_has_no_collective(monkeypatch):
    # XLA's program on one GPU cannot hold one: its trace ended with an error of merge_call.
    def refused(*args, **kwargs):
        raise AssertionError("a collective of one replica")

    monkeypatch.setattr(tf.distribute.ReplicaContext, "all_gather", refused)
    (first,) = enqueued(1, [0])
    np.testing.assert_array_equal(first[:4], keys_of(0))


def test_the_oldest_keys_leave_first_and_the_queue_wraps():
    (first,) = enqueued(1, [0])
    np.testing.assert_array_equal(first[:4], keys_of(0))
    np.testing.assert_array_equal(first[4:], KeyQueue(8, 3, 0, "queue").keys[4:])
    np.testing.assert_array_equal(enqueued(1, [0, 1])[0], np.r_[keys_of(0), keys_of(1)])
    np.testing.assert_array_equal(enqueued(1, range(3))[0], np.r_[keys_of(2), keys_of(1)])


@pytest.mark.parametrize("replicas", [2, 4])
def test_every_replica_holds_the_queue_of_one(replicas):
    copies = enqueued(replicas, range(3))
    assert len(copies) == replicas
    for copy in copies:
        np.testing.assert_array_equal(copy, np.r_[keys_of(2), keys_of(1)])


def test_a_restored_queue_goes_on_where_its_step_says():
    (whole,) = enqueued(1, range(5))
    (half,) = enqueued(1, range(3))
    np.testing.assert_array_equal(enqueued(1, [3, 4], start=half)[0], whole)


def test_several_keys_an_example_stay_in_the_order_of_the_examples():
    queue = KeyQueue(8, 3, 0, "queue")
    queue.enqueue(tf.constant(1), keys_of(0).reshape(2, 2, 3))
    np.testing.assert_array_equal(queue.keys[4:], keys_of(0))


def test_a_queue_longer_than_an_epoch_is_refused_with_the_ratio():
    with pytest.raises(SettingsError, match="65536: 1.64 times the 40000 images.* at most 19968"):
        check_queue(65536, images=40_000, keys=256)
    check_queue(65536, images=1_281_167, keys=256)


def test_queries_that_meet_their_own_image_are_told(capsys):
    """Counted over orders of two epochs, in steps: how old is an image's last key?"""
    images, keys = 5000, 8
    check_queue(2496, images, keys)
    told = capsys.readouterr().err
    assert "holds the keys of 50% of the 5000 images, so that 12% of the queries" in told
    random = np.random.default_rng(0)
    before, now = (random.permutation(images) for _ in range(2))
    age = images + np.argsort(now) - np.argsort(before)
    np.testing.assert_allclose((age <= 2496).mean(), 0.125, atol=0.01)
    check_queue(512, images, keys)
    assert capsys.readouterr().err == ""


def test_a_queue_must_hold_whole_steps():
    with pytest.raises(SettingsError, match="5000: not a multiple of the 256 keys.* is 5120"):
        check_queue(5000, images=50_000, keys=256)
    with pytest.raises(SettingsError, match="nearest is 256"):
        check_queue(5, images=50_000, keys=256)
