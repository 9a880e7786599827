"""The layers of detectors on an encoder: a feature pyramid on its maps, and heads on that."""

import dataclasses
import functools

import numpy as np
import tensorflow as tf

from ssl_tf.detection.head_normalization import normalized_by
from ssl_tf.detection.model_garden import parts
from ssl_tf.detection.targets import REGION_WEIGHTS
from ssl_tf.networks.batch_normalization import EPSILON, MOMENTUM
from ssl_tf.networks.initialization import layer_seed
from ssl_tf.networks.resnet import stage_outputs
from ssl_tf.settings import DetectorSettings

Maps = dict[str, tf.Tensor]

# Anchors a location: width over height, and scales within an octave.
_ASPECTS = (0.5, 1.0, 2.0)
# Sides of what the box head and the mask head see of a region, in cells.
BOX_CROP, MASK_CROP = 7, 14
MASK_LOGITS = 2 * MASK_CROP
_SCORE_THRESHOLD, _NMS_THRESHOLD = 0.05, 0.5
_RPN_NMS_THRESHOLD = 0.7
# Candidates of a level that a one-stage detector decodes.
_CANDIDATES = 1000


@dataclasses.dataclass(frozen=True)
class Detections:
    """The objects found in a batch, D an image, by falling score.

    Attributes:
        count: int32 [B], the first of the D that are objects.
        boxes: float32 [B, D, 4], ymin, xmin, ymax, xmax in pixels of the canvas.
        scores: float32 [B, D] in [0, 1].
        classes: int32 [B, D], from 1.
        masks: float32 [B, D, S, S] in [0, 1], of the inside of each box; None without masks.
    """

    count: tf.Tensor
    boxes: tf.Tensor
    scores: tf.Tensor
    classes: tf.Tensor
    masks: tf.Tensor | None = None


class DetectorHead(tf.keras.Model):
    """What all detectors have on the maps of an encoder: a feature pyramid, and anchors.

    Attributes:
        canvas: side of the images, in pixels.
        levels: of the pyramid; the stride of a level is two to its power.
        settings: of the detector.
    """

    def __init__(
        self, channels: dict[str, int], settings: DetectorSettings, levels: tuple[int, int]
    ):
        """
        Args:
            channels: level -> channels of the encoder's map, of all that it has.
            settings: of the detector.
            levels: first and last level of the pyramid.
        """
        super().__init__(name="head")
        self.canvas = settings.canvas
        self.levels = range(levels[0], levels[1] + 1)
        self.settings = settings
        self.read = tuple(name for name in channels if int(name) in self.levels)
        self.fpn = parts().FPN(
            input_specs={
                name: tf.TensorShape([None, *[self._side(int(name))] * 2, channels[name]])
                for name in self.read
            },
            min_level=levels[0],
            max_level=levels[1],
            num_filters=settings.pyramid_channels,
            activation="relu",
            **_norm_options(),
        )

    def pyramid(self, maps: Maps, training: bool) -> Maps:
        """The pyramid of the encoder's maps [B, h, w, channels], by level."""
        return self.fpn({name: maps[name] for name in self.read}, training=training)

    @property
    def anchors_a_location(self) -> int:
        """A, anchors at one cell of a map."""
        return len(_ASPECTS) * self.scales

    @functools.cached_property
    def levelled_anchors(self) -> dict[str, np.ndarray]:
        """The anchors of each level, float32 [h, w, 4 A], in pixels of the canvas."""
        with tf.init_scope():
            anchors = parts().Anchor(
                min_level=self.levels[0],
                max_level=self.levels[-1],
                num_scales=self.scales,
                aspect_ratios=list(_ASPECTS),
                anchor_size=self.settings.anchor_scale or self.usual_anchor_scale,
                image_size=(self.canvas, self.canvas),
            )
            return {name: boxes.numpy() for name, boxes in anchors.multilevel_boxes.items()}

    @functools.cached_property
    def anchors(self) -> np.ndarray:
        """All anchors, level after level, float32 [N, 4]."""
        return np.concatenate([x.reshape(-1, 4) for x in self.levelled_anchors.values()])

    def flat(self, levelled: Maps, depth: int) -> tf.Tensor:
        """The outputs of all levels behind each other: [B, N, depth]."""
        return tf.concat(
            [tf.reshape(levelled[str(level)], [-1, self._anchors_of(level), depth])
             for level in self.levels], 1
        )  # fmt: skip

    def _side(self, level: int) -> int:
        """Side of a map, in cells."""
        return -(-self.canvas // 2**level)

    def _anchors_of(self, level: int) -> int:
        """Number of anchors of a level."""
        return self._side(level) ** 2 * self.anchors_a_location

    def _symbolic_maps(self) -> Maps:
        """Inputs of the shapes of the pyramid."""
        channels = self.settings.pyramid_channels
        return {
            str(n): tf.keras.Input([self._side(n), self._side(n), channels]) for n in self.levels
        }


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
            **_norm_options(),
        )
        self.box_head = garden.DetectionHead(
            num_classes=num_classes + 1,
            num_convs=0,
            num_fcs=2,
            fc_dims=settings.box_head_channels,
            activation="relu",
            **_norm_options(),
        )
        self.mask_head = None
        if settings.masks:
            self.mask_head = garden.MaskHead(
                num_classes=num_classes + 1,
                num_convs=settings.mask_convs,
                num_filters=width,
                activation="relu",
                **_norm_options(),
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
            pre_nms_score_threshold=_SCORE_THRESHOLD,
            nms_iou_threshold=_NMS_THRESHOLD,
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


class DenseHead(DetectorHead):
    """RetinaNet (Lin et al. 2017): class and box of every anchor."""

    scales, usual_anchor_scale = 3, 4.0

    def __init__(self, channels: dict[str, int], settings: DetectorSettings, num_classes: int):
        super().__init__(channels, settings, (3, 7))
        self.outputs = num_classes + 1
        self.head = parts().RetinaNetHead(
            min_level=self.levels[0],
            max_level=self.levels[-1],
            num_classes=num_classes + 1,
            num_anchors_per_location=self.anchors_a_location,
            num_filters=settings.pyramid_channels,
            activation="relu",
            **_norm_options(),
        )

    def build_heads(self) -> None:
        """Makes the variables of the head."""
        self.head(self._symbolic_maps())

    def classify(self, maps: Maps, training: bool) -> tuple[tf.Tensor, tf.Tensor]:
        """Logits [B, N, C + 1], the first of no use, and encoded boxes [B, N, 4] of anchors."""
        logits, boxes, _ = self.head(maps, training=training)
        return self.flat(logits, self.outputs), self.flat(boxes, 4)

    def detect(self, maps: Maps, shapes: tf.Tensor) -> Detections:
        """The objects in images, of which these are the pyramid and what is seen [B, 2]."""
        logits, encoded = self.classify(maps, training=False)
        scores = tf.sigmoid(tf.cast(logits[..., 1:], tf.float32))
        # All pairs of anchor and class of a level, the best of them decoded.
        kept_boxes, kept_scores, kept_classes = [], [], []
        first = 0
        for level in self.levels:
            last = first + self._anchors_of(level)
            pairs = tf.reshape(scores[:, first:last], [-1, (last - first) * scores.shape[-1]])
            best, indices = tf.math.top_k(pairs, min(_CANDIDATES, pairs.shape[1]))
            rows, classes = first + indices // scores.shape[-1], indices % scores.shape[-1]
            boxes = parts().decode_boxes(
                tf.cast(tf.gather(encoded, rows, batch_dims=1), tf.float32),
                tf.gather(self.anchors, rows),
            )
            kept_boxes.append(parts().clip_boxes(boxes, shapes[:, tf.newaxis]))
            kept_scores.append(best)
            kept_classes.append(classes)
            first = last
        return _suppressed(
            *(tf.concat(kept, 1) for kept in (kept_boxes, kept_scores, kept_classes)),
            self.settings.max_detections,
            self.canvas,
        )


def _suppressed(
    boxes: tf.Tensor, scores: tf.Tensor, classes: tf.Tensor, count: int, canvas: int
) -> Detections:
    """The candidates behind non-maximum suppression within each class."""
    # Far apart, boxes of different classes do not overlap.
    apart = boxes + tf.cast(classes, tf.float32)[..., tf.newaxis] * (2.0 * canvas)

    def best(one: tuple[tf.Tensor, ...]) -> tuple[tf.Tensor, ...]:
        apart, boxes, scores, classes = one
        rows = tf.image.non_max_suppression(apart, scores, count, _NMS_THRESHOLD, _SCORE_THRESHOLD)
        pads = [[0, count - tf.size(rows)]]
        return (
            tf.size(rows),
            tf.pad(tf.gather(boxes, rows), [*pads, [0, 0]]),
            tf.pad(tf.gather(scores, rows), pads),
            tf.pad(tf.gather(classes, rows) + 1, pads),
        )

    spec = tf.TensorSpec
    found = tf.map_fn(
        best,
        (apart, boxes, scores, classes),
        fn_output_signature=(
            spec([], tf.int32),
            spec([count, 4], tf.float32),
            spec([count], tf.float32),
            spec([count], tf.int32),
        ),
    )
    return Detections(*found)


def build_head(
    encoder: tf.keras.Model,
    settings: DetectorSettings,
    num_classes: int,
    seed: int,
    batch_norm: str,
) -> RegionHead | DenseHead:
    """New layers for a detector on an encoder.

    Args:
        encoder: of `build_resnet`.
        settings: of the detector.
        num_classes: C, without the background.
        seed: of the weights, which depend on it and the layers' names alone.
        batch_norm: as in `normalized_by`.
    """
    kind = RegionHead if settings.detector == "faster_rcnn" else DenseHead
    channels = {name: maps.shape[-1] for name, maps in maps_by_level(encoder).items()}
    with normalized_by(batch_norm):
        head = kind(channels, settings, num_classes)
        head.build_heads()
    for layer in head._flatten_layers(include_self=False):
        initializer = getattr(layer, "kernel_initializer", None)
        if initializer is not None:
            drawn = type(initializer).from_config(
                {**initializer.get_config(), "seed": layer_seed(seed, layer.name)}
            )
            layer.kernel.assign(drawn(layer.kernel.shape, layer.kernel.dtype))
    return head


def maps_by_level(encoder: tf.keras.Model) -> Maps:
    """Level -> last map of that stride in an encoder; a level is the logarithm of the stride."""
    stride = 1
    for layer in encoder.layers:
        if layer.name in ("conv1", "pool1"):
            stride *= layer.strides[0]
    first = stride.bit_length() - 1
    outputs = stage_outputs(encoder)
    return {str(first + n): output for n, output in enumerate(outputs.values())}


def _norm_options() -> dict[str, object]:
    """What Model Garden hands to its batch normalization; ours has these values of its own."""
    return {"use_sync_bn": False, "norm_momentum": MOMENTUM, "norm_epsilon": EPSILON}


def _seen(maps: Maps) -> Maps:
    """The levels on which regions are cut out: all but the coarsest."""
    return {name: maps[name] for name in sorted(maps)[:-1]}


def _leading(x: tf.Tensor) -> list[tf.Tensor]:
    shape = tf.shape(x)
    return [shape[0], shape[1]]
