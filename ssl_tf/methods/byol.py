"""BYOL (Grill et al. 2020): predict the target network's projection of another view."""

import functools

import tensorflow as tf

from ssl_tf.methods import losses
from ssl_tf.methods.base import Batch, Tensors
from ssl_tf.methods.blueprint import Blueprint
from ssl_tf.methods.online_target import OnlineTarget
from ssl_tf.methods.online_views import OnlineViews
from ssl_tf.networks.normalization import normalize_images
from ssl_tf.training.schedules import ema_decay


class BYOL(OnlineTarget):
    """Online encoder, projector and predictor; target encoder and projector as their EMA.

    Where object views and their surroundings have a projector each, they share the predictor.
    """

    pair_chance = losses.BYOL_CHANCE

    def __init__(self, blueprint: Blueprint):
        pairs = blueprint.settings.views.pairs
        used = sorted({view for pair in pairs for view in pair})
        make_projector = functools.partial(blueprint.byol_mlp, blueprint.features, "projector")
        super().__init__(
            blueprint, {"projector": make_projector}, self.pair_chance, shared_views=used
        )
        self.predictor = blueprint.byol_mlp(blueprint.model.projection, "predictor")
        self.pairs = pairs
        self.used_views = used
        self.total_steps = blueprint.plan.total_steps
        self.base_tau = blueprint.model.tau

    @property
    def networks(self) -> dict[str, tf.keras.Model]:
        return {**super().networks, "predictor": self.predictor}

    def pair_loss(self, p1: tf.Tensor, p2: tf.Tensor, z1: tf.Tensor, z2: tf.Tensor) -> tf.Tensor:
        """Both directions of one pair of views, [N]."""
        return losses.byol_pair_loss(p1, p2, z1, z2)

    def compare(self, batch: Batch, online: OnlineViews, training: bool) -> tuple[Tensors, Tensors]:
        """The pair loss, averaged over the compared pairs."""
        predictions, targets = {}, {}
        # View by view, not concatenated: batch statistics are those of one view, as in BYOL.
        for view in self.used_views:
            scene = view % 2 == 1
            projected = self.project(self.online, "projector", online[view], scene, training)
            predictions[view] = self.predictor(projected, training=training)
            images = normalize_images(batch["views"][view])
            features = self.target["encoder"](images, training=training)
            targets[view] = self.project(self.target, "projector", features, scene, training)
        terms = [
            self.pair_loss(predictions[a], predictions[b], targets[a], targets[b])
            for a, b in self.pairs
        ]
        return {"similarity_loss": losses.summed(terms) / len(terms)}, {}

    def tau(self, step: tf.Tensor) -> tf.Tensor:
        return ema_decay(step, self.total_steps, self.base_tau)

    def step_logs(self, step: tf.Tensor) -> Tensors:
        return {"tau": self.tau(step)}


class MaSsrl(BYOL):
    """MA-SSRL: BYOL's networks, the negative cosine of Eq. 1 symmetrized by Eq. 3."""

    pair_chance = losses.MA_SSRL_CHANCE

    def pair_loss(self, p1: tf.Tensor, p2: tf.Tensor, z1: tf.Tensor, z2: tf.Tensor) -> tf.Tensor:
        return losses.ma_ssrl_pair_loss(p1, p2, z1, z2)
