"""The table of formats, and the directory of an export that holds several of them."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

from ssl_tf.errors import SettingsError
from ssl_tf.exporters.detectron2 import detectron2_refusal, write_detectron2
from ssl_tf.exporters.exported import Exported, Written
from ssl_tf.exporters.keras_file import write_keras_file
from ssl_tf.exporters.onnx_file import write_onnx_file
from ssl_tf.exporters.saved_model import write_saved_model
from ssl_tf.exporters.tflite_files import write_tflite_files
from ssl_tf.exporters.torch_models import timm_refusal
from ssl_tf.exporters.torch_weights import write_timm, write_torchvision
from ssl_tf.files import prepare_output, replacing, write_json
from ssl_tf.locks import SUFFIX, exclusive
from ssl_tf.networks.normalization import MEAN, STD
from ssl_tf.networks.precision import full_float32
from ssl_tf.settings import ModelSettings
from ssl_tf.views.evaluation_crop import resized_side
from ssl_tf.weights.torch_names import STRIDE


@dataclasses.dataclass(frozen=True)
class Format:
    """A format of an export.

    Attributes:
        write: writes the files into a directory, where files of other formats may be, reads them
            back and checks what they compute. Raises a UserError if that differs.
        refusal: why the format cannot express an encoder, as the end of a sentence; empty: it can.
    """

    write: Callable[[Exported, Path], Written]
    refusal: Callable[[ModelSettings], str] = lambda model: ""


FORMATS = {
    "saved_model": Format(write_saved_model),
    "keras": Format(write_keras_file),
    "torchvision": Format(write_torchvision),
    "timm": Format(write_timm, timm_refusal),
    "detectron2": Format(write_detectron2, detectron2_refusal),
    "onnx": Format(write_onnx_file),
    "tflite": Format(write_tflite_files),
}


def check_formats(model: ModelSettings, formats: tuple[str, ...]) -> None:
    """Checks, before the work, that all formats can express an encoder.

    Raises:
        SettingsError: one cannot.
    """
    for name in formats:
        reason = FORMATS[name].refusal(model)
        if reason:
            raise SettingsError(f"--format={name}: {reason}")


def check_new(output: Path) -> None:
    """Checks, before the work, that an export can be written; missing parents are created.

    Raises:
        SettingsError: `output` exists, or the place cannot be written.
    """
    if output.exists():
        raise SettingsError(f"--output={output} exists; give a new directory")
    prepare_output(output)


def export_encoder(
    exported: Exported, output: Path, facts: dict[str, str | int | float]
) -> dict[str, tuple[str, ...]]:
    """Writes the files of all formats and `export.json`, and checks what was written.

    Args:
        exported: the encoder and the formats.
        output: new directory; it is complete or absent.
        facts: about the encoder's origin, added to export.json.

    Returns:
        Format -> its report, as lines.

    Raises:
        SettingsError: `output` exists, or a format cannot express the encoder.
        UserError: what was written differs from the encoder by more than rounding, or another
            process exports to `output`.
    """
    # A GPU rounds to TF32, and what is compared with runs on the CPU, or by another kernel.
    with full_float32(), exclusive(output.parent, f"{output.name}{SUFFIX}"):
        return _export_alone(exported, output, facts)


def _export_alone(
    exported: Exported, output: Path, facts: dict[str, str | int | float]
) -> dict[str, tuple[str, ...]]:
    """`export_encoder` while no other process writes there."""
    check_new(output)
    check_formats(exported.model, exported.settings.format)
    with replacing(output) as temporary:
        temporary.mkdir()
        written = {
            name: FORMATS[name].write(exported, temporary) for name in exported.settings.format
        }
        model = exported.model
        upright = ", turned upright as EXIF says" if exported.orient else ""
        entries = {
            **facts,
            "depth": model.depth,
            "width": model.width,
            "stem": model.stem,
            STRIDE: model.stride_in_1x1,
            "formats": exported.settings.format,
            "image_size": exported.image_size,
            "orient": exported.orient,
            "preprocessing": f"RGB{upright}; short side to {resized_side(exported.image_size)} "
            "pixels, bicubic, antialiased; the centre square of image_size; "
            "(pixel / 255 - mean) / std",
            "mean": MEAN,
            "std": STD,
            "feature_dim": exported.encoder.output_shape[-1],
        }
        for result in written.values():
            entries |= result.entries
        write_json(temporary / "export.json", entries)
    return {name: result.report for name, result in written.items()}
