"""Images of any size on canvases of one size, as the training step takes them."""

import tensorflow as tf

# For images whose sizes are not known: photographs of 500 pixels, as ImageNet's mostly are, fit.
_USUAL = 512


def canvas_side(wanted: int, largest: int | None, view: int) -> int:
    """The side of the canvases of some images, in pixels.

    Args:
        wanted: --canvas; 0: as long as the largest image.
        largest: the longest side of the images; None where that is not known.
        view: side of a view, which no image is made smaller than where that is not known.

    Returns:
        A multiple of 4, so that a canvas is a whole number of words of eight bytes, which a GPU
        gathers.
    """
    return -(-(wanted or largest or max(_USUAL, view)) // 4) * 4


def canvas_bytes(count: float, side: int) -> float:
    """The memory of so many canvases of a side in pixels."""
    return count * side * side * 3


def on_canvas(image: tf.Tensor, side: int) -> tf.Tensor:
    """The image in the upper left corner of a black square.

    Args:
        image: uint8 [H, W, 3], no longer than `side`.
        side: of the square, in pixels.

    Returns:
        uint8 [side, side, 3].
    """
    height, width = tf.unstack(tf.shape(image)[:2])
    # Rows of bytes are copied whole; tf.pad, which goes byte by byte, takes three times as long.
    rows = tf.reshape(image, [height, 3 * width])
    rows = tf.concat([rows, tf.zeros([height, 3 * (side - width)], tf.uint8)], axis=1)
    rows = tf.concat([rows, tf.zeros([side - height, 3 * side], tf.uint8)], axis=0)
    return tf.reshape(rows, [side, side, 3])


def fitted(image: tf.Tensor, side: int) -> tf.Tensor:
    """The image, made smaller by area averaging if it is longer than `side`; its aspect stays.

    Args:
        image: uint8 [H, W, 3].
        side: in pixels.

    Returns:
        uint8 [h, w, 3], both at most `side`.
    """
    sides = tf.shape(image)[:2]
    longer = tf.reduce_max(sides)

    def shrunk() -> tf.Tensor:
        fraction = side / tf.cast(longer, tf.float64)
        size = tf.maximum(tf.cast(tf.round(tf.cast(sides, tf.float64) * fraction), tf.int32), 1)
        averaged = tf.image.resize(image, size, method="area")
        return tf.cast(tf.round(averaged), tf.uint8)

    fit = tf.cond(longer > side, shrunk, lambda: image)
    fit.set_shape([None, None, 3])
    return fit


def crops_on_canvas(crops: tf.Tensor, sides: tf.Tensor, held: tf.Tensor) -> tf.Tensor:
    """The crops of images in the pixels of their smaller copies.

    Args:
        crops: int32 [..., C, 4], top, left, height, width in pixels of the image.
        sides: int32 [..., 2], height and width of the image.
        held: int32 [..., 2], those of the copy.

    Returns:
        int32 [..., C, 4], a pixel at least; the crops themselves where the copy is as large.
    """
    fraction, held = (held / sides)[..., tf.newaxis, :], held[..., tf.newaxis, :]

    def moved(corner: tf.Tensor) -> tf.Tensor:
        return tf.cast(tf.round(tf.cast(corner, tf.float64) * fraction), tf.int32)

    first = tf.minimum(moved(crops[..., :2]), held - 1)
    last = moved(crops[..., :2] + crops[..., 2:])
    return tf.concat([first, tf.maximum(last - first, 1)], axis=-1)
