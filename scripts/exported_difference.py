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

# The encoder is that of the tests, which lie beside this folder.
sys.path.insert(0, str(Path(__file__).parents[1]))

from ssl_tf.exporters.exported import Exported
from ssl_tf.exporters.formats import FORMATS
from ssl_tf.settings import FormatSettings, ModelSettings
from tests.exporters.random_encoder import random_encoder

ENCODERS = (
    "50,1,imagenet,224", "50,2,imagenet,224", "101,1,imagenet,224", "50,1,small,32",
    "18,1,imagenet,96", "18,0.25,small,48",
)  # fmt: skip


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
        exported = Exported(random_encoder(model, 0, 0), model, int(size), settings)
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
