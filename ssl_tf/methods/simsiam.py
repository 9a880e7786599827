"""SimSiam (Chen and He 2021): predict one's own projection of another view, held fixed."""

import tensorflow as tf

from ssl_tf.methods import losses
from ssl_tf.methods.base import Batch, Tensors
from ssl_tf.methods.branch import Heads
from ssl_tf.methods.network_builder import NetworkBuilder
from ssl_tf.methods.online_network import OnlineNetwork
from ssl_tf.methods.online_views import OnlineViews
from ssl_tf.networks.heads import build_bottleneck
from ssl_tf.settings.methods import ProjectorFlags


class SimSiam(OnlineNetwork):
    """One network and a predictor; no moving average, no negatives (section 3).

    The loss is the negative cosine of Eq. 4, from -1 to 1, with a stop-gradient on the projections.
    Collapsed networks reach -1, so what tells health is `embedding_std`, near 1 / sqrt(d) (section
    4.1). The predictor's hidden layer has a quarter of its inputs (512 of 2048), and its learning
    rate stays at the peak from the first step to the last (section 4.2, "fix-pred-lr" of its code).

    Where object views and their surroundings have a projector each, they share the predictor.
    """

    def __init__(self, builder: NetworkBuilder):
        super().__init__(builder, chance=0.0)
        dim = builder.flags(ProjectorFlags).projection
        self.predictor = build_bottleneck(
            dim, max(1, dim // 4), synchronized=builder.synchronized, seed=builder.seed
        )

    @staticmethod
    def build_heads(builder: NetworkBuilder) -> Heads:
        return {"projector": builder.normalized_mlp(last_scale=False)}

    @property
    def learned_networks(self) -> dict[str, tf.keras.Model]:
        return {**super().learned_networks, "predictor": self.predictor}

    @property
    def constant_rate_variables(self) -> list[tf.Variable]:
        return self.predictor.trainable_variables

    def compare(self, batch: Batch, online: OnlineViews, training: bool) -> tuple[Tensors, Tensors]:
        """The pair loss, averaged over the compared pairs."""
        projections, predictions = {}, {}
        for view in self.used_views:
            projections[view] = self.online.project(
                "projector", online[view], self.is_surroundings(view), training
            )
            predictions[view] = self.predictor(projections[view], training=training)
        # Eq. 3 of MA-SSRL, with the stop-gradient, is Eq. 4 of SimSiam.
        terms = [
            losses.ma_ssrl_pair_loss(predictions[a], predictions[b], projections[a], projections[b])
            for a, b in self.pairs
        ]
        return {"similarity_loss": losses.summed(terms) / len(terms)}, {}
