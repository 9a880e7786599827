"""The method and its networks."""

import dataclasses

from ssl_tf.errors import SettingsError
from ssl_tf.flagfiles import setting

METHODS = ("ma_ssrl", "byol", "moco", "densecl", "simclr", "simsiam", "supervised")


PRETEXT = ("rotation", "localization")


@dataclasses.dataclass(frozen=True)
class ModelSettings:
    method: str = setting("ma_ssrl", "What is learned.", choices=METHODS)
    depth: int = setting(50, "ResNet depth: 18, 34, 50, 101, 152 or 200.")
    width: float = setting(1.0, "Multiplier of all channels, also below 1.", above=0)
    stem: str = setting(
        "imagenet", "7x7 stride 2 and pool, or 3x3 stride 1.", choices=("imagenet", "small")
    )
    batch_norm: str = setting(
        "synchronized",
        "Batch statistics: synchronized, over all replicas; shuffled, of each replica, with the "
        "keys' images shuffled over replicas (moco, densecl; on one replica the same).",
        choices=("synchronized", "shuffled"),
    )
    projector_hidden: int = setting(
        4096,
        "Hidden units of projector and predictor; MoCo's, DenseCL's and SimSiam's are 2048 (its "
        "predictor has a quarter of --projection), SimCLR's as many as features.",
        low=1,
    )
    projection: int = setting(
        256,
        "Outputs of projector and predictor; MoCo's, DenseCL's and SimCLR's are 128, SimSiam's "
        "2048.",
        low=2,
    )
    projector_layers: int = setting(
        2,
        "Dense layers of the projector of simclr and simsiam; SimSiam's on ImageNet are 3.",
        low=1,
    )
    projection_heads: str = setting(
        "shared",
        "One projector for all views, or one for object views and one for their surroundings.",
        choices=("shared", "per_view"),
    )
    tau: float = setting(
        0.99,
        "EMA decay of the target: of byol and ma_ssrl at the first step, rising to 1; of moco and "
        "densecl at every step, theirs is 0.999.",
        low=0,
        high=1,
    )
    queue: int = setting(65536, "Keys in the queue of moco and densecl.", low=1)
    temperature: float = setting(
        0.2, "Softmax temperature of moco, densecl and simclr; SimCLR's is 0.1.", above=0
    )
    symmetric: bool = setting(False, "moco and densecl: each view is a query, and each a key.")
    dense_weight: float = setting(0.5, "Share of densecl's dense loss, lambda.", low=0, high=1)
    dense_grid: int = setting(
        0, "Cells a side that densecl averages the last map to; 0: the map as it is.", low=0
    )
    label_smoothing: float = setting(
        0.0, "supervised: share of the target that goes to all classes alike.", low=0, high=1
    )
    pretext: tuple[str, ...] = setting(
        (), "Tasks learned beside the method, which need object crops.", choices=PRETEXT
    )
    rotation_weight: float = setting(1.0, "Weight of the rotation loss.", low=0)
    localization_weight: float = setting(1.0, "Weight of the localization loss.", low=0)
    localization_grid: int = setting(7, "Cells a side of the localization task, p.", low=1)

    def __post_init__(self) -> None:
        if self.depth not in (18, 34, 50, 101, 152, 200):
            raise SettingsError(f"--depth={self.depth}: choose 18, 34, 50, 101, 152 or 200")
        if self.batch_norm == "shuffled" and self.method not in ("moco", "densecl"):
            raise SettingsError(
                f"--batch_norm=shuffled: hides the keys of a queue; --method={self.method} has none"
            )
