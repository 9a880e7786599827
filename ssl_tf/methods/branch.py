"""An encoder with heads on it, of which a method holds one or, with a target, two."""

from collections.abc import Callable

import tensorflow as tf

from ssl_tf.methods.network_builder import NetworkBuilder
from ssl_tf.settings.methods import ObjectPairFlags

Heads = dict[str, tf.keras.Model]


class Branch(tf.Module):
    """A new encoder and new heads; two branches of a builder are equal.

    With `--projection_heads=per_view` object views and views of their surroundings have a head
    each, which start as copies: heads that point in directions of their own would tell the kind of
    a view before anything else is learned.

    Attributes:
        encoder: normalized images [N, S, S, 3] to features [N, D].
        heads: by name.
        surroundings_heads: those of the surroundings by the same names; empty where views share.
    """

    def __init__(self, builder: NetworkBuilder, build_heads: Callable[[NetworkBuilder], Heads]):
        super().__init__()
        per_view = builder.model.flags[ObjectPairFlags].projection_heads == "per_view"
        self.heads = build_heads(builder)
        self.surroundings_heads = build_heads(builder) if per_view else {}
        self.encoder = builder.encoder()

    @property
    def networks(self) -> dict[str, tf.keras.Model]:
        """All networks by name, as they stand in a checkpoint."""
        scene = {f"scene_{name}": head for name, head in self.surroundings_heads.items()}
        return {"encoder": self.encoder, **self.heads, **scene}

    def parameters(self) -> list[tf.Variable]:
        """What a gradient or a moving average moves, without moving statistics, in fixed order."""
        return [v for network in self.networks.values() for v in network.trainable_variables]

    def project(
        self, name: str, features: tf.Tensor, surroundings: bool | tf.Tensor, training: bool
    ) -> tf.Tensor:
        """Features [N, ...] through the head of their kind of view.

        Args:
            name: of the head.
            features: what the head takes.
            surroundings: whether they are of surroundings, not of an object: of all, a bool or a
                bool scalar, or of each, bool [N].
            training: as in `Method.forward`.
        """
        head = self.heads[name]
        if not self.surroundings_heads:
            return head(features, training=training)
        other = self.surroundings_heads[name]
        if isinstance(surroundings, bool):
            return (other if surroundings else head)(features, training=training)
        of_object = head(features, training=training)
        of_surroundings = other(features, training=training)
        chosen = tf.reshape(surroundings, [-1] + [1] * (of_object.shape.rank - 1))
        return tf.where(chosen, of_surroundings, of_object)
