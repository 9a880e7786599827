"""The training step of a detector: losses over the global batch, gradients, an update."""

from collections.abc import Sequence

import tensorflow as tf

from ssl_tf.detection import losses
from ssl_tf.detection.model_garden import parts
from ssl_tf.detection.network import MASK_LOGITS, DenseDetector, RegionDetector
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
from ssl_tf.training.accumulation import accumulated
from ssl_tf.training.execution import TimedModel

Tensors = dict[str, tf.Tensor]

_ANCHOR_SHARE, _REGION_SHARE = 0.5, 0.25


class DetectorTraining(TimedModel):
    """A detector that learns.

    Attributes:
        detector: the network.
        parts: number of parts of a replica's batch whose gradients are accumulated.
    """

    def __init__(self, detector: RegionDetector | DenseDetector, parts: int = 1):
        super().__init__(name="detector_training")
        self.detector = detector
        self.parts = parts

    @property
    def learned_variables(self) -> list[tf.Variable]:
        return self.detector.trainable_variables

    @property
    def logged(self) -> tuple[str, ...]:
        """Names of the logs of a step."""
        if isinstance(self.detector, DenseDetector):
            return ("loss", "class_loss", "box_loss")
        masks = ("mask_loss",) if self.detector.mask_head is not None else ()
        return ("loss", "objectness_loss", "proposal_loss", "class_loss", "box_loss", *masks)

    def train_step(self, batch: Tensors) -> Tensors:
        """One step on the global batch, of which each replica has an equal part."""
        context = tf.distribute.get_replica_context()
        optimizer = self.optimizer
        gradients, logs, _ = accumulated(self._gradients, batch, self.parts)
        if isinstance(optimizer, tf.keras.mixed_precision.LossScaleOptimizer):
            gradients = optimizer.get_unscaled_gradients(gradients)
        optimizer.apply_gradients(zip(gradients, self.learned_variables))
        logs = {name: tf.cast(value, tf.float32) for name, value in logs.items()}
        if context.num_replicas_in_sync > 1:
            logs = context.all_reduce(tf.distribute.ReduceOp.SUM, logs)
        return logs

    def losses(self, batch: Tensors) -> Tensors:
        """The losses of a part of the global batch; their sums over all parts are the losses.

        Args:
            batch: of `training_canvas`, with a leading dimension that is static.
        """
        objects = Objects(batch["boxes"], batch["classes"], batch.get("masks"))
        maps = self.detector.maps(batch["image"], batch["shape"], training=True)
        if isinstance(self.detector, DenseDetector):
            return _dense_losses(self.detector, maps, objects, self.parts)
        replicas = tf.distribute.get_replica_context().num_replicas_in_sync
        images = batch["image"].shape[0] * self.parts * replicas
        return _region_losses(self.detector, maps, objects, batch, images, self.parts)

    def _gradients(self, batch: Tensors) -> tuple[Sequence[tf.Tensor], Tensors, Tensors]:
        """Gradients (scaled as the optimizer wants them) and losses of a part; no rows."""
        with tf.GradientTape() as tape:
            found = self.losses(batch)
            loss = tf.add_n(list(found.values()))
            total = loss
            if isinstance(self.optimizer, tf.keras.mixed_precision.LossScaleOptimizer):
                total = self.optimizer.get_scaled_loss(loss)
        gradients = tape.gradient(total, self.learned_variables)
        dense = [tf.convert_to_tensor(gradient) for gradient in gradients]
        return dense, {"loss": loss, **found}, {}


def _region_losses(
    detector: RegionDetector,
    maps: Tensors,
    objects: Objects,
    batch: Tensors,
    images: int,
    part_count: int,
) -> Tensors:
    """The losses of Faster and Mask R-CNN.

    Args:
        detector: the network.
        maps: the pyramid.
        objects: of this part of the batch.
        batch: this part of the batch.
        images: number of images of the global batch.
        part_count: parts of a replica's batch.
    """
    settings = detector.settings
    seeds = batch["seed"]
    anchor_seeds, region_seeds = (
        tf.stack([tf.random.experimental.stateless_fold_in(s, n) for s in tf.unstack(seeds)])
        for n in (0, 1)
    )
    logits, encoded = detector.propose(maps, training=True)
    positive, negative, matched = match_anchors(detector.anchors, objects, RPN_THRESHOLDS)
    drawn, exists = balanced_sample(
        positive, negative, anchor_seeds, settings.sampled_anchors, _ANCHOR_SHARE
    )
    is_object = tf.gather(positive, drawn, batch_dims=1) & exists
    truth = tf.gather(
        objects.boxes, tf.gather(matched, drawn, batch_dims=1), batch_dims=1
    )
    of_anchors = parts().encode_boxes(truth, tf.gather(detector.anchors, drawn))
    # Logarithms of what is no object are no numbers, and would be none times 0 either.
    of_anchors = tf.where(is_object[..., tf.newaxis], of_anchors, 0.0)
    flat_logits = detector.flat(logits, 1)[..., 0]
    kind = flat_logits.dtype
    anchors = images * settings.sampled_anchors
    found = {
        "objectness_loss": losses.objectness_loss(
            tf.gather(flat_logits, drawn, batch_dims=1), is_object, tf.cast(exists, kind)
        )
        / anchors,
        "proposal_loss": losses.box_loss(
            tf.gather(detector.flat(encoded, 4), drawn, batch_dims=1),
            of_anchors,
            tf.cast(is_object, kind),
        )
        / anchors,
    }

    proposals = detector.proposals(logits, encoded, batch["shape"], training=True)
    regions = sample_regions(
        proposals, objects, region_seeds, settings.sampled_regions, _REGION_SHARE
    )
    class_logits, boxes = detector.classify(maps, regions.boxes, training=True)
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
    if detector.mask_head is not None:
        first = max(1, int(settings.sampled_regions * _REGION_SHARE))
        classes = regions.classes[:, :first]
        logits = detector.masks(maps, regions.boxes[:, :first], classes, training=True)
        has_mask = tf.cast(classes > 0, kind)
        masks = region_masks(regions, objects, first, MASK_LOGITS)
        positives = losses.over_replicas(tf.reduce_sum(has_mask)) * part_count
        found["mask_loss"] = losses.mask_loss(logits, masks, has_mask) / positives
    return found


def _dense_losses(
    detector: DenseDetector, maps: Tensors, objects: Objects, part_count: int
) -> Tensors:
    """The losses of RetinaNet, over the positive anchors of this part of all replicas."""
    logits, boxes = detector.classify(maps, training=True)
    positive, negative, matched = match_anchors(detector.anchors, objects, RETINANET_THRESHOLDS)
    classes = tf.where(positive, tf.gather(objects.classes, matched, batch_dims=1), 0)
    truth = tf.gather(objects.boxes, matched, batch_dims=1)
    encoded = parts().encode_boxes(truth, detector.anchors[tf.newaxis])
    encoded = tf.where(positive[..., tf.newaxis], encoded, 0.0)
    is_object = tf.cast(positive, logits.dtype)
    count = losses.over_replicas(tf.reduce_sum(is_object)) * part_count
    weights = tf.cast(positive | negative, logits.dtype)
    return {
        "class_loss": losses.focal_loss(logits, classes, weights) / count,
        "box_loss": losses.box_loss(boxes, encoded, is_object) / count,
    }
