"""Settings of the preparation of images."""

import dataclasses
import re

from ssl_tf.errors import SettingsError
from ssl_tf.settings.fields import setting, unless
from ssl_tf.settings.sharding import ShardingSettings

ENCODINGS = ("jpeg", "png", "raw")
DUPLICATES = ("drop_exact", "drop_near", "keep")


@dataclasses.dataclass(frozen=True)
class PrepareSettings(ShardingSettings):
    """`python -m ssl_tf.prepare`."""

    input: str = setting(
        "", "A folder of images at any depth, or a text file of paths, one a line."
    )
    short_side: int = setting(
        256, "Short side of the images in pixels; smaller ones keep their size.", low=8, high=4096
    )
    encoding: str = setting(
        "jpeg",
        "Of the images: jpeg; png, without loss; raw pixels, read fastest and ten times as large.",
        choices=ENCODINGS,
    )
    quality: int = setting(90, "Quality of JPEG.", low=1, high=100)
    background: str = setting("ffffff", "Colour behind transparent pixels, as RRGGBB.")
    max_pixels: int = setting(
        120_000_000, "Images of more pixels are left out and listed.", low=1, high=10**9
    )
    min_side: int = setting(
        16, "Images of a smaller short side are left out and listed.", low=1, high=4096
    )
    duplicates: str = setting(
        "drop_exact",
        "Of files with the same bytes, keep the first; or also of images that look alike; or keep "
        "all. They are listed, and never on both sides of the split.",
        choices=DUPLICATES,
    )
    validation_share: float = setting(
        0.1, "Share of the images of each class in the split validation.", low=0, high=0.9
    )
    seed: int = setting(0, "Seed of the split and of the order.", low=0, high=2**31 - 1)
    shard_mib: int = setting(128, "Size of a record file, in MiB.", low=1, high=2**16)
    sheet_images: int = setting(48, "Images on the contact sheet.", low=0, high=1000)

    @property
    def unused(self) -> dict[str, str]:
        """Flags without effect, as in `fields.unused`."""
        reason = f"--encoding={self.encoding} has no quality"
        return {
            **unless(self.encoding == "jpeg", reason, "quality"),
            **super().unused,
        }

    def __post_init__(self) -> None:
        if not self.input:
            raise SettingsError("--input: give a folder of images, or a text file of paths")
        if not self.output:
            raise SettingsError("--output: give the directory for the record files")
        if not re.fullmatch("[0-9a-fA-F]{6}", self.background):
            raise SettingsError(f"--background={self.background}: give RRGGBB, such as ffffff")
        if self.min_side > self.short_side:
            raise SettingsError(
                f"--min_side={self.min_side}: is above --short_side={self.short_side}; lower it"
            )
