"""The settings of a training's batch size, length and optimizer."""

import dataclasses

from ssl_tf.errors import SettingsError
from ssl_tf.settings.fields import setting, unless


@dataclasses.dataclass(frozen=True)
class OptimizationSettings:
    """The settings of batch size, epochs, optimizer and learning rate."""

    optimizer: str = setting("lars", "Optimizer.", choices=("lars", "sgd", "adamw"))
    lars_variant: str = setting(
        "byol",
        "LARS: learning rate applied after (byol) or before (simclr) the momentum.",
        choices=("byol", "simclr"),
    )
    base_learning_rate: float = setting(
        0.3, "Learning rate for a batch of 256, scaled linearly.", above=0, high=1e38
    )
    batch_size: int = setting(2048, "Batch size over all replicas.", low=2, high=2**20)
    accumulate: int = setting(
        1,
        "Number of parts of each replica's batch, whose gradients are accumulated to save memory; "
        "batch statistics, and the loss of simclr, barlow_twins and swav, are those of a part.",
        low=1,
        high=2**16,
    )
    epochs: float = setting(300.0, "Number of passes over the images.", above=0, high=1e6)
    warmup_epochs: float = setting(10.0, "Epochs of linear warm-up.", low=0, high=1e6)
    weight_decay: float = setting(
        1.5e-6, "Weight decay; biases and normalization excluded.", low=0, high=1e38
    )
    decay_rank_one: bool = setting(
        False, "Weight decay also of biases and normalization, as in MoCo; not with lars."
    )
    momentum: float = setting(0.9, "Momentum.", low=0, high=1)
    trust_coefficient: float = setting(1e-3, "LARS trust coefficient.", above=0)

    @property
    def unused(self) -> dict[str, str]:
        """Flags without effect, as in `fields.unused`."""
        reason = f"--optimizer={self.optimizer} does not read it"
        return {
            **unless(self.optimizer == "lars", reason, "lars_variant", "trust_coefficient"),
            **unless(self.optimizer != "adamw", reason, "momentum"),
            **unless(self.weight_decay, "there is no --weight_decay", "decay_rank_one"),
        }

    def __post_init__(self) -> None:
        if self.warmup_epochs > self.epochs:
            raise SettingsError(
                f"--warmup_epochs={self.warmup_epochs}: longer than the run, --epochs="
                f"{self.epochs}; give a shorter one, 0 for none"
            )
        if self.optimizer == "adamw" and self.base_learning_rate > 0.01:
            raise SettingsError(
                f"--base_learning_rate={self.base_learning_rate}: a LARS or SGD rate destroys an "
                "AdamW run; give at most 0.01 with --optimizer=adamw"
            )
        if self.decay_rank_one and self.optimizer == "lars":
            raise SettingsError(
                "--decay_rank_one: lars excludes biases and normalization; give --optimizer=sgd"
            )
