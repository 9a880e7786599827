"""Exports random encoders in all formats, and prints how far each library's outputs are from ours.

    python scripts/export_table.py [FORMAT ...]

The table of docs/encoders.md. Gammas, betas and statistics are random, so that no identity hides a
mistake. A format whose packages are not installed, or that cannot express an encoder, has no row.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
import tensorflow as tf

from ssl_tf.errors import UserError
from ssl_tf.exporters.exported import Exported
from ssl_tf.exporters.formats import FORMATS, export_encoder
from ssl_tf.exporters.packages import check_installed
from ssl_tf.networks.encoder import build_encoder
from ssl_tf.settings import FormatSettings, ModelSettings

MODELS = (
    ModelSettings(depth=18, width=0.25),
    ModelSettings(depth=18, stem="small"),
    ModelSettings(depth=34),
    ModelSettings(depth=50),
    ModelSettings(depth=50, width=2),
    ModelSettings(depth=50, stem="small"),
    ModelSettings(depth=50, stride_in_1x1=True),
    ModelSettings(depth=101),
    ModelSettings(depth=152),
    ModelSettings(depth=200, width=0.5),
)
RANGES = {"gamma": (0.3, 1.0), "beta": (-0.2, 0.2), "mean": (-0.2, 0.2), "variance": (0.5, 2.0)}


def randomize(encoder: tf.keras.Model) -> None:
    """Draws what a new network has as zeros and ones."""
    random = np.random.default_rng(0)
    for variable in encoder.weights:
        kind = variable.name.partition(":")[0].rpartition("/")[2].removeprefix("moving_")
        if kind in RANGES:
            variable.assign(random.uniform(*RANGES[kind], variable.shape))


def main(formats: list[str]) -> None:
    """Prints the table, a row as soon as it is known."""
    print("| format | depth | width | stem | outputs |\n| --- | --- | --- | --- | --- |")
    for model in MODELS:
        encoder = build_encoder(model, 0)
        randomize(encoder)
        for name in formats:
            stride = ", stride in 1x1" if model.stride_in_1x1 else ""
            if FORMATS[name].refusal(model):
                continue
            exported = Exported(encoder, model, 32, FormatSettings(format=(name,)))
            with tempfile.TemporaryDirectory() as directory:
                (report,) = export_encoder(exported, Path(directory) / "out", {}).values()
            told = report[0].partition(": ")[2] or report[0]
            cells = (name, f"{model.depth}{stride}", f"{model.width:g}", model.stem, told)
            print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    wanted = sys.argv[1:] or [*FORMATS]
    for name in wanted:
        try:
            check_installed([name])
        except UserError as error:
            print(f"<!-- {error} -->")
            wanted = [other for other in wanted if other != name]
    main(wanted)
