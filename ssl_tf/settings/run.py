"""The settings of a run: its directory, devices and monitors."""

import dataclasses
from typing import Any

from ssl_tf.errors import SettingsError
from ssl_tf.settings.fields import setting
from ssl_tf.settings.initialization import InitEncoderSettings

TRACKERS = ("wandb", "mlflow")
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")


def precision_flag() -> Any:
    """The field of --precision, of each stage that trains an encoder."""
    return setting(
        "float32",
        "Dtype policy of the networks; weights, losses and batch statistics stay float32.",
        choices=PRECISIONS,
    )


def logical_cpus_flag() -> Any:
    """The field of --logical_cpus, of each stage that trains on replicas."""
    return setting(
        0,
        "Number of replicas on the CPU; 0: all GPUs, or one CPU.",
        low=0,
        affects_result=False,
        high=1024,
    )


@dataclasses.dataclass(frozen=True)
class NeighbourSettings:
    """The settings of weighted kNN, for the monitor and `python -m ssl_tf.knn`."""

    knn_k: int = setting(200, "Neighbours that vote in weighted kNN.", low=1)
    knn_temperature: float = setting(0.1, "Temperature of the kNN weights.", above=0, high=1e6)


@dataclasses.dataclass(frozen=True)
class MonitorSettings:
    """The settings of the monitors and of the metrics log."""

    neighbours: NeighbourSettings
    monitor_split: str = setting(
        "",
        "Split of the data set for the monitors; empty: test or validation, if it exists.",
        affects_result=False,
    )
    monitor_every: float = setting(1.0, "Epochs between two evaluations by the monitors.", above=0)
    monitor_bank: int = setting(
        5000, "Labelled training images in the kNN bank.", low=1, high=10**7
    )
    monitor_queries: int = setting(
        1000, "Held-out images that the monitors evaluate.", low=8, high=10**7
    )
    log_every: int = setting(50, "Steps between two lines of metrics.jsonl.", low=1)


@dataclasses.dataclass(frozen=True)
class RunSettings:
    """The settings of a run's directory, initialization, devices and checkpoints."""

    run_dir: str = setting(
        "runs/pretrain", "Directory of the files of the run.", affects_result=False
    )
    init_from: str = setting(
        "",
        "Run or checkpoint with the initial weights of a new run; the run starts at step 0.",
        is_input=True,
    )
    init: InitEncoderSettings = dataclasses.field(default_factory=InitEncoderSettings)
    seed: int = setting(0, "Seed of weights, order and augmentation.", low=0, high=2**31 - 1)
    precision: str = precision_flag()
    xla: str = setting(
        "auto",
        "Compile the training step with XLA; auto: on one GPU, where it helps and works.",
        choices=("auto", "on", "off"),
        affects_result=False,
    )
    steps_per_execution: int = setting(
        1,
        "Steps in one call from Python; saves the overhead of short steps. A signal waits for its "
        "end; cut to the shortest interval of log lines, looks and checkpoints.",
        low=1,
        affects_result=False,
        high=10**6,
    )
    profile_steps: str = setting(
        "",
        "First and last step, `100,110`, of a TensorBoard profile of this process.",
        affects_result=False,
    )
    logical_cpus: int = logical_cpus_flag()
    track: str = setting(
        "",
        "Tracker that follows the run, where it is installed: wandb or mlflow.",
        choices=("", *TRACKERS),
        affects_result=False,
    )
    worker_timeout: float = setting(
        60.0,
        "Seconds of silence of another worker, at the start or later, after which the run ends.",
        above=2,
        affects_result=False,
        high=1e6,
    )
    checkpoint_every: float = setting(
        1.0, "Epochs between two checkpoints.", above=0, affects_result=False
    )
    keep_checkpoints: int = setting(
        2, "Number of newest checkpoints to keep.", low=1, affects_result=False
    )
    auto: bool = setting(
        False,
        "Choose every flag that is not given from the images and the machine, and print them.",
        affects_result=False,
    )
    dry_run: bool = setting(False, "Print what the run would do, and exit.", affects_result=False)

    def __post_init__(self) -> None:
        _ = self.profiled_steps  # what does not parse must fail here
        if self.init_from and self.init.init_encoder:
            raise SettingsError(
                "--init_from, --init_encoder: each gives the encoder its weights; give one of them"
            )

    @property
    def begins_randomly(self) -> bool:
        """Whether the encoder of step 0 is the random one."""
        return not (self.init_from or self.init.init_encoder)

    @property
    def profiled_steps(self) -> tuple[int, int] | None:
        """First and last step to profile, None without a profile.

        Raises:
            SettingsError: --profile_steps is misspelt.
        """
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
