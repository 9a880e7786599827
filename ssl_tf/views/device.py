"""The views of a batch, made in the training step on the device that trains (--augment_on=device).

The host reads and decodes the images and draws all random numbers; crops, resizing, flips and pixel
operations follow in the step.
"""

from collections.abc import Callable

import tensorflow as tf

from ssl_tf.views.batched_crops import columns_of, crop_batch
from ssl_tf.views.compilation import every_branch
from ssl_tf.views.recipe import Recipe

# Of what `Recipe.place` returns, what the step needs.
PLACES = ("crops", "mirrored", "uniform")


def drawn_batches(batches: tf.data.Dataset, recipe: Recipe) -> tf.data.Dataset:
    """Draws the operations of batches of `recipe.place`.

    Args:
        batches: dicts whose "placed" has the `PLACES`.
        recipe: draws.

    Returns:
        A data set of the same dicts; in "placed", "drawn" (of `recipe.draw`) replaces "uniform". It
        draws for the whole batch at once, and on the host, so that the draws are those of
        --augment_on=host.
    """

    def drawn(batch: dict) -> dict:
        placed = dict(batch["placed"])
        return {**batch, "placed": {"drawn": recipe.draw(placed.pop("uniform")), **placed}}

    return batches.map(drawn)


class DeviceViews:
    """`augment(batch)` makes the "views" of a batch, and "original" where the recipe makes it.

    Attributes:
        compilable: whether XLA can compile it. It cannot where a view draws one of many operations.
    """

    def __init__(self, recipe: Recipe, images: Callable[[tf.Tensor], tf.Tensor] | None = None):
        """Keeps the parts.

        Args:
            recipe: makes the views.
            images: gives the canvases of indices, where the batch has no canvases of its own.
        """
        self._recipe = recipe
        self._images = images
        self.compilable = not recipe.spaces

    def __call__(self, batch: dict) -> dict:
        """Makes the views.

        Args:
            batch: "placed", with the drawn batch and "canvas" uint8 [N, side, side, 3] (see
                `canvases.on_canvas`) or "index" int64 [N]; other tensors are passed on.

        Returns:
            The batch without "placed". "views": V uint8 [N, S, S, 3].
        """
        batch = dict(batch)
        placed = batch.pop("placed")
        canvases = placed["canvas"] if self._images is None else self._images(placed["index"])
        views = cut_batch(self._recipe, canvases, placed["crops"], placed["mirrored"])
        views = augment_batch(self._recipe, views, placed["drawn"])
        if self._recipe.with_original:
            *views, batch["original"] = views
        return {**batch, "views": tuple(views)}

    def compiled(self, batch: dict) -> dict:
        """The same in the form that XLA takes; called where XLA compiles."""
        with every_branch():
            return self(batch)


def cut_batch(
    recipe: Recipe, canvases: tf.Tensor, crops: tf.Tensor, mirrored: tf.Tensor
) -> tuple[tf.Tensor, ...]:
    """The views of a batch without pixel operations.

    Args:
        recipe: gives the sizes and the interpolation.
        canvases: uint8 [N, side, side, 3].
        crops, mirrored: what `recipe.place` returned, each with a leading dimension N.

    Returns:
        V uint8 [N, S, S, 3]; the original, where the recipe makes it, is the last.
    """
    columns = columns_of(canvases)
    kernel = (recipe.settings.interpolation, recipe.settings.library)
    patches = [
        crop_batch(columns, crops[:, c], size, *kernel) for c, size in enumerate(recipe.sizes)
    ]
    made = []
    for view, crop in enumerate(recipe.crop_of_views):
        flip = mirrored[:, view, tf.newaxis, tf.newaxis, tf.newaxis]
        patch = tf.where(flip, tf.reverse(patches[crop], [2]), patches[crop])
        made.append(tf.cast(patch, tf.uint8))
    return tuple(made)


def augment_batch(
    recipe: Recipe, views: tuple[tf.Tensor, ...], drawn: dict[str, tf.Tensor]
) -> tuple[tf.Tensor, ...]:
    """Applies `recipe.augment` to a batch: each operation at once to all images that drew it.

    Args:
        recipe: makes the views.
        views: V uint8 [N, S, S, 3].
        drawn: what `recipe.draw` returned, each tensor with a leading dimension N.

    Returns:
        V uint8 [N, S, S, 3].
    """
    behind = {"chain": 1}  # the dimension of views; the others also have one of slots
    return recipe.augment(
        views, {name: _images_behind(values, behind.get(name, 2)) for name, values in drawn.items()}
    )


def _images_behind(values: tf.Tensor, axes: int) -> tf.Tensor:
    """Transposes [N, a, b, ...] to [a, N, b, ...] or [a, b, N, ...]."""
    order = list(range(values.shape.rank))
    return tf.transpose(values, [*order[1 : axes + 1], 0, *order[axes + 1 :]])
