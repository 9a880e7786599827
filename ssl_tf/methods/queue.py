"""The keys of earlier steps, which are MoCo's negatives."""

import tensorflow as tf

from ssl_tf.errors import SettingsError, warn
from ssl_tf.networks.initialization import layer_seed
from ssl_tf.networks.replicas import gather

# Share of queries with their own image among the negatives that is told.
_MANY = 0.05


def check_queue(length: int, images: int, keys: int) -> None:
    """Refuses a queue that does not fit the data or the batch; a long one is told on stderr.

    Args:
        length: of the queue, in keys.
        images: in one epoch.
        keys: that one step adds.

    Raises:
        SettingsError: the queue is longer than an epoch, so that among its negatives stands every
            query's own image (facebookresearch/moco issues 24 and 146; ImageNet's 65,536 are 5 % of
            it), or is no multiple of the keys that one step adds.
    """
    if length > images:
        most = images // 2 // keys * keys
        way_out = f"give at most {most}" if most else "lower --batch_size and --queue"
        raise SettingsError(
            f"--queue={length}: {length / images:.3g} times the {images} images, so every query "
            f"would meet its own image among the negatives; {way_out}"
        )
    # An image comes once an epoch, in a new order: its last key is still there if the two places
    # are at most the queue apart, for which the chance is half the square of the share.
    met = (length / images) ** 2 / 2
    if met > _MANY:
        warn(
            f"--queue={length}: holds the keys of {length / images:.0%} of the {images} images, so "
            f"that {met:.0%} of the queries meet their own image among the negatives; at a tenth "
            "it is one of 200"
        )
    if length % keys:
        nearest = max(round(length / keys), 1) * keys
        raise SettingsError(
            f"--queue={length}: not a multiple of the {keys} keys that a step adds; the nearest "
            f"is {nearest}"
        )


class KeyQueue(tf.Module):
    """The newest `length` keys, first in, first out.

    The place of the next keys is a function of the step, so the keys are all the state there is:
    `keys`, float [length, dim], rows of length 1, the same on every replica. At first they are
    normalized Gaussian noise from the seed.
    """

    def __init__(self, length: int, dim: int, seed: int, name: str):
        super().__init__(name=name)
        dtype = tf.keras.mixed_precision.global_policy().variable_dtype
        noise = tf.random.stateless_normal([length, dim], [layer_seed(seed, name), 0], dtype=dtype)
        # Without aggregation a replica writes its own copy; all write the same, so no replica has
        # to wait for another, and copies on several hosts stay equal.
        self.keys = tf.Variable(
            tf.math.l2_normalize(noise, axis=1),
            trainable=False,
            aggregation=tf.VariableAggregation.NONE,
            name="keys",
        )

    def enqueue(self, step: tf.Tensor, keys: tf.Tensor) -> None:
        """Replaces the oldest keys by those of a step; called in replica context.

        Args:
            step: optimizer step, from 0.
            keys: [n, ..., dim], n examples of this replica. They are gathered in the order of the
                replicas, which is that of the global batch.
        """
        gathered, _ = gather(keys)
        gathered = tf.reshape(tf.cast(gathered, self.keys.dtype), [-1, self.keys.shape[1]])
        count = tf.shape(gathered, out_type=tf.int64)[0]
        length = self.keys.shape[0]
        rows = (tf.cast(step, tf.int64) * count + tf.range(count)) % length
        self.keys.scatter_update(tf.IndexedSlices(gathered, rows))
