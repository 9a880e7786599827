"""BYOL (Grill et al. 2020): predict the target network's projection of another view."""

import tensorflow as tf

from ssl_tf.methods import losses
from ssl_tf.methods.base import Batch, Tensors
from ssl_tf.methods.branch import Heads
from ssl_tf.methods.network_builder import NetworkBuilder
from ssl_tf.methods.online_target import OnlineTarget
from ssl_tf.methods.online_views import OnlineViews
from ssl_tf.networks.normalization import normalize_images
from ssl_tf.settings.methods import PairLossFlags, PredictorFlags, ProjectorFlags


class BYOL(OnlineTarget):
    """Online encoder, projector and predictor; target encoder and projector as their EMA.

    Where object views and their surroundings have a projector each, they share the predictor.
    """

    pair_chance = losses.BYOL_CHANCE
    scaled_rate_flag = "predictor_rate"

    def __init__(self, builder: NetworkBuilder):
        pairs = len(builder.settings.views.pairs)
        is_mean = builder.flags(PairLossFlags).pair_loss == "mean"
        super().__init__(builder, self.pair_chance * (1 if is_mean else pairs))
        self.pairs_divisor = pairs if is_mean else 1
        self.predictor_rate = builder.flags(PredictorFlags).predictor_rate
        self.predictor = builder.mlp(builder.flags(ProjectorFlags).projection, "predictor")

    @staticmethod
    def build_heads(builder: NetworkBuilder) -> Heads:
        return {"projector": builder.mlp(builder.features, "projector")}

    @property
    def learned_networks(self) -> dict[str, tf.keras.Model]:
        return {**super().learned_networks, "predictor": self.predictor}

    @property
    def scaled_rate_variables(self) -> tuple[list[tf.Variable], float]:
        """The predictor's: near its best for the projections of the moment, it keeps what they tell
        (Grill et al. 2020, section 3.2).
        """
        if self.predictor_rate == 1:
            return [], 1.0
        return self.predictor.trainable_variables, self.predictor_rate

    def pair_loss(self, p1: tf.Tensor, p2: tf.Tensor, z1: tf.Tensor, z2: tf.Tensor) -> tf.Tensor:
        """Both directions of one pair of views, [N]."""
        return losses.byol_pair_loss(p1, p2, z1, z2)

    def compare(self, batch: Batch, online: OnlineViews, training: bool) -> tuple[Tensors, Tensors]:
        """The pair loss, its mean over the compared pairs or, with --pair_loss=sum, its sum."""
        predictions, targets = {}, {}
        # View by view, not concatenated: batch statistics are those of one view, as in BYOL.
        for view in self.used_views:
            surroundings = self.is_surroundings(view)
            projected = self.online.project("projector", online[view], surroundings, training)
            predictions[view] = self.predictor(projected, training=training)
            images = normalize_images(batch["views"][view])
            features = self.target.encoder(images, training=training)
            targets[view] = self.target.project("projector", features, surroundings, training)
        terms = [
            self.pair_loss(predictions[a], predictions[b], targets[a], targets[b])
            for a, b in self.pairs
        ]
        return {"similarity_loss": losses.summed(terms) / self.pairs_divisor}, {}


class MaSsrl(BYOL):
    """MA-SSRL: BYOL's networks, the negative cosine of Eq. 2 symmetrized by Eq. 3."""

    pair_chance = losses.MA_SSRL_CHANCE

    def pair_loss(self, p1: tf.Tensor, p2: tf.Tensor, z1: tf.Tensor, z2: tf.Tensor) -> tf.Tensor:
        return losses.ma_ssrl_pair_loss(p1, p2, z1, z2)
