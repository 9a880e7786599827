"""BYOL (Grill et al. 2020): predict the target network's projection of another view."""

from collections.abc import Callable

import tensorflow as tf

from ssl_tf.methods import losses
from ssl_tf.methods.base import Batch, Method, Tensors, move_towards
from ssl_tf.networks.normalization import normalize_images
from ssl_tf.training.schedules import ema_decay


class BYOL(Method):
    """Online encoder, projector and predictor; target encoder and projector as their EMA.

    The target runs batch normalization on batch statistics and keeps moving statistics of its own,
    as in BYOL's code. It is kept from the optimizer by `learned_variables`, not by
    `trainable = False`, which would switch its normalization to moving statistics.
    """

    chance_loss = losses.BYOL_CHANCE

    def __init__(
        self,
        make_encoder: Callable[[], tf.keras.Model],
        make_projector: Callable[[], tf.keras.Model],
        predictor: tf.keras.Model,
        pairs: tuple[tuple[int, int], ...],
        total_steps: int,
        tau: float,
    ):
        """Builds the networks; the target starts as a copy of the online network.

        Args:
            make_encoder: gives a new encoder, normalized images to features.
            make_projector: gives a new projector, features to projection.
            predictor: projection to prediction.
            pairs: pairs of view indices to compare, each in both directions.
            total_steps: optimizer steps of the run, for the EMA schedule.
            tau: EMA decay at the first step.
        """
        super().__init__(name=type(self).__name__.lower())
        self.encoder = make_encoder()
        self.projector = make_projector()
        self.predictor = predictor
        self.target_encoder = make_encoder()
        self.target_projector = make_projector()
        self.pairs = pairs
        self.total_steps = total_steps
        self.base_tau = tau

    @property
    def networks(self) -> dict[str, tf.keras.Model]:
        return {
            "encoder": self.encoder,
            "projector": self.projector,
            "predictor": self.predictor,
            "target_encoder": self.target_encoder,
            "target_projector": self.target_projector,
        }

    @property
    def learned_variables(self) -> list[tf.Variable]:
        parts = (self.encoder, self.projector, self.predictor)
        return [variable for part in parts for variable in part.trainable_variables]

    def pair_loss(self, p1: tf.Tensor, p2: tf.Tensor, z1: tf.Tensor, z2: tf.Tensor) -> tf.Tensor:
        """Both directions of one pair of views, [N]."""
        return losses.byol_pair_loss(p1, p2, z1, z2)

    def forward(self, batch: Batch, training: bool) -> tuple[Tensors, Tensors]:
        """The pair loss, averaged over the compared pairs."""
        views = batch["views"]
        used = sorted({view for pair in self.pairs for view in pair})
        predictions, targets = {}, {}
        # View by view, not concatenated: batch statistics are those of one view, as in BYOL.
        for view in used:
            images = normalize_images(views[view])
            online = self.projector(self.encoder(images, training=training), training=training)
            predictions[view] = self.predictor(online, training=training)
            target = self.target_encoder(images, training=training)
            targets[view] = self.target_projector(target, training=training)
        terms = [
            self.pair_loss(predictions[a], predictions[b], targets[a], targets[b])
            for a, b in self.pairs
        ]
        return {"similarity_loss": tf.add_n(terms) / len(terms)}, {}

    def embed(self, images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        features = self.encoder(normalize_images(images), training=False)
        return features, self.projector(features, training=False)

    def after_step(self, step: tf.Tensor, kept: Tensors) -> None:
        online = self.encoder.trainable_variables + self.projector.trainable_variables
        target = self.target_encoder.trainable_variables + self.target_projector.trainable_variables
        move_towards(target, online, self.tau(step))

    def tau(self, step: tf.Tensor) -> tf.Tensor:
        """EMA decay at a step, float32."""
        return ema_decay(step, self.total_steps, self.base_tau)

    def step_logs(self, step: tf.Tensor) -> Tensors:
        return {"tau": self.tau(step)}


class MaSsrl(BYOL):
    """MA-SSRL: BYOL's networks, the negative cosine of Eq. 1 symmetrized by Eq. 3."""

    chance_loss = losses.MA_SSRL_CHANCE

    def pair_loss(self, p1: tf.Tensor, p2: tf.Tensor, z1: tf.Tensor, z2: tf.Tensor) -> tf.Tensor:
        return losses.ma_ssrl_pair_loss(p1, p2, z1, z2)
