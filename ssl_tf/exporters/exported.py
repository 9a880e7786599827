"""What a format is given to write, and what it tells of it."""

import dataclasses
from typing import Any

import tensorflow as tf

from ssl_tf.data.source import Source
from ssl_tf.settings import FormatSettings, ModelSettings


@dataclasses.dataclass(frozen=True)
class Exported:
    """An encoder on its way out.

    Attributes:
        encoder: normalized float images [N, H, W, 3] to features [N, D], made by `build_resnet`.
        model: its depth, width and stem.
        image_size: side of the images after the crop of evaluation, in pixels.
        settings: the formats and their options.
        images: to calibrate int8 on; None: there are none.
        orient: it learned from images that were turned upright as EXIF says.
    """

    encoder: tf.keras.Model
    model: ModelSettings
    image_size: int
    settings: FormatSettings = FormatSettings()
    images: Source | None = None
    orient: bool = False


@dataclasses.dataclass(frozen=True)
class Written:
    """What a format has written and checked.

    Attributes:
        entries: for export.json, beside those of the encoder.
        report: lines for the user, the first of them with the check and its figure.
    """

    entries: dict[str, Any]
    report: tuple[str, ...]
