"""Converts an export for Detectron2 to the file that Detectron2 reads; needs torch, not TensorFlow.

    python scripts/convert_to_detectron2.py DIR

DIR is what `python -m ssl_tf.export --format=detectron2 --output=DIR` wrote; DIR/detectron2.pth is
made, which DIR/detectron2.yaml names for a program that runs in DIR.
"""

import sys
from pathlib import Path

import torch
from safetensors.torch import load_file

directory = Path(sys.argv[1])
state = load_file(directory / "detectron2.safetensors")
torch.save({"model": state}, directory / "detectron2.pth")
path = directory.resolve() / "detectron2.pth"
print(f"{path}: {len(state)} tensors")
print(f'elsewhere than in {directory}: cfg.MODEL.WEIGHTS = "{path}?matching_heuristics=True"')
