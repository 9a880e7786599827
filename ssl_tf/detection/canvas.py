"""Images of any size on canvases of one size, with their objects."""

import dataclasses

import tensorflow as tf

from ssl_tf.detection.targets import sampled_at_centres

# Side of the mask that is kept of each object, as a part of its box.
MASK_SIDE = 112


@dataclasses.dataclass(frozen=True)
class Jitter:
    """What is drawn for each image in training.

    Attributes:
        smallest, largest: bounds of the scale, of which 1 makes the image just fit the canvas.
        flip: flip half of the images from left to right.
    """

    smallest: float
    largest: float
    flip: bool


@dataclasses.dataclass(frozen=True)
class Placement:
    """Where an image lies on its canvas: resized, then moved by an offset.

    Attributes:
        size: int32 [2], height and width of the resized image.
        offset: int32 [2], the row and column of it that lie at the canvas's upper left.
        shape: int32 [2], height and width of what is seen of it.
        flipped: bool scalar, from left to right before all else.
    """

    size: tf.Tensor
    offset: tf.Tensor
    shape: tf.Tensor
    flipped: tf.Tensor


def place(
    size: tf.Tensor, canvas: int, jitter: Jitter | None = None, seed: tf.Tensor | None = None
) -> Placement:
    """The place of an image: fitted to the canvas, or drawn by a seed.

    Args:
        size: int [2], height and width of the image.
        canvas: side of the canvas, in pixels.
        jitter: what is drawn; None: the image is fitted.
        seed: int64 [2].
    """
    size = tf.cast(size, tf.float32)
    fitting = canvas / tf.reduce_max(size)
    draws = tf.constant([1.0, 0.0, 0.0, 1.0])
    if jitter is not None:
        unit = tf.random.stateless_uniform([4], seed)
        scale = jitter.smallest + (jitter.largest - jitter.smallest) * unit[0]
        draws = tf.concat([[scale], unit[1:3], [unit[3] if jitter.flip else 1.0]], 0)
    resized = tf.maximum(tf.cast(tf.round(size * fitting * draws[0]), tf.int32), 1)
    shape = tf.minimum(resized, canvas)
    room = tf.cast(resized - shape + 1, tf.float32)
    offset = tf.minimum(tf.cast(room * draws[1:3], tf.int32), resized - shape)
    return Placement(resized, offset, shape, draws[3] < 0.5)


def place_image(image: tf.Tensor, placement: Placement, canvas: int) -> tf.Tensor:
    """The canvas with the image on it, and black elsewhere: uint8 [canvas, canvas, 3].

    Args:
        image: uint8 [H, W, 3].
        placement: of the image.
        canvas: side, in pixels.
    """
    image = tf.cond(placement.flipped, lambda: image[:, ::-1], lambda: image)
    # With antialiasing, as Pillow has it, so that small objects do not vanish.
    resized = tf.image.resize(image, placement.size, antialias=True)
    seen = tf.slice(
        resized, tf.concat([placement.offset, [0]], 0), tf.concat([placement.shape, [3]], 0)
    )
    rest = canvas - placement.shape
    filled = tf.pad(seen, [[0, rest[0]], [0, rest[1]], [0, 0]])
    filled = tf.cast(tf.round(tf.clip_by_value(filled, 0.0, 255.0)), tf.uint8)
    return tf.ensure_shape(filled, [canvas, canvas, 3])


def place_boxes(boxes: tf.Tensor, placement: Placement) -> tf.Tensor:
    """Boxes on the canvas, cut where the image is: float32 [n, 4], in pixels.

    A box of which nothing is seen has no area.

    Args:
        boxes: float32 [n, 4], ymin, xmin, ymax, xmax in [0, 1] of the image.
        placement: of the image.
    """
    top, left, bottom, right = tf.unstack(boxes, axis=1)
    flipped = tf.stack([top, 1 - right, bottom, 1 - left], 1)
    boxes = tf.where(placement.flipped, flipped, boxes)
    scale = tf.tile(tf.cast(placement.size, tf.float32), [2])
    offset = tf.tile(tf.cast(placement.offset, tf.float32), [2])
    shape = tf.tile(tf.cast(placement.shape, tf.float32), [2])
    return tf.clip_by_value(boxes * scale - offset, 0.0, shape)


def training_canvas(
    example: dict[str, tf.Tensor], canvas: int, objects: int, jitter: Jitter, seed: tf.Tensor
) -> dict[str, tf.Tensor]:
    """What a training step reads of an example; in graph mode.

    Crowds are left out, as Detectron2 does; difficult objects are learned. Of more objects than
    `objects` the first are kept.

    Args:
        example: decoded, of a source of objects; its masks are used if it has any.
        canvas: side of the canvas, in pixels.
        objects: K, number of objects that an image may have.
        jitter: what is drawn.
        seed: int64 [2], of this image in this epoch.

    Returns:
        image: uint8 [canvas, canvas, 3].
        shape: float32 [2], height and width of what is seen of the image.
        boxes: float32 [K, 4], in pixels of the canvas; -1 where there is no object.
        classes: int64 [K], from 1; 0 where there is no object.
        masks: uint8 [K, M, M], the inside of each box; only with masks.
        seed: int64 [2], for what is drawn on the device.
    """
    image = example["image"]
    placement = place(tf.shape(image)[:2], canvas, jitter, seed)
    boxes = place_boxes(example["boxes"], placement)
    seen = tf.reduce_all(boxes[:, 2:] > boxes[:, :2], 1) & ~example["crowd"]
    rows = tf.where(seen)[:objects, 0]
    boxes = tf.gather(boxes, rows)
    missing = objects - tf.size(rows)

    def filled(values: tf.Tensor, value: int, shape: list[int]) -> tf.Tensor:
        pads = [[0, missing], *([[0, 0]] * (len(shape) - 1))]
        return tf.ensure_shape(tf.pad(values, pads, constant_values=value), shape)

    made = {
        "image": place_image(image, placement, canvas),
        "shape": tf.cast(placement.shape, tf.float32),
        "boxes": filled(boxes, -1, [objects, 4]),
        "classes": filled(tf.gather(example["classes"], rows) + 1, 0, [objects]),
        "seed": tf.random.experimental.stateless_fold_in(seed, 1),
    }
    if "masks" in example:
        masks = tf.gather(example["masks"], rows)
        masks = tf.cond(placement.flipped, lambda: masks[:, :, ::-1], lambda: masks)
        scale = tf.tile(tf.cast(placement.size, tf.float32), [2])
        offset = tf.tile(tf.cast(placement.offset, tf.float32), [2])
        inside = sampled_at_centres(masks, (boxes + offset) / scale, MASK_SIDE)
        inside = tf.cast(inside >= 0.5, tf.uint8)
        made["masks"] = filled(inside, 0, [objects, MASK_SIDE, MASK_SIDE])
    return made


def evaluation_canvas(example: dict[str, tf.Tensor], canvas: int) -> dict[str, tf.Tensor]:
    """What an evaluation reads of a decoded example: the fitted image, and what is seen of it.

    Returns:
        image: uint8 [canvas, canvas, 3].
        shape: float32 [2].
        size: int64 [2], height and width of the image in its file.
        index: int64 scalar.
    """
    image = example["image"]
    placement = place(tf.shape(image)[:2], canvas)
    return {
        "image": place_image(image, placement, canvas),
        "shape": tf.cast(placement.shape, tf.float32),
        "size": tf.shape(image, tf.int64)[:2],
        "index": example["index"],
    }
