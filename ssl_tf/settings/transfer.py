"""The settings of the transfer of an encoder to a suite of data sets."""

import dataclasses

from ssl_tf.errors import SettingsError
from ssl_tf.settings.data import ReadingSettings
from ssl_tf.settings.evaluation import EncoderSettings
from ssl_tf.settings.fields import names, setting, unless
from ssl_tf.settings.finetuning import TuningSettings

# Names of `evaluation.protocols.PROTOCOLS`, in the order of the table's columns. The first six of
# ma_ssrl are those of its paper; BYOL reports CIFAR-10 in addition.
SUITES = {
    "ma_ssrl": ("food101", "cifar100", "cars196", "dtd", "sun397", "oxford_iiit_pet", "cifar10"),
    "small": ("cifar10", "cifar100", "mnist", "fashion_mnist"),
}


@dataclasses.dataclass(frozen=True)
class TransferSettings:
    """The settings of `python -m ssl_tf.transfer`."""

    encoder: EncoderSettings
    reading: ReadingSettings
    tuning: TuningSettings
    output: str = setting(
        "",
        "Directory of the reports; empty: transfer in the run directory. An encoder in a file "
        "needs it.",
    )
    suite: str = setting("ma_ssrl", "Suite of data sets.", choices=tuple(SUITES))
    only: tuple[str, ...] = setting(
        (),
        "Only these data sets of the suite; empty: all.",
        choices=tuple(dict.fromkeys(name for names in SUITES.values() for name in names)),
    )
    protocol: str = setting(
        "linear",
        "linear: logistic regression on features of the frozen encoder; finetune: the whole "
        "network, by the flags of fine-tuning.",
        choices=("linear", "finetune"),
    )
    max_iterations: int = setting(
        1000,
        "Limit of L-BFGS at each of the 45 penalties; fits that reach it are reported.",
        low=1,
        high=10**6,
    )

    @property
    def unused(self) -> dict[str, str]:
        """Flags without effect, as in `fields.unused`."""
        linear, unread = self.protocol == "linear", f"--protocol={self.protocol} does not read it"
        # A study gives every stage its seed.
        tuning = [name for name in names(TuningSettings) if name != "seed"]
        return {
            **unless(linear, unread, "max_iterations"),
            **unless(not linear, unread, *tuning),
            **unless(not linear, "images are read in their order", "shuffle_mib"),
        }

    @property
    def datasets(self) -> tuple[str, ...]:
        """Names of the data sets, in the order of the suite."""
        return tuple(n for n in SUITES[self.suite] if not self.only or n in self.only)

    def __post_init__(self) -> None:
        if not self.encoder.checkpoint and not self.output:
            raise SettingsError(
                "--output: give the directory of the reports; an encoder in a file has none"
            )
        absent = [name for name in self.only if name not in SUITES[self.suite]]
        if absent:
            raise SettingsError(
                f"--only={','.join(absent)}: not in --suite={self.suite}, which has "
                f"{', '.join(SUITES[self.suite])}"
            )
