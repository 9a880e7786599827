"""Order of the examples and their seeds, as pure functions of (seed, epoch, index).

Nothing here keeps state. A run that resumes at step k computes the same order and the same
augmentation seeds as a run that was not interrupted.
"""

import dataclasses

import tensorflow as tf

# Two domains under one seed, so that the order of an epoch and the augmentation of an example
# never share a random stream.
_ORDER = 1
_AUGMENTATION = 2


def example_seed(seed, epoch, index) -> tf.Tensor:
    """The int64 [2] seed of one example's augmentation in one epoch.

    Args:
        seed: seed of the run, integer scalar.
        epoch: number of the epoch, integer scalar.
        index: index of the example in its source, integer scalar.
    """
    fold_in = tf.random.experimental.stateless_fold_in
    return fold_in(fold_in(_root(seed, _AUGMENTATION), _int64(epoch)), _int64(index))


def epoch_seed(seed, epoch) -> tf.Tensor:
    """The int64 [2] seed of the order of one epoch; arguments as in `example_seed`."""
    return tf.random.experimental.stateless_fold_in(_root(seed, _ORDER), _int64(epoch))


def shuffled_index(counter, size: int, seed) -> tf.Tensor:
    """The int64 index of the example at a position of a shuffled run.

    Each epoch is a permutation of 0..size-1. Its entries are computed one at a time, so a run may
    start anywhere at no cost.

    Args:
        counter: position in the whole run, integer scalar; the epoch is counter // size.
        size: number of examples in an epoch.
        seed: seed of the run, integer scalar.
    """
    counter = _int64(counter)
    size = tf.constant(size, tf.int64)
    # tf.random.experimental.index_shuffle takes its key from the low bits of two seeds and mixes
    # four rounds: over epochs of 10 it repeats itself after some 250 of them, and the orders of
    # consecutive epochs correlate. Three hashed words and 16 rounds are uniform by every test.
    key = tf.random.stateless_uniform(
        [3], epoch_seed(seed, counter // size), minval=None, maxval=None, dtype=tf.int32
    )
    return tf.raw_ops.RandomIndexShuffle(
        index=counter % size, seed=key, max_index=size - 1, rounds=16
    )


def _root(seed, domain: int) -> tf.Tensor:
    return tf.stack([_int64(seed), tf.constant(domain, tf.int64)])


def _int64(value) -> tf.Tensor:
    return tf.cast(value, tf.int64)


@dataclasses.dataclass(frozen=True)
class Share:
    """The part of every batch that one of several workers reads.

    Attributes:
        batch: examples in a batch, over all workers; the workers divide it equally.
        worker: number of the worker, from 0.
        workers: number of workers.
    """

    batch: int
    worker: int = 0
    workers: int = 1

    @property
    def size(self) -> int:
        """Examples of a batch in this part."""
        return self.batch // self.workers

    def counters(self, start: int, stop: int) -> tf.data.Dataset:
        """The positions start..stop-1 that are in this part; start and stop begin batches."""
        size, first = self.size, start + self.worker * self.size

        def counter(i: tf.Tensor) -> tf.Tensor:
            return first + i // size * self.batch + i % size

        return tf.data.Dataset.range((stop - start) // self.workers).map(counter)

    def contains(self, counter: tf.Tensor) -> tf.Tensor:
        """Whether a position is in this part: bool."""
        return counter % self.batch // self.size == self.worker


@dataclasses.dataclass(frozen=True)
class Steps:
    """The optimizer steps whose batches are read; they alone determine the images of a step.

    Attributes:
        seed: seed of the run, for order and augmentation.
        batch_size: examples in a batch, over all replicas and workers.
        start: first step.
        stop: step after the last.
        share: this worker's part of every batch; None for a single worker.
    """

    seed: int
    batch_size: int
    start: int
    stop: int
    share: Share | None = None
