"""An encoder with heads on it, learned as a whole: what all methods share but their losses."""

from collections.abc import Callable, Collection

import tensorflow as tf

from ssl_tf.methods.base import Batch, Method, Tensors
from ssl_tf.methods.blueprint import Blueprint
from ssl_tf.methods.online_views import OnlineViews
from ssl_tf.methods.pretext import build_tasks
from ssl_tf.networks.normalization import normalize_images


class OnlineNetwork(Method):
    """Base of methods with one encoder, heads on it, and pretext tasks beside their own losses.

    Subclasses implement `compare` and set `chance_loss` through the constructor.
    """

    def __init__(
        self,
        blueprint: Blueprint,
        make_heads: dict[str, Callable[[], tf.keras.Model]],
        chance: float,
        shared_views: Collection[int] = (),
    ):
        """Builds the networks.

        Args:
            blueprint: of the run.
            make_heads: by name; each gives a new, equal head on the encoder.
            chance: what `compare` comes to for independent random embeddings.
            shared_views: those whose features `compare` takes from `OnlineViews`.
        """
        super().__init__(name=type(self).__name__.lower())
        self.online = build_branch(blueprint, make_heads)
        self.encoder = self.online["encoder"]
        self.tasks = build_tasks(blueprint)
        self.needs = tuple(dict.fromkeys(need for task in self.tasks for need in task.needs))
        self.chance_loss = chance + sum(task.weight * task.chance for task in self.tasks)
        self.encoder_passes = len({*shared_views, *(task.view for task in self.tasks)})
        self.encoder_passes += len(self.tasks)

    @property
    def networks(self) -> dict[str, tf.keras.Model]:
        return {**self.online, **{task.head.name: task.head for task in self.tasks}}

    @property
    def learned_variables(self) -> list[tf.Variable]:
        learned = (n for name, n in self.networks.items() if not name.startswith("target_"))
        return [variable for network in learned for variable in network.trainable_variables]

    def compare(self, batch: Batch, online: OnlineViews, training: bool) -> tuple[Tensors, Tensors]:
        """The losses of the method and what is kept, as `forward` returns them."""
        raise NotImplementedError

    def forward(self, batch: Batch, training: bool) -> tuple[Tensors, Tensors]:
        """The losses of `compare`, and each pretext loss times its weight (OAC Eq. 2)."""
        online = OnlineViews(self.encoder, batch["views"], training)
        losses, kept = self.compare(batch, online, training)
        pretext = {
            f"{task.name}_loss": task.weight * task.loss(batch, online, training)
            for task in self.tasks
        }
        return {**losses, **pretext}, kept

    def project(
        self,
        branch: dict[str, tf.keras.Model],
        kind: str,
        features: tf.Tensor,
        scene: bool | tf.Tensor,
        training: bool,
    ) -> tf.Tensor:
        """Features [N, ...] through the head of their kind of view.

        Args:
            branch: `online`, or another of the same heads.
            kind: name of the head in `make_heads`.
            features: what the head takes.
            scene: whether they are of surroundings, not of an object: of all, or bool [N].
            training: as in `forward`.
        """
        if f"scene_{kind}" not in branch:
            return branch[kind](features, training=training)
        if isinstance(scene, bool):
            return branch[f"scene_{kind}" if scene else kind](features, training=training)
        of_object = branch[kind](features, training=training)
        of_scene = branch[f"scene_{kind}"](features, training=training)
        scene = tf.reshape(scene, [-1] + [1] * (of_object.shape.rank - 1))
        return tf.where(scene, of_scene, of_object)

    def embed(self, images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        features = self.encoder(normalize_images(images), training=False)
        return features, self.online["projector"](features, training=False)


def build_branch(
    blueprint: Blueprint, make_heads: dict[str, Callable[[], tf.keras.Model]]
) -> dict[str, tf.keras.Model]:
    """A new "encoder" and new heads, by name; equal at every call.

    With `--projection_heads=per_view` object views and views of their surroundings have a head
    each ("scene_..."), which start as copies: heads that point in directions of their own would
    tell the kind of a view before anything else is learned.
    """
    heads = {kind: make() for kind, make in make_heads.items()}
    if blueprint.model.projection_heads == "per_view":
        heads |= {f"scene_{kind}": make() for kind, make in make_heads.items()}
    return {"encoder": blueprint.encoder(), **heads}
