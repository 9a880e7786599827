"""A run: its directory, machines and monitors."""

import dataclasses

from ssl_tf.errors import SettingsError
from ssl_tf.settings.flagfiles import setting

PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")


@dataclasses.dataclass(frozen=True)
class NeighbourSettings:
    """Weighted kNN, of the monitor and of `python -m ssl_tf.knn`."""

    knn_k: int = setting(200, "Neighbours that vote in weighted kNN.", low=1)
    knn_temperature: float = setting(0.1, "Temperature of the kNN weights.", above=0)


@dataclasses.dataclass(frozen=True)
class MonitorSettings:
    neighbours: NeighbourSettings
    monitor_split: str = setting(
        "",
        "TFDS or scenes split for the monitors; empty: test or validation, where there is one.",
        free=True,
    )
    monitor_every: float = setting(1.0, "Epochs between two looks at the representation.", above=0)
    monitor_bank: int = setting(5000, "Labelled training images in the kNN bank.", low=1)
    monitor_queries: int = setting(1000, "Held-out images the monitors look at.", low=8)
    log_every: int = setting(50, "Steps between two lines of metrics.jsonl.", low=1)


@dataclasses.dataclass(frozen=True)
class RunSettings:
    run_dir: str = setting("runs/pretrain", "Everything the run writes goes here.", free=True)
    init_from: str = setting(
        "", "Run or checkpoint whose weights a new run starts with, at step 0; not resuming."
    )
    seed: int = setting(0, "Seed of weights, order and augmentation.", low=0, high=2**31 - 1)
    precision: str = setting(
        "float32",
        "Type of the networks' arithmetic; weights, losses and batch statistics stay float32.",
        choices=PRECISIONS,
    )
    xla: str = setting(
        "auto",
        "Compile the training step; auto: on one GPU, where it helps and works.",
        choices=("auto", "on", "off"),
        free=True,
    )
    steps_per_execution: int = setting(
        1, "Steps between two returns to Python; saves overhead of short steps.", low=1, free=True
    )
    profile_steps: str = setting(
        "", "First and last step, `100,110`, of a TensorBoard profile of this process.", free=True
    )
    logical_cpus: int = setting(
        0, "Split the CPU into this many replicas; 0: all GPUs, or one CPU.", low=0, free=True
    )
    worker_timeout: float = setting(
        60.0,
        "Seconds without a sign of another worker, at the start or later, that end the run.",
        above=2,
        free=True,
    )
    checkpoint_every: float = setting(1.0, "Epochs between two checkpoints.", above=0, free=True)
    keep_checkpoints: int = setting(2, "Newest checkpoints to keep.", low=1, free=True)
    dry_run: bool = setting(False, "Print what would happen, and leave.", free=True)

    def __post_init__(self) -> None:
        _ = self.profiled_steps  # what does not parse must fail here

    @property
    def profiled_steps(self) -> tuple[int, int] | None:
        """First and last step to profile, where any are."""
        if not self.profile_steps:
            return None
        try:
            first, last = (int(step) for step in self.profile_steps.split(","))
        except ValueError:
            first, last = 0, 0
        if not 1 <= first <= last:
            raise SettingsError(
                f"--profile_steps={self.profile_steps}: give the first and the last step, counted "
                "from 1, such as 100,110"
            )
        return first, last
