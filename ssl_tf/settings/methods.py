"""The table of methods: one row a method, and beside it the flags that not every method reads.

A new method is a file in `ssl_tf/methods` and a row in `METHODS`. Its own flags are a small
dataclass here; flags that several methods share are a dataclass that stands in several rows.
TensorFlow is not imported: a row names its class, and `ssl_tf.methods.registry` imports it.
"""

import dataclasses
from typing import TypeVar

from ssl_tf.settings.fields import setting, unless

PRETEXT = ("rotation", "localization")

Group = TypeVar("Group")


@dataclasses.dataclass(frozen=True)
class ProjectorFlags:
    """Size of the projector, and of the predictor where there is one."""

    projector_hidden: int = setting(
        4096,
        "Hidden units of projector and predictor; 2048 in MoCo, DenseCL, SwAV, DINO and SimSiam "
        "(whose predictor has a quarter of --projection), 8192 in Barlow Twins, as many as "
        "features in SimCLR.",
        low=1,
        high=2**20,
    )
    projection: int = setting(
        256,
        "Outputs of projector and predictor; 128 in MoCo, DenseCL, SimCLR and SwAV, 2048 in "
        "SimSiam, 8192 in Barlow Twins.",
        low=2,
        high=2**20,
    )


@dataclasses.dataclass(frozen=True)
class LayersFlags:
    """Depth of a projector that is normalized over the batch."""

    projector_layers: int = setting(
        2,
        "Dense layers of the projector of simclr, simsiam and barlow_twins; 3 in SimSiam on "
        "ImageNet and in Barlow Twins.",
        low=1,
        high=64,
    )


@dataclasses.dataclass(frozen=True)
class TargetFlags:
    """A target network that is a moving average of the online one."""

    tau: float = setting(
        0.99,
        "EMA decay of the target: of byol, ma_ssrl and dino at the first step, rising to 1, in "
        "DINO from 0.996; of moco and densecl at every step, theirs is 0.999.",
        low=0,
        high=1,
    )


@dataclasses.dataclass(frozen=True)
class PairLossFlags:
    """More than one pair of views."""

    pair_loss: str = setting(
        "mean",
        "byol and ma_ssrl: loss of all compared pairs, their mean or, as in the code of the "
        "MA-SSRL authors, their sum.",
        choices=("mean", "sum"),
    )


@dataclasses.dataclass(frozen=True)
class PredictorFlags:
    """A predictor behind the online network alone."""

    predictor_rate: float = setting(
        1.0,
        "byol and ma_ssrl: learning rate of the predictor, as a multiple of that of all else; 10 "
        "helps short runs.",
        above=0,
        high=1e6,
    )


@dataclasses.dataclass(frozen=True)
class TemperatureFlags:
    """A softmax over similarities."""

    temperature: float = setting(
        0.2,
        "Softmax temperature of moco, densecl, simclr, swav and of dino's student; 0.1 in SimCLR, "
        "SwAV and DINO.",
        low=1e-3,
        high=1e6,
    )


@dataclasses.dataclass(frozen=True)
class QueueFlags:
    """Negatives from a queue of keys."""

    queue: int = setting(65536, "Keys in the queue of moco and densecl.", low=1, high=10_000_000)
    symmetric: bool = setting(False, "moco and densecl: each view is a query, and each a key.")


@dataclasses.dataclass(frozen=True)
class DenseFlags:
    """DenseCL's loss at every position."""

    dense_weight: float = setting(0.5, "Share of densecl's dense loss, lambda.", low=0, high=1)
    dense_grid: int = setting(
        0,
        "Cells a side that densecl averages the last map to; 0: the map as it is.",
        low=0,
        high=1024,
    )


@dataclasses.dataclass(frozen=True)
class PrototypeFlags:
    """Prototypes that views are compared with."""

    prototypes: int = setting(
        3000, "Prototypes of swav and dino, K; 65536 in DINO.", low=2, high=2**20
    )
    freeze_prototypes: float = setting(
        1.0, "Epochs in which the prototypes of swav and dino keep their first directions.", low=0
    )

    @property
    def periods(self) -> dict[str, float]:
        """Flags of periods that must end within the run: name -> epochs."""
        return {"freeze_prototypes": self.freeze_prototypes}


@dataclasses.dataclass(frozen=True)
class SinkhornFlags:
    """SwAV's balanced codes."""

    sinkhorn_epsilon: float = setting(
        0.05,
        "Smoothness of swav's codes; lower it where the loss stays at ln K.",
        above=0,
        high=1e6,
    )
    sinkhorn_iterations: int = setting(3, "Iterations that balance swav's codes.", low=1, high=1000)
    feature_queue: int = setting(
        0,
        "Earlier features of each view that balance swav's codes beside a batch that is small "
        "against the prototypes; 0: none.",
        low=0,
        high=10_000_000,
    )
    feature_queue_start: float = setting(
        15.0, "Epoch from which the feature queue is filled, to be used once it is full.", low=0
    )

    @property
    def unused(self) -> dict[str, str]:
        """Flags without effect, as in `fields.unused`."""
        return unless(self.feature_queue, "there is no --feature_queue", "feature_queue_start")

    @property
    def periods(self) -> dict[str, float]:
        """As of `PrototypeFlags`."""
        return {"feature_queue_start": self.feature_queue_start} if self.feature_queue else {}


@dataclasses.dataclass(frozen=True)
class BarlowTwinsFlags:
    """Barlow Twins' loss and its second learning rate."""

    redundancy_weight: float = setting(
        5e-3, "barlow_twins: weight of correlations between dimensions, lambda.", low=0
    )
    bias_rate: float = setting(
        0.024,
        "barlow_twins: learning rate of biases and normalization as a multiple of that of the "
        "weights; 0.0048 / 0.2 in its paper.",
        above=0,
    )


@dataclasses.dataclass(frozen=True)
class DinoFlags:
    """DINO's head and teacher."""

    head_batch_norm: bool = setting(
        False, "dino: batch normalization in the projector; keeps a ResNet from early collapse."
    )
    first_teacher_temperature: float = setting(
        0.04, "dino: softmax temperature of the teacher at the first step.", low=1e-3
    )
    teacher_temperature: float = setting(
        0.07, "dino: softmax temperature of the teacher after its warm-up.", low=1e-3
    )
    teacher_temperature_epochs: float = setting(
        30.0, "dino: epochs in which the teacher's temperature rises linearly.", low=0
    )
    center_momentum: float = setting(
        0.9, "dino: decay of the center, the mean of the teacher's scores.", low=0, high=1
    )

    @property
    def _is_constant(self) -> bool:
        return self.first_teacher_temperature == self.teacher_temperature

    @property
    def unused(self) -> dict[str, str]:
        """Flags without effect, as in `fields.unused`."""
        equal = "the teacher's two temperatures are equal"
        no_warmup = "--teacher_temperature_epochs=0 leaves the teacher one temperature"
        return {
            **unless(not self._is_constant, equal, "teacher_temperature_epochs"),
            **unless(self.teacher_temperature_epochs, no_warmup, "first_teacher_temperature"),
        }

    @property
    def periods(self) -> dict[str, float]:
        """As of `PrototypeFlags`."""
        epochs = {"teacher_temperature_epochs": self.teacher_temperature_epochs}
        return {} if self._is_constant else epochs


@dataclasses.dataclass(frozen=True)
class SupervisedFlags:
    """The target of a classifier."""

    label_smoothing: float = setting(
        0.0, "supervised: share of the target that goes to all classes alike.", low=0, high=1
    )


@dataclasses.dataclass(frozen=True)
class ObjectPairFlags:
    """What a view of an object and one of its surroundings allow beside the method's own loss."""

    projection_heads: str = setting(
        "shared",
        "One projector for all views, or one for object views and one for their surroundings.",
        choices=("shared", "per_view"),
    )
    pretext: tuple[str, ...] = setting(
        (), "Tasks learned beside the method, which need object crops.", choices=PRETEXT
    )
    rotation_weight: float = setting(1.0, "Weight of the rotation loss.", low=0)
    localization_weight: float = setting(1.0, "Weight of the localization loss.", low=0)
    localization_grid: int = setting(
        7, "Cells a side of the localization task, p.", low=1, high=1024
    )

    @property
    def unused(self) -> dict[str, str]:
        """Flags without effect, as in `fields.unused`."""
        localization = ("localization_weight", "localization_grid")
        return {
            **unless("rotation" in self.pretext, "--pretext has no rotation", "rotation_weight"),
            **unless(
                "localization" in self.pretext, "--pretext has no localization", *localization
            ),
        }


@dataclasses.dataclass(frozen=True)
class MethodRow:
    """What must be known of a method before its class is imported.

    Attributes:
        place: "module:Class" in `ssl_tf.methods`.
        flags: the groups of flags that the method reads, beside those that all methods read.
        views: how many views of --image_size it takes: "one" or more, exactly "two", or "pairs",
            two or more that are compared pair by pair.
        small_views: it takes --small_views, too.
        queue: it keeps a queue of keys, which --batch_norm=shuffled hides.
        batch_loss: its loss compares the images of a batch, so that with --accumulate it is of a
            part.
    """

    place: str
    flags: tuple[type, ...]
    views: str = "pairs"
    small_views: bool = False
    queue: bool = False
    batch_loss: bool = False

    @property
    def flag_names(self) -> frozenset[str]:
        """Names of all flags in `flags`."""
        return frozenset(f.name for group in self.flags for f in dataclasses.fields(group))


METHODS = {
    "ma_ssrl": MethodRow(
        "byol:MaSsrl",
        (ProjectorFlags, TargetFlags, PredictorFlags, PairLossFlags, ObjectPairFlags),
    ),
    "byol": MethodRow(
        "byol:BYOL",
        (ProjectorFlags, TargetFlags, PredictorFlags, PairLossFlags, ObjectPairFlags),
    ),
    "moco": MethodRow(
        "moco:MoCo",
        (ProjectorFlags, TargetFlags, TemperatureFlags, QueueFlags, ObjectPairFlags),
        views="two",
        queue=True,
    ),
    "densecl": MethodRow(
        "densecl:DenseCL",
        (ProjectorFlags, TargetFlags, TemperatureFlags, QueueFlags, DenseFlags, ObjectPairFlags),
        views="two",
        queue=True,
    ),
    "simclr": MethodRow(
        "simclr:SimCLR",
        (ProjectorFlags, LayersFlags, TemperatureFlags, ObjectPairFlags),
        batch_loss=True,
    ),
    "simsiam": MethodRow("simsiam:SimSiam", (ProjectorFlags, LayersFlags, ObjectPairFlags)),
    "swav": MethodRow(
        "swav:SwAV",
        (ProjectorFlags, TemperatureFlags, PrototypeFlags, SinkhornFlags),
        views="two",
        small_views=True,
        batch_loss=True,
    ),
    "supervised": MethodRow("supervised:Supervised", (SupervisedFlags, ObjectPairFlags), "one"),
    "barlow_twins": MethodRow(
        "barlow_twins:BarlowTwins",
        (ProjectorFlags, LayersFlags, BarlowTwinsFlags, ObjectPairFlags),
        batch_loss=True,
    ),
    "dino": MethodRow(
        "dino:DINO",
        (ProjectorFlags, TargetFlags, TemperatureFlags, PrototypeFlags, DinoFlags),
        views="two",
        small_views=True,
    ),
}


class _FlagsByGroup:
    """`flags[Group]`: the flags of a group, whatever the method."""

    def __getitem__(self, group: type[Group]) -> Group:
        return getattr(self, group.__name__)


# One field a group, so that every group is defined as flags, written to flags.txt and read back.
MethodFlags = dataclasses.make_dataclass(
    "MethodFlags",
    [
        (group.__name__, group, dataclasses.field(default_factory=group))
        for group in dict.fromkeys(group for row in METHODS.values() for group in row.flags)
    ],
    bases=(_FlagsByGroup,),
    namespace={"__module__": __name__, "__doc__": "The flags of all methods, group by group."},
    frozen=True,
)
