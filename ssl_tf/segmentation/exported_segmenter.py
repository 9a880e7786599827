"""A segmenter as a SavedModel that needs nothing but TensorFlow."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from ssl_tf.errors import UserError
from ssl_tf.exporters.checked_model import Signatures, save_checked
from ssl_tf.exporters.encoded_images import readable_image
from ssl_tf.exporters.equality import TOLERANCE
from ssl_tf.segmentation.segmenter import Segmenter


class ExportedSegmenter(tf.Module):
    """The signatures of an exported segmenter.

    `images`: uint8 [N, H, W, 3] -> "label_map" int32 [N, H, W], "scores" float32 [N, H, W, C], the
    probabilities of the classes, by the scales and mirror images of the test.
    `encoded`: string scalar, the bytes of a JPEG, PNG, BMP or GIF -> the same without N, of the
    size of the image, and "readable", bool. What training would skip is black, of one pixel.
    """

    def __init__(self, segmenter: Segmenter):
        super().__init__(name="segmenter")
        # What holds the variables; the function alone is no part that TensorFlow saves.
        self.networks = [segmenter.encoder, segmenter.head]
        self._probabilities = segmenter.test_probabilities

    @tf.function(
        input_signature=[tf.TensorSpec([None, None, None, 3], tf.uint8, name="images")],
        autograph=False,
    )
    def images(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        scores = self._probabilities(images)
        return {"label_map": tf.argmax(scores, -1, output_type=tf.int32), "scores": scores}

    @tf.function(input_signature=[tf.TensorSpec([], tf.string, name="encoded")], autograph=False)
    def encoded(self, encoded: tf.Tensor) -> dict[str, tf.Tensor]:
        image, readable = readable_image(encoded)
        found = self.images(image[tf.newaxis])
        return {**{name: value[0] for name, value in found.items()}, "readable": readable}


def export_segmenter(
    segmenter: Segmenter,
    class_names: tuple[str, ...],
    category_ids: Sequence[int | str | None],
    directory: Path,
    origin: str,
) -> None:
    """Writes a SavedModel with a segmenter.json, loads it and checks its scores.

    Args:
        segmenter: of one device.
        class_names: names of its labels, or none.
        category_ids: of its labels in the annotations; None: they have none, as of a background.
        directory: of the SavedModel; it is complete or absent.
        origin: of the network, in words.

    Raises:
        UserError: the scores of what was written differ by more than rounding.
    """
    signatures = {
        "encoded": "string scalar, an encoded image, which EXIF does not turn; gives label_map "
        "int32 [H, W], scores float32 [H, W, C] and readable, bool",
        "images": "uint8 [N, H, W, 3]; gives label_map and scores of each",
    }
    facts = {
        "origin": origin,
        "classes": list(class_names) or segmenter.num_classes,
        "category_ids": list(category_ids),
        "test_scales": list(segmenter.test_scales),
        "test_flip": segmenter.test_flip,
    }
    save_checked(
        ExportedSegmenter(segmenter),
        signatures,
        directory,
        facts,
        lambda loaded: _check(loaded, segmenter),
    )


def _check(loaded: Signatures, segmenter: Segmenter) -> None:
    """Compares the scores of a SavedModel with those of the segmenter.

    Raises:
        UserError: they differ by more than rounding.
    """
    pixels = np.random.default_rng(0).integers(0, 256, [1, 45, 64, 3], np.uint8)
    expected = segmenter.test_probabilities(tf.constant(pixels)).numpy()
    encoded = tf.io.encode_png(pixels[0])
    found = {
        "images": loaded["images"](images=pixels)["scores"].numpy(),
        "encoded": loaded["encoded"](encoded=encoded)["scores"].numpy()[np.newaxis],
    }
    for name, scores in found.items():
        difference = float(np.abs(scores - expected).max())
        if not difference <= TOLERANCE:
            raise UserError(
                f"scores of the SavedModel's signature {name} differ by {difference:.2g}; this is "
                "a defect, nothing is exported"
            )
