"""The benchmarks of the input and of training."""

import dataclasses
import itertools
from typing import NamedTuple

from ssl_tf.errors import SettingsError
from ssl_tf.settings.fields import setting, unless
from ssl_tf.settings.methods import ObjectPairFlags
from ssl_tf.settings.pretraining import AUTO_REFUSED, PretrainSettings

RIVALS = ("torchvision", "tensorflow_addons", "keras_cv", "tf_models")

# So many that a batch of the grid is filled however few the images are.
_ENDLESS_EPOCHS = 1e6
# On Ampere and newer, float32 products are rounded to TF32 unless TensorFlow is told not to.
GRID_PRECISIONS = ("float32", "tf32", "mixed_bfloat16", "mixed_float16")
# The methods whose step PyTorch's has: two networks, a predictor, two views.
AGAINST_METHODS = ("byol", "ma_ssrl")


@dataclasses.dataclass(frozen=True)
class TimingSettings:
    """How long each figure is measured."""

    seconds: float = setting(10.0, "Time for each figure, in seconds.", above=0, high=86_400)
    repetitions: int = setting(5, "Turns that share that time.", low=1, high=1000)


@dataclasses.dataclass(frozen=True)
class InputBenchmarkSettings:
    """`python -m ssl_tf.benchmark input`; takes the flagfile of any pre-training."""

    pretrain: PretrainSettings
    timing: TimingSettings
    cores: int = setting(0, "Cores of the machine to measure on; 0: all.", low=0, high=4096)
    sample: int = setting(256, "Images to measure on, kept in memory.", low=1, high=10**6)
    against: tuple[str, ...] = setting(
        (), "Other libraries to measure beside it, where installed.", choices=RIVALS
    )
    gpus: int = setting(8, "GPUs to keep busy.", low=1, high=10**6)
    gpu_images_per_second: float = setting(750.0, "Images one GPU takes in a second.", above=0)
    beside: tuple[str, ...] = setting(
        (), "Outputs of `python -m ssl_tf.prepare` to read and decode beside these images."
    )
    output: str = setting("", "JSON file for the result; empty: none.")

    @property
    def unused(self) -> dict[str, str]:
        """Takes back what pre-training says of its monitors: other images are measured on.

        It takes back what it says of canvases, too: the host's part of --augment_on=device is
        always measured.
        """
        resident = {"resident": "the host's part is that of images which it sends"}
        return {"monitor_split": "", "canvas": "", "auto": AUTO_REFUSED, **resident}

    def __post_init__(self) -> None:
        views = self.pretrain.views
        large, others = len(views.strategies), views.small_views + self.pretrain.with_original
        if self.against and (large, others) != (2, 0):
            raise SettingsError(
                f"--against={','.join(self.against)}: they make two views of one size, these flags "
                f"{large + others} an image; give configs/byol.flags"
            )


class Entry(NamedTuple):
    """One point of the grid."""

    precision: str
    xla: str
    augment_on: str
    batch_size: int

    def __str__(self) -> str:
        xla = {"on": ", XLA", "off": "", "auto": ", XLA auto"}[self.xla]
        return f"{self.precision}{xla}, views on {self.augment_on}, batch {self.batch_size}"


@dataclasses.dataclass(frozen=True)
class TrainBenchmarkSettings:
    """`python -m ssl_tf.benchmark train`; takes the flagfile of any pre-training."""

    pretrain: PretrainSettings
    timing: TimingSettings
    grid_precision: tuple[str, ...] = setting(
        (), "Precisions to measure; empty: that of --precision.", choices=GRID_PRECISIONS
    )
    grid_xla: tuple[str, ...] = setting(
        (), "Compilations to measure; empty: that of --xla.", choices=("off", "on")
    )
    grid_augment_on: tuple[str, ...] = setting(
        (), "Places of the augmentation; empty: that of --augment_on.", choices=("host", "device")
    )
    grid_batch_size: tuple[int, ...] = setting(
        (), "Batch sizes to measure; empty: that of --batch_size.", low=1, high=2**20
    )
    against: tuple[str, ...] = setting(
        (), "Other libraries whose step takes turns with ours.", choices=("torch",)
    )
    torch_python: str = setting(
        "", "Python of the environment where PyTorch is installed; empty: this one."
    )
    output: str = setting(
        "",
        "JSON file for the results; what was measured on the same card is not measured again. "
        "Empty: none.",
    )

    @property
    def unused(self) -> dict[str, str]:
        """Flags without effect, as in `fields.unused`; takes back what pre-training says."""
        on_device = "device" in self.grid_augment_on
        return {
            **(dict.fromkeys(("canvas", "resident"), "") if on_device else {}),
            "monitor_split": "",
            "auto": AUTO_REFUSED,
            **unless(bool(self.against), "--against is not given", "torch_python"),
        }

    def __post_init__(self) -> None:
        method, pairs = self.pretrain.model.method, self.pretrain.views.pairs
        if self.against and (method not in AGAINST_METHODS or pairs != ((0, 1),)):
            raise SettingsError(
                f"--against=torch: its step is that of BYOL with two views, not --method={method} "
                f"with {len(self.pretrain.views.strategies)}; give configs/byol.flags"
            )
        if self.against:
            self._refuse_unlike_steps()

    def _refuse_unlike_steps(self) -> None:
        """Refuses what PyTorch's step does not have: a ratio of unlike steps says nothing.

        Raises:
            SettingsError: there is such a flag.
        """
        pretrain = self.pretrain
        pair = pretrain.model.flags[ObjectPairFlags]
        accumulate, devices = pretrain.optimization.accumulate, pretrain.run.logical_cpus
        places = self.grid_augment_on or (pretrain.views.augment_on,)
        unlike = {
            "--augment_on=device": "device" in places,
            f"--accumulate={accumulate}": accumulate > 1,
            f"--logical_cpus={devices}": devices > 1,
            "--stride_in_1x1": pretrain.model.stride_in_1x1,
            f"--pretext={','.join(pair.pretext)}": pair.pretext,
            f"--projection_heads={pair.projection_heads}": pair.projection_heads != "shared",
        }
        for flag, is_given in unlike.items():
            if is_given:
                raise SettingsError(
                    f"{flag}: PyTorch's step has no such thing, and --against=torch would compare "
                    "two different steps; leave one of the two out"
                )

    @property
    def entries(self) -> list[Entry]:
        """The points of the grid, those of one batch size together, the smallest first."""
        run, views = self.pretrain.run, self.pretrain.views
        grid = itertools.product(
            sorted(self.grid_batch_size) or [self.pretrain.optimization.batch_size],
            self.grid_precision or ["tf32" if run.precision == "float32" else run.precision],
            self.grid_xla or [run.xla],
            self.grid_augment_on or [views.augment_on],
        )
        return [Entry(precision, xla, place, batch) for batch, precision, xla, place in grid]

    def of_entry(self, entry: Entry) -> PretrainSettings:
        """The pre-training of an entry.

        Raises:
            SettingsError: it cannot be.
        """
        precision = "float32" if entry.precision == "tf32" else entry.precision
        pretrain = self.pretrain
        return dataclasses.replace(
            pretrain,
            run=dataclasses.replace(pretrain.run, precision=precision, xla=entry.xla),
            views=dataclasses.replace(pretrain.views, augment_on=entry.augment_on),
            optimization=dataclasses.replace(
                pretrain.optimization, batch_size=entry.batch_size, epochs=_ENDLESS_EPOCHS
            ),
        )
