"""The settings that detection and segmentation share: the encoders, and their training."""

import dataclasses
from pathlib import Path
from typing import ClassVar

from ssl_tf.errors import SettingsError
from ssl_tf.settings.annotations import AnnotationSettings
from ssl_tf.settings.fields import setting, unless
from ssl_tf.settings.initialization import InitEncoderSettings
from ssl_tf.settings.model import DEPTHS_TOLD, STEMS, ModelSettings
from ssl_tf.settings.run import logical_cpus_flag, precision_flag

_NETWORK = ("depth", "width", "stem", "stride_in_1x1")


@dataclasses.dataclass(frozen=True)
class StartSettings:
    """The encoders from which trainings start, one row of the report each."""

    init: InitEncoderSettings = dataclasses.field(default_factory=InitEncoderSettings)
    checkpoint: str = setting("", "Run directory whose encoder is trained on.")
    step: int = setting(0, "Step of its checkpoint; 0: the newest.", low=0, high=10**9)
    supervised: str = setting(
        "",
        "Run directory of an encoder that learned from labels, a second row of the report.",
        is_input=True,
    )
    random_baseline: bool = setting(
        False, "Train from the random encoder, too, from which the run started."
    )
    depth: int = setting(
        50, f"ResNet depth of a random encoder: {DEPTHS_TOLD}; others know their own."
    )
    width: float = setting(1.0, "Multiplier of its channels.", above=0, high=32)
    stem: str = setting(
        "imagenet",
        "Its stem: 7x7 stride 2 and pool, or 3x3 stride 1.",
        choices=STEMS,
    )
    stride_in_1x1: bool = setting(False, "Its bottlenecks have their stride in the first 1x1.")

    @property
    def is_random(self) -> bool:
        """Whether no encoder is named, so that the random one alone is trained."""
        return not (self.checkpoint or self.init.init_encoder)

    @property
    def network(self) -> ModelSettings:
        """The network of a random encoder that no run describes."""
        return ModelSettings(**{name: getattr(self, name) for name in _NETWORK})

    @property
    def unused(self) -> dict[str, str]:
        """Flags without effect, as in `fields.unused`."""
        given = "the encoder that is given has its own network"
        alone = "without --checkpoint and --init_encoder the random encoder is the only one"
        narrow = f"--depth={self.depth} has no bottlenecks"
        return {
            **unless(self.checkpoint, "the encoder is of no run", "step"),
            **unless(self.depth >= 50, narrow, "stride_in_1x1"),
            **unless(self.is_random, given, *_NETWORK),
            **unless(not self.is_random, alone, "random_baseline", "supervised"),
        }

    def __post_init__(self) -> None:
        if self.checkpoint and self.init.init_encoder:
            raise SettingsError(
                "--checkpoint, --init_encoder: give one of them, or none for a random encoder"
            )
        _ = self.network  # its checks are those of the flags here


@dataclasses.dataclass(frozen=True, kw_only=True)
class DownstreamSettings:
    """The training of a network on annotated images; periods are optimizer steps."""

    output: str = setting(
        "",
        "Directory of the results; empty: one of the stage's name in the run.",
        affects_result=False,
    )
    steps: int = setting(40_000, "Optimizer steps.", low=1, high=10**9)
    batch_size: int = setting(16, "Global batch, over all replicas.", low=1, high=2**20)
    accumulate: int = setting(
        1,
        "Number of parts of each replica's batch, whose gradients are accumulated to save memory; "
        "the batch statistics are those of a part.",
        low=1,
        high=2**16,
    )
    optimizer: str = setting("sgd", "Optimizer.", choices=("sgd", "adamw"))
    learning_rate: float = setting(
        0.01, "Peak learning rate for the batch that is given.", above=0, high=1e38
    )
    schedule: str = setting(
        "poly",
        "Decay of the rate: poly, (1 - step / steps)^0.9; cosine, to 0; step, to a tenth at each "
        "of --drop_steps.",
        choices=("poly", "cosine", "step"),
    )
    drop_steps: tuple[int, ...] = setting(
        (), "Steps of the step schedule.", low=1, high=10**9, distinct=True
    )
    warmup_steps: int = setting(0, "Steps of linear warm-up.", low=0, high=10**9)
    head_rate: float = setting(
        1.0, "Learning rate of the new layers, as a multiple of the encoder's.", above=0, high=1e6
    )
    momentum: float = setting(0.9, "Momentum.", low=0, high=1)
    weight_decay: float = setting(
        1e-4, "Weight decay; biases and normalization excluded.", low=0, high=1e38
    )
    frozen_stages: int = setting(
        -1,
        "K: the stem and the first K of the four stages stay as they are; -1: all layers learn. "
        "Detectron2's FREEZE_AT=2 is 1 here.",
        low=-1,
        high=4,
    )
    batch_norm: str = setting(
        "synchronized",
        "Batch normalization: by the statistics of all replicas; of each replica; or frozen, as "
        "the encoder has learned it.",
        choices=("synchronized", "replica", "frozen"),
    )
    precision: str = precision_flag()
    seed: int = setting(0, "Seed of new layers, order and augmentation.", low=0, high=2**31 - 1)
    logical_cpus: int = logical_cpus_flag()
    save_every: int = setting(1000, "Steps between two checkpoints.", low=1, affects_result=False)
    evaluate_every: int = setting(
        0,
        "Steps between two evaluations with a picture; 0: at the end alone.",
        low=0,
        affects_result=False,
    )
    log_every: int = setting(
        50, "Steps between two lines of metrics.jsonl.", low=1, affects_result=False
    )
    dry_run: bool = setting(
        False, "Print what the training would do, and exit.", affects_result=False
    )

    @property
    def unused(self) -> dict[str, str]:
        """Flags without effect, as in `fields.unused`."""
        reason = f"--optimizer={self.optimizer} does not read it"
        return unless(self.optimizer == "sgd", reason, "momentum", "head_rate")

    def __post_init__(self) -> None:
        if (self.schedule == "step") != bool(self.drop_steps):
            raise SettingsError(
                f"--schedule={self.schedule}, --drop_steps={','.join(map(str, self.drop_steps))}: "
                "give the steps with --schedule=step, and only with it"
            )
        if self.warmup_steps >= self.steps:
            raise SettingsError(
                f"--warmup_steps={self.warmup_steps}: as long as the training, --steps={self.steps}"
            )
        if self.drop_steps and max(self.drop_steps) >= self.steps:
            raise SettingsError(
                f"--drop_steps={max(self.drop_steps)}: the training of --steps={self.steps} is "
                "over by then"
            )
        if self.optimizer == "adamw" and self.learning_rate > 0.01:
            raise SettingsError(
                f"--learning_rate={self.learning_rate}: destroys an AdamW training; give at most "
                "0.01 with --optimizer=adamw"
            )


@dataclasses.dataclass(frozen=True)
class AnnotatedTrainingSettings:
    """The settings of a command that trains on annotated images."""

    # What the command makes: the name of its directory in a run, and of its report.
    result: ClassVar[str]

    data: AnnotationSettings
    start: StartSettings
    training: DownstreamSettings
    export: bool = setting(
        False,
        "Write each trained network as a SavedModel, checked by loading.",
        affects_result=False,
    )

    @property
    def output(self) -> str:
        """The directory of the results."""
        parts = (self.result, self.data.share.share_name)
        name = "_".join(part for part in parts if part)
        return self.training.output or str(Path(self.start.checkpoint, name))

    def __post_init__(self) -> None:
        if not (self.training.output or self.start.checkpoint):
            raise SettingsError("--output: give the directory of the results; there is no run")
        if self.training.batch_norm == "frozen" and (
            self.start.is_random or self.start.random_baseline
        ):
            way_out = "" if self.start.is_random else ", or leave --random_baseline out"
            raise SettingsError(
                "--batch_norm=frozen: of a random encoder it freezes the last scale of each block, "
                "which begins at 0, so that no block learns; give --batch_norm=synchronized"
                f"{way_out}"
            )
