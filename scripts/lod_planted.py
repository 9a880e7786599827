"""CorLoc on planted collections, easy and hard: `python scripts/lod_planted.py [--images=80]`.

Easy: a quarter of the regions are good, neighbours are of the same class. Hard: 6 of 80 regions
are good and half of the neighbours are wrong.
"""

import argparse
import tempfile
from pathlib import Path

from ssl_tf.discovery.planted import corloc_of_rankers, plant, planted_neighbours


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, default=80)
    parser.add_argument("--regions", type=int, default=80)
    parser.add_argument("--neighbours", type=int, default=12)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--noise", type=float, nargs="+", default=[0.1, 0.3, 0.6])
    flags = parser.parse_args()
    for name, good, wrong in (("easy", flags.regions // 4, 0.0), ("hard", 6, 0.5)):
        for noise in flags.noise:
            for norm in ("max01", "center_l2"):
                for seed in range(flags.seeds):
                    planted = plant(flags.images, flags.regions, good, noise, seed)
                    near = planted_neighbours(planted.labels, flags.neighbours, wrong, seed)
                    with tempfile.TemporaryDirectory() as directory:
                        found = corloc_of_rankers(planted, norm, near, Path(directory))
                    told = "  ".join(f"{key} {value:.2f}" for key, value in found.items())
                    print(f"{name} noise {noise} {norm:<9} seed {seed}: {told}", flush=True)


if __name__ == "__main__":
    main()
