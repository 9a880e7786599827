"""The table of docs/discovery.md: every discoverer and baseline on scenes none was tuned on.

`python scripts/discovery_table.py --encoder=RUN --encoder_cifar10=RUN --data_dir=DATA --output=DIR`

Settings were chosen on scenes of the training split; these are of the test split, with other
seeds and other images of objects. What is complete in DIR is not done again.
"""

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path

CONFIGS = Path(__file__).parents[1] / "configs"
KINDS = {"built-in scenes": "", "scenes of CIFAR-10 objects": "cifar10"}
_LOD = ["--long_side=192", "--square_side=48"]
# The one threshold that was best on training scenes of both kinds.
_TOKENCUT = [
    "--cut_thresholds=0.8",
    "--object_rank=found",
    "--contrast_norm=whiten",
    "--surround=2.5",
    "--largest_area=1",
]
_SMALL = "--largest_area=0.25"
# Row -> flagfile, name in metrics.json, further flags.
ROWS = {
    "contrast": ("contrast", "contrast", []),
    "contrast, `--scales=1,1.5`": ("contrast", "contrast", ["--scales=1,1.5"]),
    "contrast, `--output_stride=8`": ("contrast", "contrast", ["--output_stride=8"]),
    "contrast, `--largest_area=1`": ("contrast", "contrast", ["--largest_area=1"]),
    "normalized cuts": ("ncut", "ncut", []),
    "normalized cuts as TokenCut": ("ncut", "ncut", _TOKENCUT),
    "LOST": ("lost", "lost", []),
    "LOD": ("lod_scaled", "lod", _LOD),
    "LOD, `--largest_area=0.25`": ("lod_scaled", "lod", [*_LOD, _SMALL]),
    "LOD and contrast": ("lod_contrast", "lod", []),
    "random proposals": ("contrast", "random proposals", []),
    "most salient box": ("contrast", "most salient box", []),
    "centre box, half the sides": ("contrast", "centre box, half the sides", []),
    "centre box, half the area": ("contrast", "centre box, half the area", []),
    "all proposals (bound)": ("contrast", "all proposals", []),
}


def measured(flags: argparse.Namespace, kind: str, images: int, row: str) -> dict[str, float]:
    """The metrics of a row; finds the boxes, or sees that they are there and of this encoder."""
    flagfile, name, further = ROWS[row]
    encoder = flags.encoder_cifar10 if kind else flags.encoder
    label = "_".join([kind or "shapes", str(images), flagfile, *(f[2:] for f in further)])
    output = flags.output / label
    command = [
        *(sys.executable, "-m", "ssl_tf.discover", f"--flagfile={CONFIGS / flagfile}.flags"),
        *("--dataset=scenes", "--split=test", "--scene_size=240"),
        # The test split has a quarter of them.
        *(f"--scenes={4 * images}", "--boxes=ground_truth"),
        *(f"--encoder={encoder}", f"--output={output}", *further),
    ]
    if kind:
        command += [f"--scene_objects={kind}", f"--data_dir={flags.data_dir}"]
    if further[-1:] == [_SMALL]:
        reuse(output.with_name(label.removesuffix("_" + _SMALL[2:])), output)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return json.loads((output / "metrics.json").read_text())[name]


def reuse(base: Path, output: Path) -> None:
    """Copies the stages of a discovery that --largest_area does not change, if it is there."""
    if (base / "metrics.json").exists() and not output.exists():
        made_later = shutil.ignore_patterns("boxes*", "proposals", "metrics.json", "costs.json")
        shutil.copytree(base, output, ignore=made_later)
        flags = (base / "flags.txt").read_text().replace(str(base), str(output))
        (output / "flags.txt").write_text(flags.replace("--largest_area=1.0", _SMALL))


def cell(row: dict[str, float]) -> str:
    """CorLoc / boxes detected / odAP50 in percent, with standard errors of the first two."""
    corloc, detected, odap = (f"{100 * row[n]:.1f}" for n in ("corloc", "detection_rate", "odap50"))
    errors = (f"{100 * row[n]:.1f}" for n in ("corloc_error", "detection_error"))
    return f"{corloc} ± {next(errors)} / {detected} ± {next(errors)} / {odap}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--encoder", required=True, help="run for the built-in scenes")
    parser.add_argument("--encoder_cifar10", required=True, help="run for those of CIFAR-10")
    parser.add_argument("--data_dir", default="")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--images", type=int, nargs="+", default=[240, 1000])
    parser.add_argument("--rows", nargs="+", default=list(ROWS), choices=list(ROWS))
    flags = parser.parse_args()
    columns = [(images, title) for images in flags.images for title in KINDS]
    print("| " + " | ".join(["", *(f"{n} {title}" for n, title in columns)]) + " |")
    print("|---" * (1 + len(columns)) + "|")
    for row in flags.rows:
        cells = [cell(measured(flags, KINDS[title], n, row)) for n, title in columns]
        print("| " + " | ".join([row, *cells]) + " |", flush=True)


if __name__ == "__main__":
    main()
