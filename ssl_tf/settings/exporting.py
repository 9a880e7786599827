"""Settings of the export of an encoder."""

import dataclasses

from ssl_tf.errors import SettingsError
from ssl_tf.settings.flagfiles import setting, unless
from ssl_tf.settings.initialization import InitEncoderSettings, one_encoder

# Names of `exporters.formats.FORMATS`.
FORMATS = ("saved_model", "torchvision", "timm", "detectron2")


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
    init: InitEncoderSettings = dataclasses.field(default_factory=InitEncoderSettings)
    checkpoint: str = setting("", "Run directory whose encoder is exported.")
    step: int = setting(0, "Step of the checkpoint to export; 0: the newest.", low=0, high=10**9)
    output: str = setting(
        "", "New directory for all files; empty: RUN/export. An encoder in a file needs it."
    )

    @property
    def unused(self) -> dict[str, str]:
        """Flags without effect, as in `flagfiles.unused`."""
        return unless(self.checkpoint, "the encoder is of no run", "step")

    def __post_init__(self) -> None:
        one_encoder(self.init, self.checkpoint)
        if not self.checkpoint and not self.output:
            raise SettingsError("--output: give the new directory; an encoder in a file has none")
