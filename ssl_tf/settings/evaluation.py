"""Settings of evaluation and comparison."""

import dataclasses

from ssl_tf.errors import SettingsError
from ssl_tf.settings.data import DataSettings
from ssl_tf.settings.fields import as_text, never, setting, unless
from ssl_tf.settings.initialization import InitEncoderSettings, one_encoder
from ssl_tf.settings.run import NeighbourSettings


@dataclasses.dataclass(frozen=True)
class EncoderSettings:
    """The encoder, of a run or in a file, and the size of its input images."""

    init: InitEncoderSettings = dataclasses.field(default_factory=InitEncoderSettings)
    checkpoint: str = setting("", "Run directory whose encoder is evaluated.")
    step: int = setting(0, "Step of the checkpoint to evaluate; 0: the newest.", low=0, high=10**9)
    image_size: int = setting(
        0,
        "Side of the input images, in pixels; 0: that of the run's views; of a file, that of the "
        "export.json beside it, or 224, with the small stem 32.",
        low=0,
        high=4096,
    )
    random_baseline: bool = setting(
        True, "Evaluate the random encoder too, from which the run started."
    )

    @property
    def unused(self) -> dict[str, str]:
        """Flags without effect, as in `fields.unused`."""
        return unless(self.checkpoint, "the encoder is of no run", "step")

    def __post_init__(self) -> None:
        one_encoder(self.init, self.checkpoint)


@dataclasses.dataclass(frozen=True)
class EvaluationSettings(EncoderSettings):
    """The encoder of a run and the labelled images of an evaluation."""

    data: DataSettings = dataclasses.field(kw_only=True)
    output: str = setting(
        "",
        "JSON file for the result; empty: STAGE.json in the run directory. An encoder in a file "
        "needs it.",
    )
    test_split: str = setting("", "Split to report on; empty: test or validation, if there is one.")
    test_image_folder: str = setting(
        "",
        "Folder of the images to report on, one folder a class, those of the train images.",
        is_place=True,
    )
    test_tfrecord: str = setting(
        "", "TFRecord files of the images to report on, as a glob.", is_place=True
    )

    @property
    def unused(self) -> dict[str, str]:
        """Flags without effect, as in `fields.unused`."""
        return {
            **super().unused,
            **unless(self.data.has_splits, f"{self.data.named[0]} has no splits", "test_split"),
            **never("an evaluation takes no boxes", "proposals", "unmatched_proposals"),
            **unless(not self.test_image_folder, "", "orient"),
            **unless(not self.test_tfrecord, "", "first_label"),
        }

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.checkpoint and not self.output:
            raise SettingsError(
                "--output: give the file for the result; an encoder in a file has no directory"
            )
        sources = ("test_split", "test_image_folder", "test_tfrecord")
        given = [f"--{name}={getattr(self, name)}" for name in sources if getattr(self, name)]
        if self.data.holdout:
            given.insert(0, f"--holdout={self.data.holdout}")
        if len(given) > 1:
            raise SettingsError(
                f"{' and '.join(given)}: each names images to report on; give one of them"
            )
        for name in ("image_folder", "tfrecord"):
            images = getattr(self.data, name)
            if images and images == getattr(self, f"test_{name}"):
                raise SettingsError(
                    f"--{name}={images} and --test_{name}: the train images are no test images; "
                    "give others, or --holdout=N"
                )
        if self.test_split and self.test_split == self.data.split:
            raise SettingsError(
                f"--split={self.data.split} and --test_split={self.test_split}: the train images "
                "are no test images; give another split, or --holdout=N"
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScheduleSettings:
    """How the learning rate of a supervised training falls, and its momentum."""

    schedule: str = setting(
        "cosine",
        "Decay of the rate: cosine, to 0; step, to a tenth at each of --drop_epochs.",
        choices=("cosine", "step"),
    )
    drop_epochs: tuple[float, ...] = setting(
        (), "Epochs of the step schedule.", above=0, high=1e6, distinct=True
    )
    nesterov: bool = setting(True, "Nesterov momentum in place of plain momentum.")

    def __post_init__(self) -> None:
        if (self.schedule == "step") != bool(self.drop_epochs):
            raise SettingsError(
                f"--schedule={self.schedule}, --drop_epochs={as_text(self.drop_epochs)}: give the "
                "epochs with --schedule=step, and only with it"
            )


@dataclasses.dataclass(frozen=True)
class LinearSettings(ScheduleSettings):
    """`python -m ssl_tf.linear`."""

    evaluation: EvaluationSettings
    augment: bool = setting(
        False,
        "Random crop and flip in training; off: features are computed once and kept in memory.",
    )
    standardize: bool = setting(
        True, "Features to zero mean and unit variance before the classifier, by batch statistics."
    )
    epochs: float = setting(50.0, "Epochs of the classifier.", above=0, high=1e6)
    batch_size: int = setting(256, "Batch of the classifier.", low=2, high=2**20)
    base_learning_rate: float = setting(
        0.1, "Learning rate for a batch of 256, scaled linearly.", above=0, high=1e38
    )
    base_learning_rates: tuple[float, ...] = setting(
        (),
        "Several such rates in place of one: each trains its own classifier, all in one training; "
        "the best on the --validation images is reported.",
        above=0,
        high=1e38,
        distinct=True,
    )
    validation: int = setting(0, "Training images held out to choose the learning rate by.", low=0)
    weight_decay: float = setting(0.0, "Weight decay of the classifier.", low=0, high=1e38)
    seed: int = setting(0, "Seed of the order and the crops.", low=0, high=2**31 - 1)
    checkpoint_every: float = setting(
        1.0,
        "Epochs between two checkpoints of a probe with --augment.",
        above=0,
        affects_result=False,
    )

    @property
    def rates(self) -> tuple[float, ...]:
        """The base learning rates, one for each classifier."""
        return self.base_learning_rates or (self.base_learning_rate,)

    @property
    def unused(self) -> dict[str, str]:
        """Flags without effect, as in `fields.unused`."""
        several = "--base_learning_rates is given"
        return {
            **unless(not self.base_learning_rates, several, "base_learning_rate"),
            **unless(self.augment, "only --augment writes checkpoints", "checkpoint_every"),
            **unless(self.augment, "images are read in their order", "shuffle_mib"),
        }

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.rates) > 1 and not self.validation:
            raise SettingsError(
                f"--base_learning_rates={','.join(map(str, self.rates))}: the best is chosen on "
                "images held out of training, never on the test; give --validation=N"
            )


@dataclasses.dataclass(frozen=True)
class KnnSettings:
    """`python -m ssl_tf.knn`."""

    evaluation: EvaluationSettings
    neighbours: NeighbourSettings

    @property
    def unused(self) -> dict[str, str]:
        """Flags without effect, as in `fields.unused`."""
        return never("images are read in their order", "shuffle_mib")


@dataclasses.dataclass(frozen=True)
class CompareSettings:
    """`python -m ssl_tf.compare`."""

    runs: tuple[str, ...] = setting((), "Run directories; the plain arguments of the command.")
    output: str = setting("", "Directory for table.md, table.csv and curves.png.")
    equal: str = setting(
        "",
        "Compare at the length of the shortest run: by epochs, or by compute, the estimated "
        "floating-point operations; empty: every run at its end.",
        choices=("", "epochs", "compute"),
    )
    join_seeds: bool = setting(
        False, "Runs of the same flags but --seed are one row: mean and standard error."
    )
    reference: str = setting(
        "", "Row of --join_seeds to which the others have their differences, seed by seed."
    )

    @property
    def unused(self) -> dict[str, str]:
        """Flags without effect, as in `fields.unused`."""
        return unless(self.join_seeds, "differences are of --join_seeds", "reference")

    def __post_init__(self) -> None:
        if not self.runs:
            raise SettingsError("give the run directories to compare, and --output=DIR")
        if not self.output:
            raise SettingsError("--output: give the directory for the table and the curves")
