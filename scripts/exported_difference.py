#!/usr/bin/env python
"""Prints tables of docs/using_encoders.md and docs/encoders.md: largest differences of exports.

python scripts/exported_difference.py [--format=keras,onnx,tflite] [DEPTH,WIDTH,STEM,SIZE ...]

Weights, gammas and moving statistics are random. Each export compares itself at 64 and 97 pixels,
with the small stem at 32 and 41, TensorFlow Lite at SIZE. torch's libraries compare where they are
installed.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
import tensorflow as tf

from ssl_tf.exporters.exported import Exported
from ssl_tf.exporters.formats import FORMATS
from ssl_tf.networks.encoder import build_encoder
from ssl_tf.settings import FormatSettings, ModelSettings

ENCODERS = (
    "50,1,imagenet,224", "50,2,imagenet,224", "101,1,imagenet,224", "50,1,small,32",
    "18,1,imagenet,96", "18,0.25,small,48",
)  # fmt: skip


def random_encoder(model):
    """An encoder whose blocks do not start at 0."""
    encoder = build_encoder(model, 0)
    random = np.random.default_rng(0)
    for layer in encoder.layers:
        if isinstance(layer, tf.keras.layers.BatchNormalization):
            shape = layer.gamma.shape
            gamma, variance = random.uniform(0.5, 1.5, shape), random.uniform(0.5, 1.5, shape)
            beta, mean = random.normal(0, 0.3, shape), random.normal(0, 0.3, shape)
            layer.set_weights([gamma, beta, mean, variance])
    return encoder


def main(arguments):
    formats = ("keras", "onnx", "tflite")
    if arguments[:1] and arguments[0].startswith("--format="):
        formats = tuple(arguments.pop(0).removeprefix("--format=").split(","))
    print(f"| depth, width, stem, size | {' | '.join(formats)} |")
    print(f"|---{'|---' * len(formats)}|", flush=True)
    for text in arguments or ENCODERS:
        depth, width, stem, size = text.split(",")
        model = ModelSettings(depth=int(depth), width=float(width), stem=stem)
        settings = FormatSettings(format=formats, onnx_maps="onnx" in formats)
        exported = Exported(random_encoder(model), model, int(size), settings)
        cells = []
        for name in formats:
            if FORMATS[name].refusal(model):
                cells.append("refused")
                continue
            with tempfile.TemporaryDirectory() as directory:
                entries = FORMATS[name].write(exported, Path(directory)).entries[name]
                largest = entries.get("float32", entries)["largest_difference"]
                cells.append("not compared" if largest is None else f"{largest:.1e}")
        print(f"| {text.replace(',', ', ')} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
