"""The layers of detectors in two stages: Faster R-CNN and Mask R-CNN."""

import dataclasses

import tensorflow as tf

from ssl_tf.detection.detector_head import (
    NMS_THRESHOLD,
    SCORE_THRESHOLD,
    Detections,
    DetectorHead,
    Maps,
    norm_options,
)
from ssl_tf.detection.model_garden import parts
from ssl_tf.detection.targets import REGION_WEIGHTS
from ssl_tf.settings import DetectorSettings

# Sides of what the box head and the mask head see of a region, in cells.
BOX_CROP, MASK_CROP = 7, 14
MASK_LOGITS = 2 * MASK_CROP
_RPN_NMS_THRESHOLD = 0.7


class RegionHead(DetectorHead):
    """Faster R-CNN on a pyramid (Ren et al. 2015; Lin et al. 2017), or Mask R-CNN (He et al. 2017).

    The regions see levels 2 to 5 of the pyramid, the proposals come from all.
    """

    scales, usual_anchor_scale = 1, 8.0

    def __init__(self, channels: dict[str, int], settings: DetectorSettings, num_classes: int):
        super().__init__(channels, settings, (2, 6))
        garden, width = parts(), settings.pyramid_channels
        self.proposer = garden.RPNHead(
            min_level=self.levels[0],
            max_level=self.levels[-1],
            num_anchors_per_location=self.anchors_a_location,
            num_filters=width,
            activation="relu",
            **norm_options(),
        )
        self.box_head = garden.DetectionHead(
            num_classes=num_classes + 1,
            num_convs=0,
            num_fcs=2,
            fc_dims=settings.box_head_channels,
            activation="relu",
            **norm_options(),
        )
        self.mask_head = None
        if settings.masks:
            self.mask_head = garden.MaskHead(
                num_classes=num_classes + 1,
                num_convs=settings.mask_convs,
                num_filters=width,
                activation="relu",
                **norm_options(),
            )
        self._proposals = garden.MultilevelROIGenerator(
            pre_nms_top_k=2 * settings.proposals,
            nms_iou_threshold=_RPN_NMS_THRESHOLD,
            num_proposals=settings.proposals,
            test_pre_nms_top_k=settings.proposals,
            test_nms_iou_threshold=_RPN_NMS_THRESHOLD,
            test_num_proposals=settings.proposals,
        )
        self._box_crop = garden.MultilevelROIAligner(crop_size=BOX_CROP)
        self._mask_crop = garden.MultilevelROIAligner(crop_size=MASK_CROP)
        self._generator = garden.DetectionGenerator(
            pre_nms_score_threshold=SCORE_THRESHOLD,
            nms_iou_threshold=NMS_THRESHOLD,
            max_num_detections=settings.max_detections,
            nms_version="batched",
        )

    def build_heads(self) -> None:
        """Makes the variables of the heads."""
        self.proposer(self._symbolic_maps())
        channels = self.settings.pyramid_channels
        self.box_head(tf.keras.Input([1, BOX_CROP, BOX_CROP, channels]))
        if self.mask_head is not None:
            crops = tf.keras.Input([1, MASK_CROP, MASK_CROP, channels])
            self.mask_head([crops, tf.keras.Input([1], dtype=tf.int32)])

    def propose(self, maps: Maps, training: bool) -> tuple[Maps, Maps]:
        """Logits [B, h, w, A] and encoded boxes [B, h, w, 4 A] of each level."""
        return self.proposer(maps, training=training)

    def proposals(self, logits: Maps, boxes: Maps, shapes: tf.Tensor, training: bool) -> tf.Tensor:
        """The best proposals behind their suppression, without a gradient: float32 [B, P, 4]."""
        logits, boxes = (
            {name: tf.stop_gradient(tf.cast(x, tf.float32)) for name, x in maps.items()}
            for maps in (logits, boxes)
        )
        images = tf.shape(shapes)[0]
        anchors = {
            name: tf.tile(x[tf.newaxis], [images, 1, 1, 1])
            for name, x in self.levelled_anchors.items()
        }
        return self._proposals(boxes, logits, anchors, shapes, training)[0]

    def classify(
        self, maps: Maps, regions: tf.Tensor, training: bool
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Logits [B, R, C + 1] and encoded boxes [B, R, C + 1, 4] of regions [B, R, 4]."""
        logits, boxes = self.box_head(self._box_crop(_seen(maps), regions), training=training)
        return logits, tf.reshape(boxes, [*_leading(logits), logits.shape[-1], 4])

    def masks(
        self, maps: Maps, regions: tf.Tensor, classes: tf.Tensor, training: bool
    ) -> tf.Tensor:
        """Mask logits [B, R, S, S] of regions, each for its class [B, R]."""
        crops = self._mask_crop(_seen(maps), regions)
        return self.mask_head([crops, tf.cast(classes, tf.int32)], training=training)

    def detect(self, maps: Maps, shapes: tf.Tensor) -> Detections:
        """The objects in images, of which these are the pyramid and what is seen [B, 2]."""
        logits, boxes = self.propose(maps, training=False)
        regions = self.proposals(logits, boxes, shapes, training=False)
        logits, boxes = (tf.cast(x, tf.float32) for x in self.classify(maps, regions, False))
        logits = _background_without_area(logits, regions)
        found = self._generator(
            tf.reshape(boxes, [*_leading(logits), 4 * logits.shape[-1]]),
            logits,
            regions,
            shapes,
            REGION_WEIGHTS,
        )
        detections = Detections(
            found["num_detections"],
            found["detection_boxes"],
            found["detection_scores"],
            tf.cast(found["detection_classes"], tf.int32),
        )
        if self.mask_head is None:
            return detections
        masks = self.masks(maps, detections.boxes, detections.classes, training=False)
        return dataclasses.replace(detections, masks=tf.sigmoid(tf.cast(masks, tf.float32)))


def _background_without_area(logits: tf.Tensor, regions: tf.Tensor) -> tf.Tensor:
    """Logits [B, R, C + 1] that make regions [B, R, 4] without an area background.

    Model Garden cuts proposals beyond the image to lines on its border, and fills up their number
    with points. Suppression drops none of them, because their overlap is 0.
    """
    has_area = tf.reduce_all(regions[..., 2:] > regions[..., :2], axis=-1, keepdims=True)
    background = 1e9 * (tf.one_hot(0, logits.shape[-1]) - 1.0)
    return tf.where(has_area, logits, background)


def _seen(maps: Maps) -> Maps:
    """The levels on which regions are cut out: all but the coarsest."""
    return {name: maps[name] for name in sorted(maps)[:-1]}


def _leading(x: tf.Tensor) -> list[tf.Tensor]:
    shape = tf.shape(x)
    return [shape[0], shape[1]]
