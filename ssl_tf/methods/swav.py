"""SwAV (Caron et al. 2020): predict from one view to which prototypes another was assigned.

Order of a step: the prototypes are brought to length 1, all views are compared with them, the two
large views get their codes, the optimizer moves networks and prototypes, and the embeddings of the
large views enter the feature queue.
"""

import math

import tensorflow as tf

from ssl_tf.errors import SettingsError, warn
from ssl_tf.methods import losses
from ssl_tf.methods.base import Batch, Method, Tensors
from ssl_tf.methods.network_builder import NetworkBuilder
from ssl_tf.methods.online_views import encode_by_size
from ssl_tf.methods.queue import KeyQueue
from ssl_tf.methods.sinkhorn import balanced_codes
from ssl_tf.networks.heads import build_mlp, build_prototypes
from ssl_tf.networks.normalization import normalize_images
from ssl_tf.settings.methods import (
    ProjectorFlags,
    PrototypeFlags,
    SinkhornFlags,
    TemperatureFlags,
)

# The views whose codes the others predict: those of --image_size.
_CODED = 2


class SwAV(Method):
    """Encoder, projector and prototypes; codes from the large views, predicted from all others.

    As in the authors' code all views of one size pass the encoder together, and all views the
    projector, so that batch statistics are of the views of one size, or of all.

    The codes share the global batch equally among the prototypes. Where it is small against them, a
    queue of embeddings of earlier batches (`--feature_queue`) helps to balance, and for nothing
    else; it is filled from `--feature_queue_start` on and used once it is full.

    With `--accumulate` the codes are balanced over a part of the batch, with the queue.
    """

    against_collapse = (
        "Lower --sinkhorn_epsilon or --base_learning_rate, or lengthen --warmup_epochs"
    )

    def __init__(self, builder: NetworkBuilder):
        """Raises: SettingsError, the feature queue does not fit the batch or the data."""
        super().__init__(builder.settings.views.pairs)
        size, flags = builder.flags(ProjectorFlags), builder.flags(SinkhornFlags)
        prototypes, plan = builder.flags(PrototypeFlags), builder.plan
        _check_queue(flags.feature_queue, plan.images, plan.batch_size)
        self.encoder = builder.encoder()
        self.projector = build_mlp(
            builder.features,
            size.projector_hidden,
            size.projection,
            output_bias=True,
            synchronized=builder.synchronized,
            seed=builder.seed,
        )
        self.prototypes = build_prototypes(size.projection, prototypes.prototypes, builder.seed)
        self.kernel = self.prototypes.trainable_variables[0]
        self.chance_loss = math.log(prototypes.prototypes)
        self.temperature = builder.flags(TemperatureFlags).temperature
        self.epsilon = flags.sinkhorn_epsilon
        self.iterations = flags.sinkhorn_iterations
        self.frozen_steps = plan.steps_until(prototypes.freeze_prototypes)
        self.queues = []
        if flags.feature_queue:
            start = plan.steps_until(flags.feature_queue_start)
            self.full_queue_step = start + flags.feature_queue // plan.batch_size
            if self.full_queue_step >= plan.total_steps:
                warn(
                    f"--feature_queue={flags.feature_queue} is full at step "
                    f"{self.full_queue_step} of {plan.total_steps}, and never used; make it "
                    "smaller, or --feature_queue_start"
                )
            self.queues = [
                KeyQueue(flags.feature_queue, size.projection, builder.seed, f"queue_{view}")
                for view in range(_CODED)
            ]

    @property
    def learned_networks(self) -> dict[str, tf.keras.Model]:
        return {
            "encoder": self.encoder,
            "projector": self.projector,
            "prototypes": self.prototypes,
        }

    @property
    def held_variables(self) -> tuple[list[tf.Variable], int]:
        return [self.kernel], self.frozen_steps

    @property
    def state(self) -> dict[str, tf.Variable]:
        return {queue.name: queue.keys for queue in self.queues}

    def train_step(self, batch: Batch) -> Tensors:
        self.normalize_prototypes()
        return super().train_step(batch)

    def normalize_prototypes(self) -> None:
        """Brings the prototypes to length 1; called in replica context."""
        self.kernel.assign(tf.math.l2_normalize(self.kernel, axis=0))

    def forward(self, batch: Batch, training: bool) -> tuple[Tensors, Tensors]:
        """The mean over both codes of the mean over the views that predict it."""
        embedded = self._embedded(batch["views"], training)
        kernel = tf.convert_to_tensor(self.kernel)
        # Frozen prototypes have no gradient, and are held.
        frozen = self.optimizer.iterations < self.frozen_steps
        learned = tf.where(frozen, tf.stop_gradient(kernel), kernel)
        scores = [tf.matmul(view, learned) for view in embedded]
        terms = []
        for coded in range(_CODED):
            codes = self._codes(coded, scores[coded])
            predicted = [
                losses.code_cross_entropy(other, codes, self.temperature)
                for view, other in enumerate(scores)
                if view != coded
            ]
            terms.append(losses.summed(predicted) / len(predicted))
        kept = {}
        if self.queues:
            kept["embeddings"] = tf.stop_gradient(tf.stack(embedded[:_CODED], axis=1))
        return {"swapped_loss": losses.summed(terms) / _CODED}, kept

    def embed(self, images: tf.Tensor, view: int | tf.Tensor = 0) -> tuple[tf.Tensor, tf.Tensor]:
        features = self.encoder(normalize_images(images), training=False)
        return features, self.projector(features, training=False)

    def after_step(self, step: tf.Tensor, kept: Tensors) -> None:
        for view, queue in enumerate(self.queues):
            queue.enqueue(step, kept["embeddings"][:, view])

    def step_logs(self, step: tf.Tensor) -> Tensors:
        if not self.queues:
            return {}
        return {"feature_queue_used": tf.cast(self._queue_is_full(step), tf.float32)}

    def _embedded(self, views: tuple[tf.Tensor, ...], training: bool) -> list[tf.Tensor]:
        """Embeddings [N, E] of the views, rows of length 1."""
        features = encode_by_size(self.encoder, (views[:_CODED], views[_CODED:]), training)
        projected = self.projector(features, training=training)
        return tf.split(losses.unit_rows(projected), len(views))

    def _codes(self, view: int, scores: tf.Tensor) -> tf.Tensor:
        """Codes [N, K] of a large view from its scores, balanced together with its queue."""
        how = self.epsilon, self.iterations
        if not self.queues:
            return balanced_codes(scores, *how)
        # Each replica takes a part of the queue, which all hold whole.
        context = tf.distribute.get_replica_context()
        keys = self.queues[view].keys
        share = keys.shape[0] // context.num_replicas_in_sync
        begin = tf.cast(context.replica_id_in_sync_group, tf.int32) * share
        earlier = tf.matmul(keys[begin : begin + share], self.kernel)
        # A weight and not a branch: collectives stand in no branch, and shapes stay static for XLA.
        is_full = self._queue_is_full(self.optimizer.iterations)
        nothing, everything = (tf.constant(x, scores.dtype) for x in (-math.inf, 0.0))
        of_queue = tf.fill([share, 1], tf.where(is_full, everything, nothing))
        log_weights = tf.concat([of_queue, tf.zeros_like(scores[:, :1])], axis=0)
        codes = balanced_codes(tf.concat([earlier, scores], axis=0), *how, log_weights)
        return codes[share:]

    def _queue_is_full(self, step: tf.Tensor) -> tf.Tensor:
        """Whether all that this step finds in the queue came in since its start."""
        return step >= self.full_queue_step


def _check_queue(length: int, images: int, batch_size: int) -> None:
    """Refuses a queue that is no multiple of the batch or longer than an epoch."""
    if length % batch_size:
        nearest = max(round(length / batch_size), 1) * batch_size
        raise SettingsError(
            f"--feature_queue={length}: not a multiple of --batch_size={batch_size}, the features "
            f"that a step adds; the nearest is {nearest}"
        )
    if length > images:
        raise SettingsError(
            f"--feature_queue={length}: longer than an epoch of {images} images, which would "
            f"count twice; give at most {images // batch_size * batch_size}"
        )
