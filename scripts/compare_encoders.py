"""Compares the features of two encoders, each a run or an export, on the same 64 images.

python scripts/compare_encoders.py RUN_OR_EXPORT RUN_OR_EXPORT [LARGEST_DIFFERENCE]

Prints the largest difference relative to the largest feature; exit code 1 if it is above the limit.
"""

import sys
from pathlib import Path

import numpy as np
import tensorflow as tf

import ssl_tf
from ssl_tf.networks.normalization import normalize_images

LIMIT = 1e-3


def features(directory: str, images: tf.Tensor) -> np.ndarray:
    """Features of normalized images, float32 [N, D]."""
    if (Path(directory) / "saved_model.pb").exists():
        loaded = tf.saved_model.load(directory)
        return loaded.signatures["images"](images=images)["features"].numpy()
    return ssl_tf.load_encoder(directory)(images, training=False).numpy()


def main(one: str, other: str, limit: str = str(LIMIT)) -> None:
    """Prints the difference and compares it with the limit."""
    source = ssl_tf.open_source(dataset="scenes", split="test", scenes=256, scene_size=32)
    pixels = [tf.io.decode_image(record["image"]) for record in source.sequence()]
    images = normalize_images(tf.stack(pixels))
    ours, theirs = features(one, images), features(other, images)
    difference = float(np.abs(ours - theirs).max() / np.abs(ours).max())
    print(f"TensorFlow {tf.__version__}: {one} and {other} differ by {difference:.2g}")
    sys.exit(not difference <= float(limit))


if __name__ == "__main__":
    main(*sys.argv[1:])
