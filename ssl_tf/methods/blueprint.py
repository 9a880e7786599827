"""What a method is built from: the settings of a run, its plan, and the networks they describe."""

import dataclasses

import tensorflow as tf

from ssl_tf.networks.encoder import build_encoder
from ssl_tf.networks.heads import build_mlp, build_normalized_mlp
from ssl_tf.networks.resnet import feature_dim
from ssl_tf.settings import ModelSettings, PretrainSettings
from ssl_tf.training.plan import Plan


@dataclasses.dataclass(frozen=True)
class Blueprint:
    """Settings and plan of a run; each call of a building method gives a new, equal network.

    synchronized: batch statistics over all replicas; False on one replica, where the result is the
    same and the kernel faster.
    num_classes: of the labels of the images; None without labels.
    multi_label: an image may show several classes.
    """

    settings: PretrainSettings
    plan: Plan
    synchronized: bool
    num_classes: int | None = None
    multi_label: bool = False

    @property
    def model(self) -> ModelSettings:
        return self.settings.model

    @property
    def seed(self) -> int:
        return self.settings.run.seed

    @property
    def features(self) -> int:
        """Length of the encoder's features."""
        return feature_dim(self.model.depth, self.model.width)

    def encoder(self) -> tf.keras.Model:
        return build_encoder(self.model, self.seed, self.synchronized)

    def byol_mlp(self, input_dim: int, name: str) -> tf.keras.Model:
        """BYOL's projector or predictor."""
        return build_mlp(
            input_dim,
            hidden=self.model.projector_hidden,
            output=self.model.projection,
            synchronized=self.synchronized,
            seed=self.seed,
            name=name,
        )

    def normalized_mlp(self, last_scale: bool) -> tf.keras.Model:
        """SimCLR's projector, or without `last_scale` SimSiam's."""
        return build_normalized_mlp(
            self.features,
            self.model.projector_hidden,
            self.model.projection,
            self.model.projector_layers,
            last_scale=last_scale,
            synchronized=self.synchronized,
            seed=self.seed,
        )
