"""Settings of the export of an encoder."""

import dataclasses

from ssl_tf.errors import SettingsError
from ssl_tf.settings.flagfiles import setting

# Names of `exporters.formats.FORMATS`.
FORMATS = ("saved_model",)


@dataclasses.dataclass(frozen=True)
class FormatSettings:
    """The formats, and the options of single ones."""

    format: tuple[str, ...] = setting(
        ("saved_model",), "Formats to write, all into one directory.", choices=FORMATS
    )

    def __post_init__(self) -> None:
        if not self.format:
            raise SettingsError(f"--format: give one or more of {', '.join(FORMATS)}")
        if len(set(self.format)) < len(self.format):
            raise SettingsError(f"--format={','.join(self.format)}: give each format once")


@dataclasses.dataclass(frozen=True)
class ExportSettings:
    """`python -m ssl_tf.export`."""

    formats: FormatSettings
    checkpoint: str = setting("", "Run directory whose encoder is exported.")
    step: int = setting(0, "Step of the checkpoint to export; 0: the newest.", low=0, high=10**9)
    output: str = setting("", "New directory for all files; empty: RUN/export.")

    def __post_init__(self) -> None:
        if not self.checkpoint:
            raise SettingsError(
                "--checkpoint: give the run directory whose encoder is to be exported"
            )
