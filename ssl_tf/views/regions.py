"""The region of an image that a crop is drawn in: an object's box, dilated, large enough.

Object-aware cropping draws one proposal of an image and takes its views inside that box and inside
the box with its surroundings. A box is float32 [4], ymin, xmin, ymax, xmax as fractions of the
image; a region is a rectangle as in `crops`, int32 [4]: top, left, height, width in source pixels.
"""

from collections.abc import Callable

import tensorflow as tf

from ssl_tf.errors import UserError
from ssl_tf.settings import ViewSettings

# The scene crops that suit best keep 0.2 of the image; inside a box the same pixels are 0.2 / its
# area. The upper bound leaves something to draw in collections of tiny boxes.
_SCENE_AREA = 0.2
_LARGEST = 0.8


def choose_box(boxes: tf.Tensor, uniform: tf.Tensor) -> tf.Tensor:
    """One of the boxes, each as likely; the whole image where there is none.

    Args:
        boxes: float32 [n, 4].
        uniform: float32 scalar in [0, 1).
    """
    count = tf.shape(boxes)[0]
    # The product may round up to the count.
    chosen = tf.minimum(tf.cast(uniform * tf.cast(count, tf.float32), tf.int32), count - 1)
    whole = tf.constant([[0.0, 0.0, 1.0, 1.0]])
    return tf.concat([boxes, whole], axis=0)[tf.where(count > 0, chosen, 0)]


def dilate(boxes: tf.Tensor, dilation: float) -> tf.Tensor:
    """Boxes grown by a fraction of the image, half of it on each side, and cut to the image.

    The paper dilates "by 10% of the image size". Its code scales the coordinates instead
    (x1 -= delta x1, x2 += delta x2), which grows a centred box by the same delta in total, but a
    box at the left or upper border hardly and never to that side; that is not reproduced.

    Args:
        boxes: float32 [..., 4].
        dilation: delta.
    """
    half = dilation / 2
    return tf.clip_by_value(boxes + tf.constant([-half, -half, half, half]), 0.0, 1.0)


def to_region(
    box: tf.Tensor, height: tf.Tensor, width: tf.Tensor, smallest: tuple[tf.Tensor, tf.Tensor]
) -> tf.Tensor:
    """The region of a box: all pixels it touches, grown about its centre to the smallest sides.

    A region that would reach over the border is shifted inside.

    Args:
        box: float32 [..., 4].
        height, width: int32 scalars, of the image.
        smallest: int32 scalars, smallest height and width in pixels; at most those of the image
            count.

    Returns:
        int32 [..., 4].
    """
    limit = tf.stack([height, width])
    sides = tf.cast(limit, tf.float32)
    # Fractions are rounded in single precision; a side that is on the edge of a pixel stays there.
    slack = 1e-3
    low = tf.cast(tf.floor(box[..., :2] * sides + slack), tf.int32)
    high = tf.cast(tf.math.ceil(box[..., 2:] * sides - slack), tf.int32)
    low = tf.clip_by_value(low, 0, limit - 1)
    high = tf.clip_by_value(high, low + 1, limit)
    size = tf.maximum(high - low, tf.minimum(tf.stack(smallest), limit))
    corner = (low + high - size) // 2
    return tf.concat([tf.clip_by_value(corner, 0, limit - size), size], axis=-1)


def smallest_areas(
    settings: ViewSettings, boxes: Callable[[], tf.data.Dataset]
) -> tuple[float, float] | None:
    """s_min of random resized crops inside the boxes of a source and inside the dilated ones.

    0.2 / their mean area, in 0.2..0.8. None where it is given by hand or not needed.

    Args:
        settings: give the crops, their law and the dilation.
        boxes: gives all boxes of the source, in pieces of float32 [n, 4]; called only if needed.

    Raises:
        UserError: there is no box.
    """
    if not settings.object_crops or settings.smallest_area:
        return None
    if settings.crop_law != "random_resized":
        return None
    means = mean_areas(boxes(), settings.dilation)
    return tuple(min(max(_SCENE_AREA / mean, _SCENE_AREA), _LARGEST) for mean in means)


def mean_areas(boxes: tf.data.Dataset, dilation: float) -> tuple[float, float]:
    """Mean area of boxes and of the dilated boxes, as fractions of the image.

    Args:
        boxes: float32 [n, 4] each.
        dilation: delta of the dilated ones.

    Raises:
        UserError: there is no box.
    """

    def measured(piece: tf.Tensor) -> tf.Tensor:
        grown = dilate(piece, dilation)
        area, dilated = (tf.reduce_prod(b[:, 2:] - b[:, :2], axis=1) for b in (piece, grown))
        columns = tf.stack([tf.ones_like(area), area, dilated], axis=1)
        return tf.reduce_sum(tf.cast(columns, tf.float64), axis=0)

    sums = boxes.map(measured).reduce(tf.zeros([3], tf.float64), lambda a, b: a + b)
    count, area, dilated = sums.numpy().tolist()
    if not count:
        raise UserError("--proposals: there is not one box to crop; make proposals of these images")
    return area / count, dilated / count
