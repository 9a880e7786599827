"""DenseCL (Wang et al. 2021): MoCo on whole images and, with a queue of its own, on positions."""

import tensorflow as tf

from ssl_tf.errors import SettingsError
from ssl_tf.methods import losses
from ssl_tf.methods.base import Tensors
from ssl_tf.methods.branch import Branch, Heads
from ssl_tf.methods.moco import MoCo
from ssl_tf.methods.network_builder import NetworkBuilder
from ssl_tf.networks.heads import build_dense_head
from ssl_tf.networks.resnet import SPATIAL_FEATURES
from ssl_tf.settings.methods import DenseFlags, ProjectorFlags


class DenseCL(MoCo):
    """(1 - lambda) times MoCo's loss plus lambda times InfoNCE at every position of the last map.

    The key of a position is the dense key at that position of the other view whose backbone feature
    is most similar; its negatives are the mean dense keys of earlier images, in a second queue.
    `--dense_grid` averages the maps down to so many cells a side, before matching and projection.
    """

    def __init__(self, builder: NetworkBuilder):
        super().__init__(builder)
        flags = builder.flags(DenseFlags)
        self.dense_weight = flags.dense_weight
        self.queues["dense"] = self.make_queue(builder, "dense_queue")
        self.query_encoder = _with_map(self.query_encoder)
        self.key_encoder = _with_map(self.key_encoder)
        image_size, grid = builder.settings.views.image_size, flags.dense_grid
        side = self.query_encoder.compute_output_shape((1, image_size, image_size, 3))[1][1]
        if side < 2:
            stem = builder.model.stem
            other = "" if stem == "small" else " or --stem=small"
            raise SettingsError(
                f"--image_size={image_size}: the last map of --stem={stem} is one position, the "
                f"whole image; give a larger --image_size{other}"
            )
        if grid and side % grid:
            raise SettingsError(
                f"--dense_grid={grid}: does not divide the {side} positions a side of the last "
                f"map of --image_size={image_size}"
            )
        self.window = side // grid if grid else 1

    @staticmethod
    def build_heads(builder: NetworkBuilder) -> Heads:
        size = builder.flags(ProjectorFlags)
        dense = build_dense_head(
            builder.features, size.projector_hidden, size.projection, seed=builder.seed
        )
        return {**MoCo.build_heads(builder), "dense_projector": dense}

    def encode(self, encoder: tf.keras.Model, images: tf.Tensor, training: bool) -> Tensors:
        """Beside "pooled" "map", [N, P, P, D]."""
        pooled, features = encoder(images, training=training)
        if self.window > 1:
            features = tf.nn.avg_pool2d(features, self.window, self.window, "VALID")
        return {"pooled": pooled, "map": features}

    def embeddings(
        self,
        branch: Branch,
        encoded: Tensors,
        surroundings: bool | tf.Tensor,
        training: bool,
    ) -> Tensors:
        """Beside "global" "grid" [N, P^2, E], their mean "dense" [N, E], and "map" [N, P^2, D]."""
        projected = branch.project("dense_projector", encoded["map"], surroundings, training)
        grid = _positions(projected)
        return {
            **super().embeddings(branch, encoded, surroundings, training),
            "grid": losses.unit_rows(grid),
            "dense": losses.unit_rows(tf.reduce_mean(grid, axis=1)),
            "map": _positions(encoded["map"]),
        }

    def contrast(self, queries: Tensors, keys: Tensors) -> Tensors:
        loss = super().contrast(queries, keys)["contrastive_loss"]
        dense_loss = losses.dense_info_nce(
            queries["grid"],
            keys["grid"],
            losses.match_positions(queries["map"], keys["map"]),
            self.queues["dense"].keys,
            self.temperature,
        )
        return {
            "contrastive_loss": (1 - self.dense_weight) * loss,
            "dense_loss": self.dense_weight * dense_loss,
        }


def _with_map(encoder: tf.keras.Model) -> tf.keras.Model:
    """The same layers, with the last map as a second output."""
    return tf.keras.Model(
        encoder.input, [encoder.output, encoder.get_layer(SPATIAL_FEATURES).output]
    )


def _positions(x: tf.Tensor) -> tf.Tensor:
    """[N, H, W, C] -> [N, H W, C]."""
    return tf.reshape(x, [tf.shape(x)[0], x.shape[1] * x.shape[2], x.shape[3]])
