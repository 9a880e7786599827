"""The encoder as files of TensorFlow Lite: float32, float16 and int8."""

from pathlib import Path

import numpy as np
import tensorflow as tf

from ssl_tf.data.decoding import decode
from ssl_tf.errors import UserError
from ssl_tf.exporters.equality import TOLERANCE, largest_difference
from ssl_tf.exporters.exported import Exported, Written
from ssl_tf.exporters.keras_file import plain_layers
from ssl_tf.networks.normalization import normalize_images
from ssl_tf.quiet import no_error_output
from ssl_tf.views.evaluation_crop import evaluation_crop

# Images that are passed through a written file, for the figures of the report; of fewer than these
# and those of the calibration, half at least.
_CHECKED_IMAGES = 16
# Largest difference of the features from the encoder's, and smallest cosine with them. float16
# rounds the weights; what int8 costs is the user's to judge.
_LARGEST_SHARE = {"float32": TOLERANCE, "float16": np.inf, "int8": np.inf}
_SMALLEST_COSINE = {"float32": 0.999, "float16": 0.999, "int8": -1.0}


def write_tflite_files(exported: Exported, directory: Path) -> Written:
    """Writes `encoder_TYPE.tflite` of every type, runs them and compares their features.

    Args:
        exported: the encoder, and the images of which some calibrate int8 and others are passed
            through all types; without images it is random pixels.
        directory: of the files.

    Raises:
        UserError: the features of float32 differ by more than rounding, or those of float16 by
            more than its rounding of weights, or fewer than two images to calibrate and check on
            can be read.
    """
    asked = exported.settings.calibration_images
    calibrating, images = _random(exported)
    if exported.images is not None:
        calibrating, images = _read_images(exported, asked)
    expected = np.concatenate([exported.encoder(x, training=False).numpy() for x in images])
    entries, report = {}, []
    for kind in exported.settings.tflite_types:
        path = directory / f"encoder_{kind}.tflite"
        path.write_bytes(convert(exported, kind, calibrating))
        got = run_tflite(path, images)
        share = largest_difference(got, expected)
        cosines = _cosines(expected, got)
        smallest, mean = float(cosines.min()), float(cosines.mean())
        if not (share <= _LARGEST_SHARE[kind] and smallest >= _SMALLEST_COSINE[kind]):
            raise UserError(
                f"features of {path.name} differ from the encoder's by {share:.2g} of the largest "
                f"value, their cosine is {smallest:.4f}; this is a defect, nothing is exported"
            )
        entries[kind] = {
            "file": path.name,
            "largest_difference": share,
            "mean_cosine": mean,
            "smallest_cosine": smallest,
        }
        calibrated = ""
        if kind == "int8":
            count = len(calibrating)
            entries[kind]["calibration_images"] = count
            fewer = (
                f" in the place of {asked}, others are kept for the check" if count < asked else ""
            )
            calibrated = f"calibrated on {count} images{fewer}; "
        report.append(
            f"{path.name}, {path.stat().st_size / 2**20:.1f} MiB: {calibrated}run by TensorFlow "
            f"Lite on {len(images)} images, cosine of the features {mean:.6f}, "
            f"smallest {smallest:.6f}, within {share:.1g} of the largest value"
        )
    size = exported.image_size
    inputs = f"images, float32 [1, {size}, {size}, 3], (pixel / 255 - mean) / std"
    facts = {"input": inputs, "output": "features", "checked_images": len(images)}
    return Written({"tflite": {**facts, **entries}}, tuple(report))


def convert(exported: Exported, kind: str, calibrating: list[np.ndarray]) -> bytes:
    """The content of a TFLite file with one signature, from `images` to `features`.

    Inputs and outputs are float32 in all types, and one image of a fixed size, as accelerators of
    phones want it; `Interpreter.resize_tensor_input` changes the number of images.

    Args:
        exported: the encoder.
        kind: "float32"; "float16", of the weights alone; "int8", of weights and activations.
        calibrating: the images that give int8 its ranges, each float32 [1, S, S, 3].
    """
    size = exported.image_size
    signature = tf.TensorSpec([1, size, size, 3], tf.float32, name="images")

    # Our own convolution makes a matrix of its kernel on a small map, which the file would store.
    encoder = plain_layers(exported.encoder)

    @tf.function(input_signature=[signature], autograph=False)
    def encode(images: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"features": encoder(images, training=False)}

    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [encode.get_concrete_function()], encoder
    )
    if kind == "float16":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_types = [tf.float16]
    if kind == "int8":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([image] for image in calibrating)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    with no_error_output():  # statistics, whatever the level of logs
        return converter.convert()


def run_tflite(path: Path, images: list[np.ndarray]) -> np.ndarray:
    """The features [N, D] of images, each float32 [1, S, S, 3]."""
    run = tf.lite.Interpreter(str(path)).get_signature_runner()
    return np.concatenate([run(images=image)["features"] for image in images])


def _read_images(exported: Exported, asked: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Images to calibrate int8 on and others to check it on, normalized, float32 [1, S, S, 3].

    They are drawn from all images: the first of a folder are of its first class alone.

    Args:
        exported: names the images.
        asked: images to calibrate on; of a small source fewer, so that half are left to check.

    Raises:
        UserError: fewer than two images can be read, too many cannot, or the stored data is
            damaged.
    """
    source, size = exported.images, exported.image_size

    def crop(example: dict[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        example = decode(example, source.unreadable)
        return evaluation_crop(example["image"], size), example["readable"]

    examples = (
        source.stream(0, 0, source.size)
        .map(crop, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        .filter(lambda image, readable: readable)
        .take(asked + _CHECKED_IMAGES)
    )
    images = [normalize_images(image[np.newaxis]).numpy() for image, _ in source.read(examples)]
    if len(images) < 2:
        count = "one image" if images else "no image"
        raise UserError(
            f"{source.name} has {count} that can be read, and int8 is not checked on what it is "
            "calibrated on; give more images"
        )
    count = min(asked, max(len(images) - _CHECKED_IMAGES, len(images) // 2))
    return images[:count], images[count : count + _CHECKED_IMAGES]


def _random(exported: Exported) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Nothing to calibrate on, and random pixels to check the other types on."""
    size, random = exported.image_size, np.random.default_rng(0)
    return [], [random.normal(size=[1, size, size, 3]).astype(np.float32) for _ in range(4)]


def _cosines(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Of the rows of two arrays [N, D]."""
    lengths = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    return (first * second).sum(axis=1) / np.maximum(lengths, np.finfo(np.float32).tiny)
