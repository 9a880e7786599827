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
    """`recipe.augment` over a batch: V uint8 [N, S, S, 3] in and out."""
    signature = tuple(tf.TensorSpec(view.shape[1:], view.dtype) for view in views)
    return tf.map_fn(
        lambda one: recipe.augment(*one), (views, drawn), fn_output_signature=signature
    )
