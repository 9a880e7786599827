"""Replicas of one process: several strategies, one after the other."""

import tensorflow as tf

from ssl_tf.training.strategy import make_strategy


def test_a_second_strategy_of_a_process_adds_other_shapes():
    # With keys of one base the runtime remembers the first shapes, and fails.
    for count in (8, 4):
        strategy = make_strategy(2, 2)

        @tf.function
        def add(strategy=strategy, count=count):
            def of_replica():
                context = tf.distribute.get_replica_context()
                number = tf.cast(context.replica_id_in_sync_group + 1, tf.float32)
                return context.all_reduce("SUM", tf.fill([count], number))

            return strategy.run(of_replica)

        for value in strategy.experimental_local_results(add()):
            assert value.numpy().tolist() == [3.0] * count
