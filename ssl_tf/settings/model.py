"""The method and its networks."""

import dataclasses

from ssl_tf.errors import SettingsError
from ssl_tf.settings.flagfiles import setting

METHODS = ("ma_ssrl", "byol", "moco", "densecl", "simclr", "simsiam", "swav", "supervised")


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
        "Hidden units of projector and predictor; 2048 in MoCo, DenseCL, SwAV and SimSiam (whose "
        "predictor has a quarter of --projection), as many as features in SimCLR.",
        low=1,
    )
    projection: int = setting(
        256,
        "Outputs of projector and predictor; 128 in MoCo, DenseCL, SimCLR and SwAV, 2048 in "
        "SimSiam.",
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
        0.2,
        "Softmax temperature of moco, densecl, simclr and swav; 0.1 in SimCLR and SwAV.",
        above=0,
    )
    symmetric: bool = setting(False, "moco and densecl: each view is a query, and each a key.")
    dense_weight: float = setting(0.5, "Share of densecl's dense loss, lambda.", low=0, high=1)
    dense_grid: int = setting(
        0, "Cells a side that densecl averages the last map to; 0: the map as it is.", low=0
    )
    label_smoothing: float = setting(
        0.0, "supervised: share of the target that goes to all classes alike.", low=0, high=1
    )
    prototypes: int = setting(3000, "Prototypes of swav, K.", low=2)
    freeze_prototypes: float = setting(
        1.0, "Epochs in which swav's prototypes keep their first directions.", low=0
    )
    sinkhorn_epsilon: float = setting(
        0.05, "Smoothness of swav's codes; lower it where the loss stays at ln K.", above=0
    )
    sinkhorn_iterations: int = setting(3, "Iterations that balance swav's codes.", low=1)
    feature_queue: int = setting(
        0,
        "Earlier features of each view that balance swav's codes beside a batch that is small "
        "against the prototypes; 0: none.",
        low=0,
    )
    feature_queue_start: float = setting(
        15.0, "Epoch from which the feature queue is filled, to be used once it is full.", low=0
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
