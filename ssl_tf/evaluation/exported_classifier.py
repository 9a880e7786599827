"""A fine-tuned network as a SavedModel that needs nothing but TensorFlow."""

import functools
from pathlib import Path

import numpy as np
import tensorflow as tf

from ssl_tf.data.source import Source
from ssl_tf.errors import UserError
from ssl_tf.evaluation.encoder_classifier import EncoderClassifier
from ssl_tf.exporters.checked_model import Signatures, save_checked
from ssl_tf.exporters.encoded_images import readable_crops
from ssl_tf.exporters.equality import TOLERANCE
from ssl_tf.views.evaluation_crop import evaluation_crop


class ExportedClassifier(tf.Module):
    """The signatures of an exported classifier.

    `images`: uint8 [N, S, S, 3], the crops of evaluation -> "scores" float32 [N, C], the
    probabilities of the classes; with several labels an image each has one of its own.
    `encoded`: string [N], the bytes of JPEG, PNG, BMP or GIF -> the same, and "readable", bool [N].
    The images are decoded and cropped as in the test. The scores of what training would skip are 0.
    """

    def __init__(self, model: EncoderClassifier, image_size: int, multi_label: bool, orient: bool):
        """
        Args:
            model: of one device.
            image_size: side of the crops, in pixels.
            multi_label: an image may have several labels.
            orient: turn images upright, as EXIF says.
        """
        super().__init__(name="classifier")
        # Its variables alone are saved: Keras would trace each layer once more.
        self._variables = list(model.variables)
        self._logits = functools.partial(model, training=False)
        self._probabilities = tf.sigmoid if multi_label else tf.nn.softmax
        self._size, self._orient = image_size, orient
        crops = tf.TensorSpec([None, image_size, image_size, 3], tf.uint8, name="images")
        self.images = tf.function(self._scores, input_signature=[crops], autograph=False)

    def _scores(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"scores": self._probabilities(self._logits(images))}

    @tf.function(
        input_signature=[tf.TensorSpec([None], tf.string, name="encoded")], autograph=False
    )
    def encoded(self, encoded: tf.Tensor) -> dict[str, tf.Tensor]:
        images, readable = readable_crops(encoded, self._size, self._orient)
        scores = self._scores(images)["scores"]
        return {"scores": tf.where(readable[:, tf.newaxis], scores, 0.0), "readable": readable}


def export_classifier(
    model: EncoderClassifier,
    source: Source,
    image_size: int,
    orient: bool,
    directory: Path,
    origin: str,
) -> None:
    """Writes a SavedModel with a classifier.json, loads it and checks its scores.

    Args:
        model: of one device, float32.
        source: of the images that it learned from; names the classes.
        image_size: side of the crops, in pixels.
        orient: `encoded` turns images upright, as EXIF says.
        directory: of the SavedModel; it is complete or absent.
        origin: of the network, in words.

    Raises:
        UserError: the scores of what was written differ by more than rounding.
    """
    module = ExportedClassifier(model, image_size, source.multi_label, orient)
    turned = "upright as EXIF says" if orient else "as they are stored"
    signatures = {
        "encoded": f"string [N], encoded images, {turned}; gives scores float32 [N, C], "
        "probabilities, and readable, bool [N]",
        "images": "uint8 [N, S, S, 3]; gives scores",
    }
    facts = {
        "origin": origin,
        "classes": list(source.class_names) or source.num_classes,
        "multi_label": source.multi_label,
        "image_size": image_size,
    }

    def check(loaded: Signatures) -> None:
        shape = image_size * 3 // 2, image_size * 2, 3
        pixels = tf.constant(np.random.default_rng(0).integers(0, 256, shape, np.uint8))
        crops = evaluation_crop(pixels, image_size)[tf.newaxis]
        expected = module.images(crops)["scores"].numpy()
        encoded = tf.io.encode_png(pixels)[tf.newaxis]
        found = {"images": loaded["images"](crops), "encoded": loaded["encoded"](encoded)}
        for name, outputs in found.items():
            difference = float(np.abs(outputs["scores"].numpy() - expected).max())
            if not difference <= TOLERANCE:
                raise UserError(
                    f"scores of the SavedModel's signature {name} differ by {difference:.2g}; this "
                    "is a defect, nothing is exported"
                )

    save_checked(module, signatures, directory, facts, check)
