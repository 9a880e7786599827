"""The layers of detectors in one stage: RetinaNet."""

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
from ssl_tf.settings import DetectorSettings

# Candidates of a level that are decoded.
_CANDIDATES = 1000


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
            **norm_options(),
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
        rows = tf.image.non_max_suppression(apart, scores, count, NMS_THRESHOLD, SCORE_THRESHOLD)
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
