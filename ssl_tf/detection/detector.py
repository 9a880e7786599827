"""Detectors: an encoder with a pyramid and heads on it, and their losses."""

import functools
from collections.abc import Callable

import tensorflow as tf

from ssl_tf.detection import detection_losses as losses
from ssl_tf.detection.dense_head import DenseHead
from ssl_tf.detection.detector_head import Detections
from ssl_tf.detection.head_building import build_head, maps_by_level
from ssl_tf.detection.model_garden import parts
from ssl_tf.detection.region_head import MASK_LOGITS, RegionHead
from ssl_tf.detection.sampling import balanced_sample
from ssl_tf.detection.targets import (
    REGION_WEIGHTS,
    RETINANET_THRESHOLDS,
    RPN_THRESHOLDS,
    Objects,
    match_anchors,
    region_masks,
    sample_regions,
)
from ssl_tf.downstream.downstream_model import DownstreamModel, Tensors
from ssl_tf.networks.normalization import normalize_images
from ssl_tf.networks.precision import full_precision
from ssl_tf.settings import DetectorSettings

_ANCHOR_SHARE, _REGION_SHARE = 0.5, 0.25


class Detector(DownstreamModel):
    """An encoder and the layers of a detector on it.

    Attributes:
        head: the layers.
    """

    head: RegionHead | DenseHead

    def __init__(
        self,
        encoder: tf.keras.Model,
        num_classes: int,
        settings: DetectorSettings,
        *,
        batch_norm: str,
        seed: int,
    ):
        """
        Args:
            encoder: of `build_resnet`; its layers become those of the head.
            num_classes: C, without the background.
            settings: of the head.
            batch_norm: of the new layers, as in `normalized_by`.
            seed: of the weights of the new layers.
        """
        head = build_head(encoder, settings, num_classes, seed, batch_norm)
        super().__init__("detector", encoder, head)
        maps = maps_by_level(encoder)
        self._maps = tf.keras.Model(encoder.input, {name: maps[name] for name in head.read})

    def pyramid(self, images: tf.Tensor, shapes: tf.Tensor, training: bool) -> Tensors:
        """The pyramid of images, by level.

        Args:
            images: uint8 [B, canvas, canvas, 3].
            shapes: float32 [B, 2], what is seen of each; the rest is 0 behind the normalization.
            training: batch normalization moves.
        """
        axis = tf.range(self.head.canvas, dtype=tf.float32)
        rows, columns = (axis < shapes[:, n : n + 1] for n in (0, 1))
        seen = rows[:, :, tf.newaxis] & columns[:, tf.newaxis]
        normalized = tf.where(seen[..., tf.newaxis], normalize_images(images), 0.0)
        normalized = tf.cast(normalized, self.encoder.input.dtype)
        return self.head.pyramid(self._maps(normalized, training=training), training)

    def detect(self, images: tf.Tensor, shapes: tf.Tensor) -> Detections:
        """The objects in images; arguments as in `pyramid`."""
        return self.head.detect(self.pyramid(images, shapes, training=False), shapes)

    @functools.cached_property
    def detect_batch(self) -> Callable[[tf.Tensor, tf.Tensor], Tensors]:
        """`detect` as one graph for batches of any size: the fields of `Detections`, by name."""
        canvas = self.head.canvas

        @tf.function(
            input_signature=[
                tf.TensorSpec([None, canvas, canvas, 3], tf.uint8),
                tf.TensorSpec([None, 2], tf.float32),
            ],
            autograph=False,
        )
        def detect(images: tf.Tensor, shapes: tf.Tensor) -> Tensors:
            found = vars(self.detect(images, shapes))
            return {name: value for name, value in found.items() if value is not None}

        return detect

    def normalizers(self, batch: Tensors) -> Tensors:
        """The number of positive anchors of a dense head.

        Those of regions depend on what is proposed, and are counted with the losses.
        """
        if isinstance(self.head, RegionHead):
            return {}
        positive, _, _ = match_anchors(self.head.anchors, _objects(batch), RETINANET_THRESHOLDS)
        return {"anchors": tf.math.count_nonzero(positive, dtype=tf.float32)}

    def losses(self, part: Tensors, normalizers: Tensors) -> Tensors:
        """The losses of a part of the batch of `training_canvas`, whose shapes are static."""
        maps = self.pyramid(part["image"], part["shape"], training=True)
        if isinstance(self.head, DenseHead):
            return _dense_losses(self.head, maps, _objects(part), normalizers["anchors"])
        replicas = tf.distribute.get_replica_context().num_replicas_in_sync
        images = part["image"].shape[0] * self.accumulate * replicas
        return _region_losses(self.head, maps, part, images, self.accumulate)


def _objects(batch: Tensors) -> Objects:
    return Objects(batch["boxes"], batch["classes"], batch.get("masks"))


def _region_losses(
    head: RegionHead, maps: Tensors, part: Tensors, images: int, parts_of_batch: int
) -> Tensors:
    """The losses of Faster and Mask R-CNN.

    All but that of masks are divided by numbers that are fixed. That is divided by the number of
    regions with an object, in the same part of all replicas.

    Args:
        head: the layers.
        maps: the pyramid.
        part: of the batch.
        images: number of images of the global batch.
        parts_of_batch: of a replica.
    """
    settings, objects = head.settings, _objects(part)
    seeds = part["seed"]
    anchor_seeds, region_seeds = (
        tf.stack([tf.random.experimental.stateless_fold_in(s, n) for s in tf.unstack(seeds)])
        for n in (0, 1)
    )
    logits, encoded = head.propose(maps, training=True)
    positive, negative, matched = match_anchors(head.anchors, objects, RPN_THRESHOLDS)
    drawn, exists = balanced_sample(
        positive, negative, anchor_seeds, settings.sampled_anchors, _ANCHOR_SHARE
    )
    is_object = tf.gather(positive, drawn, batch_dims=1) & exists
    truth = tf.gather(objects.boxes, tf.gather(matched, drawn, batch_dims=1), batch_dims=1)
    of_anchors = parts().encode_boxes(truth, tf.gather(head.anchors, drawn))
    # Logarithms of what is no object are no numbers, and would be none times 0 either.
    of_anchors = tf.where(is_object[..., tf.newaxis], of_anchors, 0.0)
    flat_logits = full_precision(head.flat(logits, 1)[..., 0])
    kind = flat_logits.dtype
    anchors = images * settings.sampled_anchors
    found = {
        "objectness_loss": losses.objectness_loss(
            tf.gather(flat_logits, drawn, batch_dims=1), is_object, tf.cast(exists, kind)
        )
        / anchors,
        "proposal_loss": losses.box_loss(
            tf.gather(full_precision(head.flat(encoded, 4)), drawn, batch_dims=1),
            of_anchors,
            tf.cast(is_object, kind),
        )
        / anchors,
    }

    proposals = head.proposals(logits, encoded, part["shape"], training=True)
    regions = sample_regions(
        proposals, objects, region_seeds, settings.sampled_regions, _REGION_SHARE
    )
    class_logits, boxes = map(full_precision, head.classify(maps, regions.boxes, training=True))
    is_object = regions.classes > 0
    truth = tf.gather(objects.boxes, regions.matched, batch_dims=1)
    of_regions = parts().encode_boxes(truth, regions.boxes, weights=REGION_WEIGHTS)
    of_regions = tf.where(is_object[..., tf.newaxis], of_regions, 0.0)
    weights = tf.cast(regions.weights, kind)
    count = images * settings.sampled_regions
    found["class_loss"] = losses.class_loss(class_logits, regions.classes, weights) / count
    found["box_loss"] = (
        losses.box_loss(
            tf.gather(boxes, regions.classes, axis=2, batch_dims=2),
            of_regions,
            tf.cast(is_object, kind) * weights,
        )
        / count
    )
    if head.mask_head is not None:
        first = max(1, int(settings.sampled_regions * _REGION_SHARE))
        classes = regions.classes[:, :first]
        logits = full_precision(head.masks(maps, regions.boxes[:, :first], classes, training=True))
        has_mask = tf.cast(classes > 0, kind)
        masks = region_masks(regions, objects, first, MASK_LOGITS)
        positives = losses.over_replicas(tf.reduce_sum(has_mask)) * parts_of_batch
        found["mask_loss"] = losses.mask_loss(logits, masks, has_mask) / positives
    return found


def _dense_losses(
    head: DenseHead, maps: Tensors, objects: Objects, positives: tf.Tensor
) -> Tensors:
    """The losses of RetinaNet, divided by the number of positive anchors of the global batch."""
    logits, boxes = map(full_precision, head.classify(maps, training=True))
    positive, negative, matched = match_anchors(head.anchors, objects, RETINANET_THRESHOLDS)
    classes = tf.where(positive, tf.gather(objects.classes, matched, batch_dims=1), 0)
    truth = tf.gather(objects.boxes, matched, batch_dims=1)
    encoded = parts().encode_boxes(truth, head.anchors[tf.newaxis])
    encoded = tf.where(positive[..., tf.newaxis], encoded, 0.0)
    is_object = tf.cast(positive, logits.dtype)
    count = tf.cast(tf.maximum(positives, 1), logits.dtype)
    weights = tf.cast(positive | negative, logits.dtype)
    return {
        "class_loss": losses.focal_loss(logits, classes, weights) / count,
        "box_loss": losses.box_loss(boxes, encoded, is_object) / count,
    }
