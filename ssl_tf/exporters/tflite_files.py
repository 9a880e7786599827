"""The encoder as files of TensorFlow Lite: float32, float16 and int8."""

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf

from ssl_tf.data.batches import evaluation_batches
from ssl_tf.errors import UserError
from ssl_tf.exporters.equality import TOLERANCE
from ssl_tf.exporters.exported import Exported, Written
from ssl_tf.exporters.keras_file import plain_layers
from ssl_tf.networks.normalization import normalize_images

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
        exported: the encoder, and the images of which the first calibrate int8 and the next are
            passed through all types; without images it is random pixels.
        directory: of the files.

    Raises:
        UserError: the features of float32 differ by more than rounding, or those of float16 by
            more than its rounding of weights, or fewer than two images to calibrate and check on
            can be read.
    """
    calibration_images = 0 if exported.images is None else _calibration_images(exported)
    images = list(_checked_images(exported, calibration_images))
    expected = np.concatenate([exported.encoder(x, training=False).numpy() for x in images])
    entries, report = {}, []
    for kind in exported.settings.tflite_types:
        path = directory / f"encoder_{kind}.tflite"
        path.write_bytes(convert(exported, kind, calibration_images))
        got = run_tflite(path, images)
        share = float(np.abs(got - expected).max() / np.abs(expected).max())
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
            count, asked = calibration_images, exported.settings.calibration_images
            entries[kind]["calibration_images"] = count
            fewer = f" in the place of {asked}, the data has no more" if count < asked else ""
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


def convert(exported: Exported, kind: str, calibration_images: int) -> bytes:
    """The content of a TFLite file with one signature, from `images` to `features`.

    Inputs and outputs are float32 in all types, and one image of a fixed size, as accelerators of
    phones want it; `Interpreter.resize_tensor_input` changes the number of images.

    Args:
        exported: the encoder, and the images to calibrate int8 on.
        kind: "float32"; "float16", of the weights alone; "int8", of weights and activations.
        calibration_images: the first images that can be read, as many.
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
        converter.representative_dataset = lambda: (
            [x] for x in _images(exported, 0, calibration_images)
        )
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    with _silence():
        return converter.convert()


def run_tflite(path: Path, images: list[np.ndarray]) -> np.ndarray:
    """The features [N, D] of images, each float32 [1, S, S, 3]."""
    run = tf.lite.Interpreter(str(path)).get_signature_runner()
    return np.concatenate([run(images=image)["features"] for image in images])


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Nothing reaches stderr: the converter prints statistics there, whatever the level of logs."""
    sys.stderr.flush()
    stderr = os.dup(2)
    try:
        with open(os.devnull, "w") as nothing:
            os.dup2(nothing.fileno(), 2)
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)


def _calibration_images(exported: Exported) -> int:
    """The number of images that int8 is calibrated on, the first ones; the next are checked.

    Raises:
        UserError: fewer than two images can be read.
    """
    asked = exported.settings.calibration_images
    readable = sum(1 for _ in _images(exported, 0, asked + _CHECKED_IMAGES))
    if readable < 2:
        count = "one image" if readable else "no image"
        raise UserError(
            f"{exported.images.name} has {count} that can be read, and int8 is not checked on what "
            "it is calibrated on; give more images"
        )
    return min(asked, max(readable - _CHECKED_IMAGES, readable // 2))


def _checked_images(exported: Exported, calibration_images: int) -> Iterator[np.ndarray]:
    """Images that int8 is not calibrated on."""
    if exported.images is not None:
        return _images(exported, calibration_images, _CHECKED_IMAGES)
    size, random = exported.image_size, np.random.default_rng(0)
    return (random.normal(size=[1, size, size, 3]).astype(np.float32) for _ in range(4))


def _images(exported: Exported, first: int, count: int) -> Iterator[np.ndarray]:
    """The readable images of the source in its order, each normalized, float32 [1, S, S, 3]."""
    batches = evaluation_batches(exported.images, exported.image_size, 1)
    for batch in batches.skip(first).take(count):
        yield normalize_images(batch["image"]).numpy()


def _cosines(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Of the rows of two arrays [N, D]."""
    lengths = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    return (first * second).sum(axis=1) / np.maximum(lengths, np.finfo(np.float32).tiny)
