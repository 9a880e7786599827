"""A detector as a SavedModel that needs nothing but TensorFlow."""

from pathlib import Path

import numpy as np
import tensorflow as tf

from ssl_tf.data.annotations.annotated_source import AnnotatedSource
from ssl_tf.detection.canvas import place, place_image
from ssl_tf.detection.detector import Detector
from ssl_tf.errors import UserError
from ssl_tf.exporters.checked_model import Signatures, save_checked
from ssl_tf.exporters.encoded_images import readable_image
from ssl_tf.exporters.equality import TOLERANCE


class ExportedDetector(tf.Module):
    """The signature of an exported detector.

    `encoded`: string [N], JPEG, PNG, BMP or GIF bytes ->
        "count": int32 [N], the objects found in each image, the first of D.
        "boxes": float32 [N, D, 4], ymin, xmin, ymax, xmax in pixels of the image.
        "classes": int64 [N, D], from 0, in the order of detector.json.
        "scores": float32 [N, D] in [0, 1], falling.
        "masks": float32 [N, D, S, S] in [0, 1], of the inside of each box; only of Mask R-CNN.
        "readable": bool [N]; of an image that training would skip the count is 0.
    """

    def __init__(self, detector: Detector):
        super().__init__(name="detector")
        # Its variables alone are saved: Keras would trace each layer once more.
        self._variables = list(detector.variables)
        self._detect, self._canvas = detector.detect, detector.head.canvas

    @tf.function(
        input_signature=[tf.TensorSpec([None], tf.string, name="encoded")], autograph=False
    )
    def encoded(self, encoded: tf.Tensor) -> dict[str, tf.Tensor]:
        canvas = self._canvas

        def fitted(image: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            size = tf.shape(image)[:2]
            placement = place(size, canvas)
            return place_image(image, placement, canvas), placement.shape, size

        def read(content: tf.Tensor) -> tuple[tf.Tensor, ...]:
            image, readable = readable_image(content)
            return *fitted(image), readable

        spec = tf.TensorSpec
        images, shapes, sizes, readable = tf.map_fn(
            read,
            encoded,
            fn_output_signature=(
                spec([canvas, canvas, 3], tf.uint8),
                spec([2], tf.int32),
                spec([2], tf.int32),
                spec([], tf.bool),
            ),
        )
        shapes = tf.cast(shapes, tf.float32)
        found = self._detect(images, shapes)
        scale = tf.tile(tf.cast(sizes, tf.float32) / shapes, [1, 2])
        outputs = {
            "count": tf.where(readable, found.count, 0),
            "boxes": found.boxes * scale[:, tf.newaxis],
            "classes": tf.cast(found.classes, tf.int64) - 1,
            "scores": found.scores,
            "readable": readable,
        }
        if found.masks is not None:
            outputs["masks"] = found.masks
        return outputs


def export_detector(
    detector: Detector, source: AnnotatedSource, directory: Path, origin: str
) -> None:
    """Writes a SavedModel with a detector.json, loads it and compares what it finds.

    Args:
        detector: of one device.
        source: of the images that it learned from; names the classes.
        directory: of the SavedModel; it is complete or absent.
        origin: of the network, in words.

    Raises:
        UserError: what was written finds other objects than the detector.
    """
    module = ExportedDetector(detector)
    signatures = {
        "encoded": "string [N], encoded images, which EXIF does not turn; gives count, boxes "
        "(ymin, xmin, ymax, xmax in pixels), classes, scores, masks (of the inside of each "
        "box) and readable"
    }
    facts = {
        "origin": origin,
        "classes": list(source.class_names) or source.num_classes,
        "category_ids": list(source.category_ids),
        "canvas": detector.head.canvas,
    }

    def check(loaded: Signatures) -> None:
        noise = np.random.default_rng(0).integers(0, 256, [64, 96, 3], np.uint8)
        encoded = tf.stack([tf.io.encode_png(noise), tf.constant(b"no image")])
        found, expected = (
            {name: value.numpy() for name, value in outputs.items()}
            for outputs in (loaded["encoded"](encoded=encoded), module.encoded(encoded))
        )
        difference = max(
            float(np.abs(found[name] - expected[name]).max(initial=0)) / scale
            for name, scale in (("boxes", detector.head.canvas), ("scores", 1.0))
        )
        same = all(np.array_equal(found[name], expected[name]) for name in ("count", "readable"))
        if not (same and difference <= TOLERANCE):
            raise UserError(
                f"the SavedModel finds other objects than its detector ({difference:.2g}); this is "
                "a defect, nothing is exported"
            )

    save_checked(module, signatures, directory, facts, check)
