"""Settings of semantic segmentation."""

import dataclasses

from ssl_tf.errors import SettingsError
from ssl_tf.settings.downstream import AnnotatedTrainingSettings
from ssl_tf.settings.fields import never, setting


@dataclasses.dataclass(frozen=True)
class SegmenterSettings:
    """The network of a segmentation, its crops and its test."""

    head: str = setting(
        "deeplab",
        "Layers on the encoder: deeplab, the pyramid of DeepLab-v3; fcn, two convolutions.",
        choices=("deeplab", "fcn"),
    )
    output_stride: int = setting(
        16,
        "Largest stride of the encoder's last map, in pixels; below 8 for small images.",
        choices=(1, 2, 4, 8, 16, 32),
    )
    head_channels: int = setting(256, "Channels of the new layers.", low=1, high=4096)
    crop_size: int = setting(513, "Side of the crops of training, in pixels.", low=8, high=4096)
    scale_range: tuple[float, ...] = setting(
        (0.5, 2.0), "Smallest and largest scale of an image in training.", above=0, high=16
    )
    test_scales: tuple[float, ...] = setting(
        (1.0,), "Scales of an image in the test, whose scores are averaged.", above=0, high=16
    )
    test_flip: bool = setting(False, "Average the scores of the mirrored image, too, in the test.")

    def __post_init__(self) -> None:
        if len(self.scale_range) != 2 or self.scale_range[0] > self.scale_range[1]:
            raise SettingsError(
                f"--scale_range={','.join(map(str, self.scale_range))}: give the smallest scale, "
                "then the largest"
            )


@dataclasses.dataclass(frozen=True)
class SegmentSettings(AnnotatedTrainingSettings):
    """`python -m ssl_tf.segment`."""

    result = "segmentation"

    segmenter: SegmenterSettings = dataclasses.field(kw_only=True)

    @property
    def unused(self) -> dict[str, str]:
        """Flags without effect, as in `fields.unused`."""
        return never("a segmentation learns from every pixel", "keep_empty")
