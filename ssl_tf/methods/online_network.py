"""An encoder with heads on it, learned as a whole: what all methods share but their losses."""

import abc
from collections.abc import Sequence

import tensorflow as tf

from ssl_tf.methods.base import Batch, Method, Tensors
from ssl_tf.methods.branch import Branch, Heads
from ssl_tf.methods.network_builder import NetworkBuilder
from ssl_tf.methods.online_views import OnlineViews
from ssl_tf.methods.pretext import build_tasks
from ssl_tf.networks.normalization import normalize_images


class OnlineNetwork(Method):
    """Base of methods with one encoder, heads on it, and pretext tasks beside their own losses.

    Subclasses implement `build_heads` and `compare`.
    """

    def __init__(
        self,
        builder: NetworkBuilder,
        chance: float | None,
        online_views: Sequence[int] | None = None,
    ):
        """Builds the networks.

        Args:
            builder: of the run.
            chance: what `compare` comes to for independent random embeddings; None: not known.
            online_views: the views whose features `compare` takes from `OnlineViews`, for
                `encoder_passes`; None: all that are in a pair.
        """
        super().__init__(builder.settings.views.pairs)
        self.online = Branch(builder, self.build_heads)
        self.encoder = self.online.encoder
        self.tasks = build_tasks(builder)
        self.needs = tuple(dict.fromkeys(need for task in self.tasks for need in task.needs))
        if chance is not None:
            self.chance_loss = chance + sum(task.weight * task.chance for task in self.tasks)
        encoded = self.used_views if online_views is None else online_views
        self.encoder_passes = len({*encoded, *(task.view for task in self.tasks)})
        self.encoder_passes += len(self.tasks)

    @staticmethod
    @abc.abstractmethod
    def build_heads(builder: NetworkBuilder) -> Heads:
        """New heads on the encoder, by name; equal at every call.

        Called once for each branch, and twice where object views and surroundings have heads of
        their own. The head "projector" gives the embeddings of `embed`.
        """

    @abc.abstractmethod
    def compare(self, batch: Batch, online: OnlineViews, training: bool) -> tuple[Tensors, Tensors]:
        """The losses of the method and what is kept, as `forward` returns them.

        Args:
            batch: as in `forward`.
            online: `online[view]`, the encoder's features [N, D] of a view; computed once, however
                many losses ask for them.
            training: as in `forward`.
        """

    @property
    def learned_networks(self) -> dict[str, tf.keras.Model]:
        return {**self.online.networks, **{task.head.name: task.head for task in self.tasks}}

    def forward(self, batch: Batch, training: bool) -> tuple[Tensors, Tensors]:
        """The losses of `compare`, and each pretext loss times its weight (OAC Eq. 2)."""
        online = OnlineViews(self.encoder, batch["views"], training)
        losses, kept = self.compare(batch, online, training)
        pretext = {
            f"{task.name}_loss": task.weight * task.loss(batch, online, training)
            for task in self.tasks
        }
        return {**losses, **pretext}, kept

    def embed(self, images: tf.Tensor, view: int | tf.Tensor = 0) -> tuple[tf.Tensor, tf.Tensor]:
        features = self.encoder(normalize_images(images), training=False)
        surroundings = self.is_surroundings(view)
        return features, self.online.project("projector", features, surroundings, training=False)
