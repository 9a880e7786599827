"""The pixel operations inside the training step, on the device that trains."""

import tensorflow as tf

from ssl_tf.views.recipe import Recipe


def cropped_batches(batches: tf.data.Dataset, recipe: Recipe) -> tf.data.Dataset:
    """What the device needs, from batches of `recipe.crop`.

    Returns:
        A data set of the same dicts with "drawn", what `recipe.draw` makes of their random
        numbers, in place of "uniform": for the whole batch at once and on the host, so that it is
        what the host would have drawn.
    """

    def drawn(batch: dict) -> dict:
        batch = dict(batch)
        return {"drawn": recipe.draw(batch.pop("uniform")), **batch}

    return batches.map(drawn)


def augment_batch(
    recipe: Recipe, views: tuple[tf.Tensor, ...], drawn: dict[str, tf.Tensor]
) -> tuple[tf.Tensor, ...]:
    """`recipe.augment` on a batch: each operation at once on all images that drew it.

    Args:
        views: V uint8 [N, S, S, 3].
        drawn: what `recipe.draw` returned, each with a leading dimension N.

    Returns:
        V uint8 [N, S, S, 3].
    """
    behind = {"chain": 1}  # views; for the others views and slots
    return recipe.augment(
        views, {name: _images_behind(values, behind.get(name, 2)) for name, values in drawn.items()}
    )


def _images_behind(values: tf.Tensor, axes: int) -> tf.Tensor:
    """[N, a, b, ...] -> [a, N, b, ...] or [a, b, N, ...]."""
    order = list(range(values.shape.rank))
    return tf.transpose(values, [*order[1 : axes + 1], 0, *order[axes + 1 :]])
