"""Losses that any method can learn beside its own: rotation and localization (OAC section 3.3).

View 0 shows an object and view 1 its surroundings. A task looks at online features only and adds
`weight` times its loss to the total (Eq. 2).
"""

import math

import tensorflow as tf

from ssl_tf.methods.base import Batch
from ssl_tf.methods.network_builder import NetworkBuilder
from ssl_tf.methods.online_views import OnlineViews
from ssl_tf.networks.heads import build_plain_mlp
from ssl_tf.networks.precision import full_precision
from ssl_tf.settings.methods import ObjectPairFlags

# Overlaps below a millionth of the image's side are rounding: a pixel is more.
_ROUNDING = 1e-6


class Pretext(tf.keras.layers.Layer):
    """A task: an MLP on two online features, [N, 2 D] -> D -> `outputs`, and a loss on it.

    Subclasses set `needs` (what they take from the view recipe), `chance` (the loss of a guess that
    knows nothing) and `view` (whose features they compare with those of an image of their own), and
    implement `loss`.
    """

    needs: tuple[str, ...]
    chance: float
    view: int

    def __init__(self, name: str, outputs: int, weight: float, builder: NetworkBuilder):
        super().__init__(name=name)
        size = 2 * builder.features, builder.features, outputs
        self.head = build_plain_mlp(*size, seed=builder.seed, name=f"{name}_head")
        self.weight = weight

    def logits(self, one: tf.Tensor, two: tf.Tensor, training: bool) -> tf.Tensor:
        return full_precision(self.head(tf.concat([one, two], axis=-1), training=training))

    def loss(self, batch: Batch, online: OnlineViews, training: bool) -> tf.Tensor:
        """[N], without the weight.

        Args:
            batch: what `needs` names, and "views".
            online: features of the batch.
            training: as in `Method.forward`.
        """
        raise NotImplementedError


class Rotation(Pretext):
    """By how many quarter turns the object view stands against its surroundings, 4-way.

    The object view is turned and encoded once more; the views that are compared stay upright, or
    they would be taught not to see what this task asks. "rotation": int32 [N], 0 to 3.
    """

    needs = ("rotation",)
    chance = math.log(4)
    view = 1

    def __init__(self, builder: NetworkBuilder):
        weight = builder.flags(ObjectPairFlags).rotation_weight
        super().__init__("rotation", 4, weight, builder)

    def loss(self, batch: Batch, online: OnlineViews, training: bool) -> tf.Tensor:
        turned = online.encode(turn(batch["views"][0], batch["rotation"]))
        return tf.nn.sparse_softmax_cross_entropy_with_logits(
            batch["rotation"], self.logits(turned, online[self.view], training)
        )


class Localization(Pretext):
    """In which cells of the full image the object view lies; sigmoid, mean over p x p cells.

    "original": uint8 [N, S, S, 3], the full image, squashed; "original_flipped": bool [N], whether
    it is its mirror image; "rectangles": float32 [N, V, 4], ymin, xmin, ymax, xmax of the final
    crops as fractions of the image as it was.
    """

    needs = ("original", "original_flipped", "rectangles")
    chance = math.log(2)
    view = 0

    def __init__(self, builder: NetworkBuilder):
        flags = builder.flags(ObjectPairFlags)
        self.cells = flags.localization_grid
        super().__init__("localization", self.cells**2, flags.localization_weight, builder)

    def loss(self, batch: Batch, online: OnlineViews, training: bool) -> tf.Tensor:
        logits = self.logits(online[self.view], online.encode(batch["original"]), training)
        covered = cells_covered(batch["rectangles"][:, 0], batch["original_flipped"], self.cells)
        labels = tf.cast(tf.reshape(covered, [-1, self.cells**2]), logits.dtype)
        return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(labels, logits), axis=1)


TASKS = {"rotation": Rotation, "localization": Localization}


def build_tasks(builder: NetworkBuilder) -> list[Pretext]:
    """The tasks of the settings, in a fixed order; none for a method that cannot have them."""
    asked = builder.model.flags[ObjectPairFlags].pretext
    return [task(builder) for name, task in TASKS.items() if name in asked]


def turn(images: tf.Tensor, quarters: tf.Tensor) -> tf.Tensor:
    """Square images [N, S, S, C], each turned counter-clockwise by `quarters` [N] of 90 degrees."""

    def where(chosen: tf.Tensor, one: tf.Tensor, other: tf.Tensor) -> tf.Tensor:
        return tf.where(chosen[:, None, None, None], one, other)

    images = where(quarters % 2 == 1, tf.transpose(images, [0, 2, 1, 3]), images)
    images = where((quarters == 1) | (quarters == 2), tf.reverse(images, [1]), images)
    return where(quarters >= 2, tf.reverse(images, [2]), images)


def cells_covered(rectangles: tf.Tensor, flipped: tf.Tensor, cells: int) -> tf.Tensor:
    """Which cells of an image a rectangle covers with a positive area: bool [N, cells, cells].

    Args:
        rectangles: float32 [N, 4], ymin, xmin, ymax, xmax as fractions of the image.
        flipped: bool [N], whether the image is seen mirrored; then so are the cells.
        cells: in each direction.
    """
    edges = tf.range(cells + 1, dtype=tf.float32) / cells

    def covered(low: tf.Tensor, high: tf.Tensor) -> tf.Tensor:
        overlap = tf.minimum(high[:, None], edges[1:]) - tf.maximum(low[:, None], edges[:-1])
        return overlap > _ROUNDING

    ymin, xmin, ymax, xmax = tf.unstack(rectangles, axis=1)
    columns = covered(xmin, xmax)
    columns = tf.where(flipped[:, None], tf.reverse(columns, [1]), columns)
    return covered(ymin, ymax)[:, :, None] & columns[:, None, :]
