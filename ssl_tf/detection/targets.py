"""What anchors, regions and masks are to become: their matches among the true objects."""

import dataclasses

import tensorflow as tf

from ssl_tf.detection.model_garden import parts
from ssl_tf.detection.sampling import balanced_sample

# Overlaps below which an anchor is background, and from which it is an object.
RPN_THRESHOLDS = (0.3, 0.7)
RETINANET_THRESHOLDS = (0.4, 0.5)
_REGION_THRESHOLD = 0.5
# Scale of the encoded boxes of regions, as in Faster R-CNN.
REGION_WEIGHTS = [10.0, 10.0, 5.0, 5.0]


@dataclasses.dataclass(frozen=True)
class Objects:
    """The true objects of a batch, filled up to K an image.

    Attributes:
        boxes: float32 [B, K, 4], ymin, xmin, ymax, xmax in pixels of the canvas; -1 where there is
            no object.
        classes: int64 [B, K], 1 to C; 0 where there is no object.
        masks: uint8 [B, K, M, M], 0 and 1, of the inside of each box; None without masks.
    """

    boxes: tf.Tensor
    classes: tf.Tensor
    masks: tf.Tensor | None = None

    @property
    def real(self) -> tf.Tensor:
        """Whether there is an object: bool [B, K]."""
        return self.classes > 0


def match_anchors(
    anchors: tf.Tensor, objects: Objects, thresholds: tuple[float, float]
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """The object of each anchor.

    An anchor is positive if it overlaps an object by the upper threshold, or as much as any anchor
    overlaps it; negative if it overlaps each by less than the lower one.

    Args:
        anchors: float32 [N, 4].
        objects: of the batch.
        thresholds: lower and upper one, of intersection over union.

    Returns:
        positive, negative: bool [B, N].
        matched: int32 [B, N], index of the object that overlaps most; 0 if there is none.
    """
    lower, upper = thresholds
    count = anchors.shape[0]

    # One image at a time and its real objects alone: the table of overlaps is large.
    def match(one: tuple[tf.Tensor, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        boxes = tf.boolean_mask(*one)
        # A last column of its own, so that an image without objects has one too.
        overlaps = tf.pad(parts().iou(anchors, boxes), [[0, 0], [0, 1]])
        best = tf.reduce_max(overlaps, 1)
        most = tf.reduce_max(overlaps, 0)
        is_best = tf.reduce_any((overlaps == most) & (most > 0), 1)
        positive = (best >= upper) | is_best
        return positive, (best < lower) & ~positive, tf.argmax(overlaps, 1, tf.int32)

    spec = tf.TensorSpec([count], tf.bool)
    return tf.map_fn(
        match,
        (objects.boxes, objects.real),
        fn_output_signature=(spec, spec, tf.TensorSpec([count], tf.int32)),
        parallel_iterations=2,
    )


@dataclasses.dataclass(frozen=True)
class Regions:
    """The regions on which the second stage learns, R an image, those of objects first.

    Attributes:
        boxes: float32 [B, R, 4], in pixels of the canvas.
        classes: int64 [B, R]; 0 for background.
        matched: int32 [B, R], index of the object.
        weights: float32 [B, R]; 0 where an image has fewer regions.
    """

    boxes: tf.Tensor
    classes: tf.Tensor
    matched: tf.Tensor
    weights: tf.Tensor


def sample_regions(
    proposals: tf.Tensor, objects: Objects, seeds: tf.Tensor, count: int, positive_share: float
) -> Regions:
    """Draws regions among the proposals and the true boxes.

    Args:
        proposals: float32 [B, P, 4]; zero where there is none.
        objects: of the batch.
        seeds, count, positive_share: as in `balanced_sample`.
    """
    boxes = tf.concat([proposals, objects.boxes], 1)
    overlaps = tf.where(objects.real[:, tf.newaxis], _overlaps(boxes, objects.boxes), 0.0)
    best = tf.reduce_max(overlaps, 2)
    matched = tf.argmax(overlaps, 2, tf.int32)
    is_region = tf.reduce_all(boxes[..., 2:] > boxes[..., :2], 2) & (boxes[..., 0] >= 0)
    positive = is_region & (best >= _REGION_THRESHOLD)
    indices, drawn = balanced_sample(positive, is_region & ~positive, seeds, count, positive_share)
    classes = tf.where(positive, tf.gather(objects.classes, matched, batch_dims=1), 0)
    return Regions(
        tf.gather(boxes, indices, batch_dims=1),
        tf.gather(classes, indices, batch_dims=1),
        tf.gather(matched, indices, batch_dims=1),
        tf.cast(drawn, tf.float32),
    )


def _overlaps(first: tf.Tensor, second: tf.Tensor) -> tf.Tensor:
    """Intersection over union of boxes [B, N, 4] and [B, K, 4]: float32 [B, N, K]."""
    return tf.stack([parts().iou(a, b) for a, b in zip(tf.unstack(first), tf.unstack(second))])


def region_masks(regions: Regions, objects: Objects, count: int, side: int) -> tf.Tensor:
    """The masks that the first regions are to have: bool [B, count, side, side].

    A pixel of a region has the value of the object's mask at its centre, and is 0 outside of the
    object's box.
    """
    boxes, matched = regions.boxes[:, :count], regions.matched[:, :count]
    truth = tf.gather(objects.boxes, matched, batch_dims=1)
    size = tf.maximum(truth[..., 2:] - truth[..., :2], 1e-6)
    # The region as a part of the object's box.
    inside = tf.concat(
        [(boxes[..., :2] - truth[..., :2]) / size, (boxes[..., 2:] - truth[..., :2]) / size], -1
    )
    masks = tf.reshape(
        tf.gather(objects.masks, matched, batch_dims=1), [-1, *objects.masks.shape[2:]]
    )
    values = sampled_at_centres(masks, tf.reshape(inside, [-1, 4]), side)
    return tf.reshape(values >= 0.5, [boxes.shape[0], boxes.shape[1], side, side])


def sampled_at_centres(masks: tf.Tensor, boxes: tf.Tensor, side: int) -> tf.Tensor:
    """The values of masks at the centres of side x side cells of boxes: float32 [N, side, side].

    Args:
        masks: uint8 [N, H, W].
        boxes: float32 [N, 4], as parts of the mask's height and width; what lies outside is 0.
        side: cells in a row and in a column.
    """
    # A frame of zeros, in which all that lies outside ends.
    values = tf.pad(masks, [[0, 0], [1, 1], [1, 1]])
    centres = (tf.range(side, dtype=tf.float32) + 0.5) / side
    for axis in (1, 2):
        pixels = tf.shape(masks)[axis]
        low, high = boxes[:, axis - 1, tf.newaxis], boxes[:, axis + 1, tf.newaxis]
        # Pixel k of the frame has its centre at k - 0.5.
        places = (low + (high - low) * centres) * tf.cast(pixels, tf.float32) + 0.5
        places = tf.clip_by_value(places, 0.0, tf.cast(pixels + 1, tf.float32))
        before = tf.minimum(tf.cast(places, tf.int32), pixels)
        share = places - tf.cast(before, tf.float32)
        share = tf.expand_dims(share, 3 - axis)
        first, second = (
            tf.cast(tf.gather(values, before + n, axis=axis, batch_dims=1), tf.float32)
            for n in (0, 1)
        )
        values = (1 - share) * first + share * second
    return values
