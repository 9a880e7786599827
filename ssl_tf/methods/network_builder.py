"""What a method is built from: the settings of a run, its plan, and the networks they describe."""

import dataclasses
from typing import TypeVar

import tensorflow as tf

from ssl_tf.networks.encoder import build_encoder
from ssl_tf.networks.heads import build_mlp, build_normalized_mlp
from ssl_tf.networks.resnet import feature_dim
from ssl_tf.settings import ModelSettings, PretrainSettings
from ssl_tf.settings.methods import LayersFlags, ProjectorFlags
from ssl_tf.training.plan import Plan

Group = TypeVar("Group")


@dataclasses.dataclass(frozen=True)
class NetworkBuilder:
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

    def flags(self, group: type[Group]) -> Group:
        """The method's flags of one group of `settings/methods.py`.

        Raises:
            LookupError: the method's row does not list the group, so that --help and the checks of
                settings would not know that the method reads it.
        """
        if group not in self.model.row.flags:
            raise LookupError(f"{group.__name__} is not in the row of --method={self.model.method}")
        return self.model.flags[group]

    def mlp(self, input_dim: int, name: str) -> tf.keras.Model:
        """A projector or predictor whose hidden layer alone is normalized (`build_mlp`)."""
        size = self.flags(ProjectorFlags)
        return build_mlp(
            input_dim,
            hidden=size.projector_hidden,
            output=size.projection,
            synchronized=self.synchronized,
            seed=self.seed,
            name=name,
        )

    def normalized_mlp(self, last_scale: bool) -> tf.keras.Model:
        """A projector whose layers are all normalized (`build_normalized_mlp`)."""
        size = self.flags(ProjectorFlags)
        return build_normalized_mlp(
            self.features,
            size.projector_hidden,
            size.projection,
            self.flags(LayersFlags).projector_layers,
            last_scale=last_scale,
            synchronized=self.synchronized,
            seed=self.seed,
        )
