"""Boxes of objects: which numbers are a box, and a look at all boxes of a source."""

import tensorflow as tf

from ssl_tf.errors import UserError

# Largest distance outside of the image, from dividing pixels in single precision.
_ROUNDING = 1e-6


def are_boxes(boxes: tf.Tensor) -> tf.Tensor:
    """Whether each of float32 [n, 4] lies inside of its image and has an area: bool [n]."""
    inside = tf.reduce_all((boxes >= -_ROUNDING) & (boxes <= 1 + _ROUNDING), axis=1)
    return inside & tf.reduce_all(boxes[:, :2] < boxes[:, 2:], axis=1)


def check_boxes(boxes: tf.data.Dataset, name: str) -> int:
    """Reads all boxes, before any of them is used.

    Args:
        boxes: as of `Source.boxes`, in pieces of float32 [n, 4].
        name: what has the boxes, for the message.

    Returns:
        The number of pieces without a box.

    Raises:
        UserError: a box lies outside of its image, such as one in pixels, or has no area.
    """

    def facts(piece: tf.Tensor) -> tf.Tensor:
        good = are_boxes(piece)
        counts = (tf.size(good) == 0, tf.size(good), tf.math.count_nonzero(~good))
        return tf.stack([tf.cast(count, tf.int64) for count in counts])

    facts_of_all = boxes.map(facts).reduce(tf.zeros([3], tf.int64), tf.add)
    empty, count, bad = facts_of_all.numpy().tolist()
    if bad:
        wrong = boxes.map(lambda piece: tf.boolean_mask(piece, ~are_boxes(piece))).unbatch()
        example = ", ".join(f"{side:g}" for side in next(wrong.as_numpy_iterator()))
        raise UserError(
            f"{name}: {bad} of {count} boxes lie outside of their image or have no area, such as "
            f"{example}; correct them: ymin, xmin, ymax, xmax as fractions of the image, 0 to 1"
        )
    return empty
