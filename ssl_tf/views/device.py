"""The pixel operations in the training step, on the device that trains (--augment_on=device)."""

import tensorflow as tf

from ssl_tf.views.recipe import Recipe


def cropped_batches(batches: tf.data.Dataset, recipe: Recipe) -> tf.data.Dataset:
    """Draws the operations of batches of `recipe.crop`, for `augment_batch`.

    Returns:
        A data set of the same dicts, with "drawn", the result of `recipe.draw`, instead of
        "uniform". It draws for the whole batch at once. It draws on the host, so that the draws are
        those of --augment_on=host.
    """

    def drawn(batch: dict) -> dict:
        batch = dict(batch)
        return {"drawn": recipe.draw(batch.pop("uniform")), **batch}

    return batches.map(drawn)


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
