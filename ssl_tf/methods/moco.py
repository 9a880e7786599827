"""MoCo-v2 (He et al. 2020, Chen et al. 2020): tell the key of the same image from a queue of keys.

Order of a step: queries and keys are encoded, compared with the queue as the step found it, the
optimizer moves the online network, the target follows, and the keys enter the queue.
"""

import math

import tensorflow as tf

from ssl_tf.methods import losses
from ssl_tf.methods.base import Batch, Tensors
from ssl_tf.methods.branch import Branch, Heads
from ssl_tf.methods.network_builder import NetworkBuilder
from ssl_tf.methods.online_target import OnlineTarget
from ssl_tf.methods.online_views import OnlineViews
from ssl_tf.methods.queue import KeyQueue, check_queue
from ssl_tf.methods.shuffling import shuffle, unshuffle
from ssl_tf.networks.heads import build_plain_mlp
from ssl_tf.networks.normalization import normalize_images
from ssl_tf.settings.methods import ProjectorFlags, QueueFlags, TemperatureFlags


class MoCo(OnlineTarget):
    """Online network for queries, its EMA with constant decay for keys, and a queue of keys.

    View 0 gives the query and view 1 the key; with object views a coin of the recipe swaps them,
    example by example. `--symmetric` takes both directions, the mean of their losses, and queues
    both keys when both losses are taken.

    `--batch_norm=shuffled` is the batch normalization of MoCo's code: every replica has batch
    statistics of its own, and the keys' images change replicas before they are encoded, so that
    query and key do not betray each other by shared statistics. With one replica there is nothing
    to shuffle, and the result is that of synchronized statistics.
    """

    def __init__(self, builder: NetworkBuilder):
        flags = builder.flags(QueueFlags)
        directions = ((0, 1), (1, 0)) if flags.symmetric else ((0, 1),)
        keys = len(directions) * builder.settings.optimization.batch_size
        check_queue(flags.queue, builder.plan.images, keys)
        # A query may mix both views, so it is encoded here and not taken from `OnlineViews`.
        super().__init__(builder, chance=math.log(flags.queue + 1), online_views=())
        self.encoder_passes += len(directions)
        self.target_passes = len(directions)
        self.swaps = builder.settings.views.object_crops and not flags.symmetric
        if self.swaps:
            self.needs = ("swapped", *self.needs)
        self.directions = directions
        self.keys_a_step = keys
        self.temperature = builder.flags(TemperatureFlags).temperature
        self.seed = builder.seed
        # One replica has nothing to shuffle, and XLA, which compiles its step, no such operation.
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        self.shuffles = builder.model.batch_norm == "shuffled" and replicas > 1
        self.query_encoder = self.online.encoder
        self.key_encoder = self.target.encoder
        self.queues = {"global": self.make_queue(builder, "queue")}

    @staticmethod
    def build_heads(builder: NetworkBuilder) -> Heads:
        size = builder.flags(ProjectorFlags)
        projector = build_plain_mlp(
            builder.features, size.projector_hidden, size.projection, seed=builder.seed
        )
        return {"projector": projector}

    @staticmethod
    def make_queue(builder: NetworkBuilder, name: str) -> KeyQueue:
        dim = builder.flags(ProjectorFlags).projection
        return KeyQueue(builder.flags(QueueFlags).queue, dim, builder.seed, name)

    @property
    def state(self) -> dict[str, tf.Variable]:
        return {queue.name: queue.keys for queue in self.queues.values()}

    def encode(self, encoder: tf.keras.Model, images: tf.Tensor, training: bool) -> Tensors:
        """What the heads take, of float images: "pooled" [N, D]."""
        return {"pooled": encoder(images, training=training)}

    def embeddings(
        self,
        branch: Branch,
        encoded: Tensors,
        surroundings: bool | tf.Tensor,
        training: bool,
    ) -> Tensors:
        """What is compared, in rows of length 1: "global" [N, E], as queued under that name."""
        projected = branch.project("projector", encoded["pooled"], surroundings, training)
        return {"global": losses.unit_rows(projected)}

    def contrast(self, queries: Tensors, keys: Tensors) -> Tensors:
        """The losses [N] of one direction, from `embeddings` of both."""
        loss = losses.info_nce(
            queries["global"], keys["global"], self.queues["global"].keys, self.temperature
        )
        return {"contrastive_loss": loss}

    def compare(self, batch: Batch, online: OnlineViews, training: bool) -> tuple[Tensors, Tensors]:
        """The mean over the directions, and the keys [N, directions, E] of each queue."""
        del online
        terms, kept = [], []
        for query_view, key_view in self.directions:
            queries, keys = self._both(batch, query_view, key_view, training)
            terms.append(self.contrast(queries, keys))
            kept.append(keys)
        means = {
            name: losses.summed(term[name] for term in terms) / len(terms) for name in terms[0]
        }
        return means, {name: tf.stack([keys[name] for keys in kept], 1) for name in self.queues}

    def tau(self, step: tf.Tensor) -> tf.Tensor:
        return tf.constant(self.base_tau, tf.float32)

    def after_step(self, step: tf.Tensor, kept: Tensors) -> None:
        super().after_step(step, kept)
        for name, queue in self.queues.items():
            queue.enqueue(step, kept[name])

    def step_logs(self, step: tf.Tensor) -> Tensors:
        length = self.queues["global"].keys.shape[0]
        keys = (tf.cast(step, tf.float64) + 1) * self.keys_a_step
        return {"queue_filled": tf.cast(tf.minimum(keys / length, 1.0), tf.float32)}

    def _both(
        self, batch: Batch, query_view: int, key_view: int, training: bool
    ) -> tuple[Tensors, Tensors]:
        """Embeddings of the queries and, without gradient, of the keys of one direction."""
        query_images, key_images = batch["views"][query_view], batch["views"][key_view]
        of_query, of_key = self.is_surroundings(query_view), self.is_surroundings(key_view)
        if self.swaps:
            of_query, of_key = batch["swapped"], ~batch["swapped"]
            mask = batch["swapped"][:, None, None, None]
            query_images, key_images = (
                tf.where(mask, key_images, query_images),
                tf.where(mask, query_images, key_images),
            )
        encoded = self.encode(self.query_encoder, normalize_images(query_images), training)
        queries = self.embeddings(self.online, encoded, of_query, training)
        encoded = self._encode_keys(normalize_images(key_images), training)
        keys = self.embeddings(self.target, encoded, of_key, training)
        return queries, tf.nest.map_structure(tf.stop_gradient, keys)

    def _encode_keys(self, images: tf.Tensor, training: bool) -> Tensors:
        # The heads have no batch statistics: they follow where the examples are back in order.
        if not (training and self.shuffles):
            return self.encode(self.key_encoder, images, training)
        seed = tf.stack([tf.constant(self.seed, tf.int64), self.optimizer.iterations])
        encoded = self.encode(self.key_encoder, shuffle(images, seed), training)
        return {name: unshuffle(value, seed) for name, value in encoded.items()}
