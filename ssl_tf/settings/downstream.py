"""The settings that detection and segmentation share: the encoders, and how a network learns."""

import dataclasses

from ssl_tf.errors import SettingsError
from ssl_tf.settings.evaluation import EncoderSettings
from ssl_tf.settings.flagfiles import setting, unless
from ssl_tf.settings.run import PRECISIONS

NORMS = ("synchronized", "per_replica", "frozen")


@dataclasses.dataclass(frozen=True)
class StartSettings(EncoderSettings):
    """The encoders from which networks start: one of a run or a file, and others beside it."""

    supervised: str = setting(
        "", "Run whose supervised encoder is a row of the report, too; of the same network."
    )
    depth: int = setting(50, "ResNet depth of a random encoder, where no other is given.")
    width: float = setting(1.0, "Its multiplier of all channels.", above=0, high=32)
    stem: str = setting(
        "imagenet", "7x7 stride 2 and pool, or 3x3 stride 1.", choices=("imagenet", "small")
    )

    @property
    def given(self) -> bool:
        """Whether there is an encoder of a run or a file."""
        return bool(self.checkpoint or self.init.init_encoder)

    @property
    def unused(self) -> dict[str, str]:
        """Flags without effect, as in `flagfiles.unused`."""
        network = "the network is that of the encoder"
        return {
            **super().unused,
            **unless(not self.given, network, "depth", "width", "stem"),
            **unless(self.given, "there is no encoder to compare with", "supervised"),
            **unless(self.given, "the random encoder is the only one", "random_baseline"),
            **unless(False, "images are of the size of the network's", "image_size"),
        }

    def __post_init__(self) -> None:
        if self.given:
            super().__post_init__()
        if self.depth not in (18, 34, 50, 101, 152, 200):
            raise SettingsError(f"--depth={self.depth}: choose 18, 34, 50, 101, 152 or 200")


@dataclasses.dataclass(frozen=True)
class DownstreamSettings:
    """The training of a network on an encoder; a step is one of the optimizer."""

    start: StartSettings
    output: str = setting(
        "", "JSON file for the result; empty: STAGE.json in the run directory.", free=True
    )
    steps: int = setting(90_000, "Number of steps.", low=1, high=10**9)
    batch_size: int = setting(16, "Batch over all replicas.", low=1, high=2**20)
    accumulate: int = setting(
        1, "Parts of each replica's batch, to save memory; batch statistics are those of a part.",
        low=1, high=2**16,
    )  # fmt: skip
    optimizer: str = setting("sgd", "Optimizer.", choices=("sgd", "adamw"))
    base_learning_rate: float = setting(
        0.32, "Learning rate for a batch of 256, scaled linearly; 0.32 is 0.02 for 16.",
        above=0, high=1e38,
    )  # fmt: skip
    momentum: float = setting(0.9, "Momentum of sgd.", low=0, high=1)
    weight_decay: float = setting(
        1e-4, "Weight decay; biases and normalization excluded.", low=0, high=1e38
    )
    schedule: str = setting(
        "step",
        "Decay of the rate: step, to a tenth at each of --drop_steps; cosine, to 0; poly, to 0 by "
        "the power 0.9.",
        choices=("step", "cosine", "poly"),
    )
    drop_steps: tuple[int, ...] = setting((), "Steps of the step schedule.", low=1)
    warmup_steps: int = setting(0, "Steps in which the rate rises linearly from 0.", low=0)
    trunk_rate_multiplier: float = setting(
        1.0, "The encoder's learning rate, as a multiple of that of the rest.", above=0
    )
    frozen_stages: int = setting(
        0,
        "Parts of the encoder that are not trained: 0, none; 1, the stem; 2, the stem and the first "
        "of four stages; and so on, as FREEZE_AT of Detectron2.",
        low=0,
        high=5,
    )
    norm: str = setting(
        "synchronized",
        "Batch normalization: synchronized, with the statistics of all replicas; per_replica; "
        "frozen, that of the encoder stays and the rest has none.",
        choices=NORMS,
    )
    precision: str = setting(
        "float32",
        "Dtype policy of the networks; weights, losses and batch statistics stay float32.",
        choices=PRECISIONS,
    )
    seed: int = setting(0, "Seed of new weights, order and images.", low=0, high=2**31 - 1)
    logical_cpus: int = setting(
        0, "Number of replicas on the CPU; 0: all GPUs, or one CPU.", low=0, free=True, high=1024
    )
    checkpoint_every: float = setting(1.0, "Epochs between two checkpoints.", above=0, free=True)
    log_every: int = setting(50, "Steps between two lines of metrics.jsonl.", low=1, free=True)
    look_every: int = setting(
        0, "Steps between two pictures of what is found; 0: only at the end.", low=0, free=True
    )
    export: bool = setting(
        False, "Write each trained network as a SavedModel of encoded images.", free=True
    )
    dry_run: bool = setting(False, "Print what the training would do, and exit.", free=True)

    @property
    def unused(self) -> dict[str, str]:
        """Flags without effect, as in `flagfiles.unused`."""
        return {
            **unless(
                self.optimizer == "sgd",
                "adamw has none",
                "momentum",
                "trunk_rate_multiplier",
            ),
            **unless(
                self.schedule == "step", f"--schedule={self.schedule} has no drops", "drop_steps"
            ),
        }

    def __post_init__(self) -> None:
        if not self.start.checkpoint and not (self.output or self.dry_run):
            raise SettingsError(
                "--output: give the file for the result; only a run has a directory for it"
            )
        if self.warmup_steps > self.steps:
            raise SettingsError(
                f"--warmup_steps={self.warmup_steps}: longer than the training, "
                f"--steps={self.steps}"
            )
        if any(drop >= self.steps for drop in self.drop_steps):
            raise SettingsError(
                f"--drop_steps={','.join(map(str, self.drop_steps))}: the training is over by then, "
                f"at --steps={self.steps}"
            )
