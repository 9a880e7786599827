"""Settings of the export of an encoder."""

import dataclasses

from ssl_tf.errors import SettingsError
from ssl_tf.settings.data import OptionalDataSettings
from ssl_tf.settings.fields import names, never, setting, unless
from ssl_tf.settings.initialization import InitEncoderSettings, one_encoder

# Names of `exporters.formats.FORMATS`.
FORMATS = ("saved_model", "keras", "torchvision", "timm", "detectron2", "onnx", "tflite")
TFLITE_TYPES = ("float32", "float16", "int8")
_UNCALIBRATED = "only the int8 of --format=tflite is calibrated on images"


@dataclasses.dataclass(frozen=True)
class FormatSettings:
    """The formats, and the options of single ones."""

    format: tuple[str, ...] = setting(
        ("saved_model",),
        "Formats to write, all into one directory.",
        choices=FORMATS,
        distinct=True,
    )
    onnx_layout: str = setting(
        "nhwc", "Axes of the ONNX file's images and maps.", choices=("nhwc", "nchw")
    )
    onnx_maps: bool = setting(
        False, "The maps C2 to C5 as outputs of the ONNX file, beside the features."
    )
    tflite_types: tuple[str, ...] = setting(
        ("float32",),
        "Numbers of the TFLite files, one file each; int8 is calibrated on images.",
        choices=TFLITE_TYPES,
        distinct=True,
    )
    calibration_images: int = setting(
        256, "Images that int8 is calibrated on, drawn from the data.", low=1, high=10**6
    )

    @property
    def is_calibrated(self) -> bool:
        """Whether a format needs images."""
        return "tflite" in self.format and "int8" in self.tflite_types

    @property
    def unused(self) -> dict[str, str]:
        """Flags without effect, as in `fields.unused`."""
        return {
            **unless("onnx" in self.format, "no --format is onnx", "onnx_layout", "onnx_maps"),
            **unless("tflite" in self.format, "no --format is tflite", "tflite_types"),
            **unless(self.is_calibrated, _UNCALIBRATED, "calibration_images"),
        }


@dataclasses.dataclass(frozen=True)
class ExportSettings:
    """`python -m ssl_tf.export`."""

    formats: FormatSettings
    data: OptionalDataSettings
    init: InitEncoderSettings = dataclasses.field(default_factory=InitEncoderSettings)
    checkpoint: str = setting("", "Run directory whose encoder is exported.")
    step: int = setting(0, "Step of the checkpoint to export; 0: the newest.", low=0, high=10**9)
    output: str = setting(
        "", "New directory for all files; empty: RUN/export. An encoder in a file needs it."
    )

    @property
    def unused(self) -> dict[str, str]:
        """Flags without effect, as in `fields.unused`."""
        return {
            **unless(self.checkpoint, "the encoder is of no run", "step"),
            **never("an export takes no boxes", "proposals", "unmatched_proposals"),
            **unless(self.formats.is_calibrated, _UNCALIBRATED, *names(OptionalDataSettings)),
        }

    def __post_init__(self) -> None:
        one_encoder(self.init, self.checkpoint)
        if not self.checkpoint and not self.output:
            raise SettingsError("--output: give the new directory; an encoder in a file has none")
        if self.formats.is_calibrated and not self.data.named:
            raise SettingsError(
                "--tflite_types=int8: give images to calibrate on, by --image_folder, --dataset or "
                "--tfrecord"
            )
