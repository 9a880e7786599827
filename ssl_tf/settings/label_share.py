"""The settings of the share of training images that have labels."""

import dataclasses
from pathlib import Path

from ssl_tf.errors import SettingsError
from ssl_tf.settings.fields import setting, unless

# Data sets of TFDS whose configurations are published lists of labelled images of another one.
LISTS_OF = {"imagenet2012_subset": "imagenet2012"}


@dataclasses.dataclass(frozen=True)
class ShareSettings:
    """The images whose labels may be used."""

    label_fraction: float = setting(
        1.0,
        "Share of the train images of each class that have a label; the others are left out.",
        above=0,
        high=1,
    )
    label_seed: int = setting(
        0, "Seed of that share; smaller shares lie within larger ones.", low=0
    )
    labels_from: str = setting(
        "",
        "Text file with the ids of the labelled images, one a line: labels.txt of another "
        "fine-tuning, or a published list such as SimCLR's 1percent.txt for ImageNet.",
        is_input=True,
    )

    @property
    def share_name(self) -> str:
        """Name of the share, such as 1pct; empty for all labels."""
        if self.labels_from:
            return Path(self.labels_from).stem
        return f"{100 * self.label_fraction:g}pct" if self.label_fraction < 1 else ""

    @property
    def unused(self) -> dict[str, str]:
        """Flags without effect, as in `fields.unused`."""
        return unless(self.label_fraction < 1, "--label_fraction draws no share", "label_seed")

    def __post_init__(self) -> None:
        if self.labels_from and self.label_fraction < 1:
            raise SettingsError("--label_fraction, --labels_from: give one of them")
