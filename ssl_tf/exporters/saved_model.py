"""The encoder as a SavedModel that needs nothing but TensorFlow."""

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from ssl_tf.data.orientation import MARK, TAG
from ssl_tf.errors import UserError
from ssl_tf.exporters.encoded_images import readable_crops
from ssl_tf.exporters.equality import TOLERANCE, Outputs, compare, largest_difference
from ssl_tf.exporters.exported import Exported, Written
from ssl_tf.networks.normalization import normalize_images
from ssl_tf.networks.resnet import stage_outputs
from ssl_tf.views.evaluation_crop import evaluation_crop


class ExportedEncoder(tf.Module):
    """The signatures of an exported encoder.

    `images`: float32 [N, H, W, 3] of any size, normalized by MEAN and STD -> {"features": [N, D]}.
    `encoded`: string [N], JPEG, PNG, BMP or GIF bytes -> the same as `images`, and "readable", bool
    [N]. The images are decoded as in training, turned upright if that was done there, resized,
    cropped at the centre and normalized as in evaluation. What training would skip is not readable,
    and its features are 0.
    `maps`: float32 [N, H, W, 3] as in `images` -> the map after each stage, {"C2": [N, h, w, C],
    ...}.
    """

    def __init__(self, encoder: tf.keras.Model, image_size: int, orient: bool):
        super().__init__(name="encoder")
        self.encoder = encoder
        self._image_size = image_size
        self._orient = orient
        self._stages = tf.keras.Model(encoder.input, stage_outputs(encoder))

    @tf.function(
        input_signature=[tf.TensorSpec([None, None, None, 3], tf.float32, name="images")],
        autograph=False,
    )
    def images(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"features": _also_of_none(self.encoder, images)}

    @tf.function(
        input_signature=[tf.TensorSpec([None, None, None, 3], tf.float32, name="images")],
        autograph=False,
    )
    def maps(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        return _also_of_none(self._stages, images)

    @tf.function(
        input_signature=[tf.TensorSpec([None], tf.string, name="encoded")], autograph=False
    )
    def encoded(self, encoded: tf.Tensor) -> dict[str, tf.Tensor]:
        images, readable = readable_crops(encoded, self._image_size, self._orient)
        features = self.images(normalize_images(images))["features"]
        return {
            "features": tf.where(readable[:, tf.newaxis], features, 0),
            "readable": readable,
        }


def _also_of_none(model: tf.keras.Model, images: tf.Tensor) -> Any:
    """What a model computes of images, which may be none.

    TensorFlow's convolution of no image fails on a CPU, so one is added and taken off again.
    """
    count = tf.shape(images)[0]
    filled = tf.pad(images, [[0, tf.cast(count == 0, tf.int32)], [0, 0], [0, 0], [0, 0]])
    return tf.nest.map_structure(lambda value: value[:count], model(filled, training=False))


def write_saved_model(exported: Exported, directory: Path) -> Written:
    """Writes a SavedModel, loads it and checks its features.

    Args:
        exported: the encoder.
        directory: of the SavedModel.

    Raises:
        UserError: the features differ by more than rounding.
    """
    module = ExportedEncoder(exported.encoder, exported.image_size, exported.orient)
    tf.saved_model.save(
        module,
        str(directory),
        signatures={
            "serving_default": module.images,
            "images": module.images,
            "encoded": module.encoded,
            "maps": module.maps,
        },
    )
    loaded = tf.saved_model.load(str(directory)).signatures

    def run(images: np.ndarray) -> Outputs:
        outputs = {**loaded["images"](images=images), **loaded["maps"](images=images)}
        return {name: value.numpy() for name, value in outputs.items()}

    difference = compare(exported, run, "the SavedModel")
    _check_encoded(loaded, exported.image_size, exported.orient)
    upright = ", turned upright as EXIF says" if exported.orient else ""
    signatures = {
        "images": "float32 [N, H, W, 3], (pixel / 255 - mean) / std",
        "encoded": f"string [N], encoded images{upright}; gives also readable, bool [N]: the "
        "features of what training would skip are 0",
        "maps": "as images; gives the map after each stage",
    }
    report = f"signatures {', '.join(signatures)}: read back by TensorFlow, {difference}"
    return Written({"signatures": signatures}, (report,))


def _check_encoded(loaded: dict[str, Callable], image_size: int, orient: bool) -> None:
    """Compares the signature `encoded` with `images` of the crops of evaluation.

    No image is square, one is larger than the crop and one smaller. One more lies on its side, if
    images are turned upright.

    Raises:
        UserError: they differ by more than rounding.
    """
    random, size = np.random.default_rng(0), image_size
    shapes = (size * 3 // 2, size * 2, 3), (size // 2 + 1, size * 3 // 4 + 1, 3)
    decoded = [random.integers(0, 256, shape, np.uint8) for shape in shapes]
    files = [tf.io.encode_png(image).numpy() for image in decoded]
    if orient:
        files.append(_on_its_side(decoded[0]))
        decoded.append(np.rot90(tf.io.decode_jpeg(files[-1]), -1))
    crops = tf.stack([evaluation_crop(tf.constant(image), size) for image in decoded])
    expected = loaded["images"](images=normalize_images(crops))["features"].numpy()
    got = loaded["encoded"](encoded=tf.constant(files))["features"].numpy()
    share = largest_difference(got, expected)
    if not share <= TOLERANCE:
        raise UserError(
            f"features of the SavedModel's encoded images differ by {share:.2g} of the largest "
            "value; this is a defect, nothing is exported"
        )


def _on_its_side(pixels: np.ndarray) -> bytes:
    """A JPEG whose EXIF says that it is to be turned by a quarter, clockwise."""
    jpeg = tf.io.encode_jpeg(pixels).numpy()
    exif = MARK + struct.pack(">2sHIHHHIHHI", b"MM", 42, 8, 1, TAG, 3, 1, 6, 0, 0)
    return jpeg[:2] + struct.pack(">2sH", b"\xff\xe1", 2 + len(exif)) + exif + jpeg[2:]
