"""Settings of fine-tuning."""

import dataclasses
import re

from ssl_tf.errors import SettingsError
from ssl_tf.settings.evaluation import EvaluationSettings, ScheduleSettings
from ssl_tf.settings.fields import setting, unless
from ssl_tf.settings.label_share import LISTS_OF, ShareSettings
from ssl_tf.settings.run import logical_cpus_flag, precision_flag


@dataclasses.dataclass(frozen=True)
class TuningSettings(ScheduleSettings):
    """The training; every pair of a learning rate and a weight decay is one trial."""

    epochs: float = setting(30.0, "Epochs over the training images.", above=0, high=1e6)
    steps: int = setting(0, "Steps in place of --epochs; 0: those of --epochs.", low=0, high=10**9)
    batch_size: int = setting(256, "Global batch, over all replicas.", low=2, high=2**20)
    base_learning_rate: float = setting(
        0.05,
        "Learning rate of the classifier for a batch of 256, scaled linearly.",
        above=0,
        high=1e38,
    )
    base_learning_rates: tuple[float, ...] = setting(
        (),
        "Several such rates in place of one, tried one after the other; the best on the "
        "--validation images is reported.",
        above=0,
        high=1e38,
        distinct=True,
    )
    weight_decay: float = setting(
        0.0, "Weight decay; biases and normalization excluded.", low=0, high=1e38
    )
    weight_decays: tuple[float, ...] = setting(
        (),
        "Several such decays in place of one, each tried with each rate.",
        low=0,
        high=1e38,
        distinct=True,
    )
    decay_over_rate: bool = setting(
        False, "Divide weight decays by the scaled learning rate, as Kornblith et al. do."
    )
    frozen_blocks: int = setting(
        0,
        "0: all layers are trained; K: the stem and the first K of the four stages are frozen, "
        "with their batch normalization in inference mode.",
        low=0,
        high=4,
    )
    trunk_rate_multiplier: float = setting(
        1.0, "The encoder's learning rate, as a multiple of the classifier's.", above=0
    )
    bn_momentum_rule: str = setting(
        "fixed",
        "Decay of the moving batch statistics: fixed, 0.9; kornblith, max(1 - 10 / s, 0.9) with s "
        "steps an epoch.",
        choices=("fixed", "kornblith"),
    )
    precision: str = precision_flag()
    seed: int = setting(0, "Seed of the order and the crops.", low=0, high=2**31 - 1)
    logical_cpus: int = logical_cpus_flag()
    checkpoint_every: float = setting(
        1.0, "Epochs between two checkpoints.", above=0, affects_result=False
    )
    log_every: int = setting(
        50, "Steps between two lines of metrics.jsonl.", low=1, affects_result=False
    )

    @property
    def unused(self) -> dict[str, str]:
        """Flags without effect, as in `fields.unused`."""
        rates, decays = "--base_learning_rates is given", "--weight_decays is given"
        return {
            **unless(not self.steps, "--steps is given", "epochs"),
            **unless(not self.base_learning_rates, rates, "base_learning_rate"),
            **unless(not self.weight_decays, decays, "weight_decay"),
            **unless(
                self.frozen_blocks < 4,
                "--frozen_blocks=4 leaves the classifier alone to train",
                "trunk_rate_multiplier",
                "bn_momentum_rule",
            ),
            **unless(
                any(decay for _, decay in self.trials), "no decay is given", "decay_over_rate"
            ),
        }

    @property
    def trials(self) -> tuple[tuple[float, float], ...]:
        """(base learning rate, weight decay) of each trial."""
        rates = self.base_learning_rates or (self.base_learning_rate,)
        decays = self.weight_decays or (self.weight_decay,)
        return tuple((rate, decay) for rate in rates for decay in decays)


@dataclasses.dataclass(frozen=True)
class LabelSettings(ShareSettings):
    """The labels that may be used, for training and for the choice."""

    validation: int = setting(
        0, "Images held out to choose learning rate and weight decay by; never test images.", low=0
    )
    validation_of: str = setting(
        "labelled",
        "Source of those: the labelled images; or the rest of the train images, whose labels then "
        "serve the choice alone (BYOL C.1).",
        choices=("labelled", "rest"),
    )
    refit: bool = setting(
        False,
        "Train once more with the chosen pair, on the validation images too, and report that.",
    )

    @property
    def unused(self) -> dict[str, str]:
        """Flags without effect, as in `fields.unused`."""
        return {
            **super().unused,
            **unless(self.validation, "there is no --validation", "validation_of"),
        }

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.validation_of == "rest" and not (self.labels_from or self.label_fraction < 1):
            raise SettingsError(
                "--validation_of=rest: all train images are labelled, nothing is left; give "
                "--label_fraction, --labels_from or --validation_of=labelled"
            )
        if self.validation_of == "rest" and self.refit:
            raise SettingsError(
                "--refit: would train on more labels than the share has; give "
                "--validation_of=labelled"
            )
        if self.refit and not self.validation:
            raise SettingsError("--refit: there is nothing to add; give --validation=N")


@dataclasses.dataclass(frozen=True)
class FineTuneSettings:
    """`python -m ssl_tf.finetune`."""

    evaluation: EvaluationSettings
    labels: LabelSettings
    tuning: TuningSettings
    export: bool = setting(
        False,
        "Write the fine-tuned network as a SavedModel, checked by loading.",
        affects_result=False,
    )

    @property
    def share(self) -> str:
        """Name of the labelled share, such as 1pct; empty if all labels may be used."""
        name, _, configuration = self.evaluation.data.dataset.partition("/")
        # Elsewhere a configuration is another set of images, such as voc/2007.
        listed = re.sub(r"[^\w.-]", "_", configuration) if name in LISTS_OF else ""
        return self.labels.share_name or listed

    def __post_init__(self) -> None:
        dataset = self.evaluation.data.dataset
        whole = LISTS_OF.get(dataset.partition("/")[0])
        if self.labels.share_name and whole:
            raise SettingsError(
                f"--dataset={dataset}: is a share of the labels, and a share of it would have the "
                f"name of a share of all; give --label_fraction and --labels_from with "
                f"--dataset={whole} alone"
            )
        if len(self.tuning.trials) > 1 and not self.labels.validation:
            raise SettingsError(
                f"{len(self.tuning.trials)} pairs of --base_learning_rates and --weight_decays: "
                "the best is chosen on images held out of training, never on the test; give "
                "--validation=N"
            )
