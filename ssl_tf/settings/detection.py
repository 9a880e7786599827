"""The settings of detection and instance segmentation."""

import dataclasses

from ssl_tf.errors import SettingsError
from ssl_tf.settings.downstream import AnnotatedTrainingSettings
from ssl_tf.settings.fields import never, setting, unless

# Stride of the last map of an encoder, to whose multiples the canvas is bound.
_LAST_STRIDE = 32
_OF_REGIONS = ("masks", "box_head_channels", "proposals", "sampled_anchors", "sampled_regions")


@dataclasses.dataclass(frozen=True)
class DetectorSettings:
    """The detector, and the canvas on which it sees images."""

    detector: str = setting(
        "faster_rcnn",
        "Faster R-CNN with a feature pyramid, or RetinaNet.",
        choices=("faster_rcnn", "retinanet"),
    )
    masks: bool = setting(False, "Masks of the objects too: Mask R-CNN.")
    canvas: int = setting(
        1024, "Side of the square on which an image is fitted, in pixels.", low=32, high=4096
    )
    scale_min: float = setting(
        0.8, "Smallest scale of a training image; 1 just fits the canvas.", above=0, high=10
    )
    scale_max: float = setting(
        1.25, "Largest scale; of what is larger than the canvas a part is seen.", above=0, high=10
    )
    flip: bool = setting(True, "Flip half of the training images from left to right.")
    pyramid_channels: int = setting(
        256, "Channels of the pyramid and of the convolutions on it.", low=1, high=4096
    )
    box_head_channels: int = setting(
        1024, "Channels of the two dense layers before boxes and classes.", low=1, high=2**16
    )
    mask_convs: int = setting(4, "Convolutions of the mask head.", low=0, high=64)
    anchor_scale: float = setting(
        0.0,
        "Side of the anchors in strides of their level; 0: that of the paper, 8 or, of RetinaNet, "
        "4.",
        low=0,
        high=1e3,
    )
    proposals: int = setting(1000, "Regions that are proposed of an image.", low=1, high=10**5)
    sampled_anchors: int = setting(
        256, "Anchors of an image on which proposals are learned.", low=2, high=10**5
    )
    sampled_regions: int = setting(
        512, "Regions of an image on which classes and boxes are learned.", low=4, high=10**5
    )
    max_objects: int = setting(
        100, "Objects of an image that are learned, the first of them.", low=1, high=10**4
    )
    max_detections: int = setting(100, "Objects to find in an image.", low=1, high=10**4)

    @property
    def unused(self) -> dict[str, str]:
        """Flags without effect, as in `fields.unused`."""
        regions = self.detector == "faster_rcnn"
        return {
            **unless(self.masks, "there is no mask head without --masks", "mask_convs"),
            **unless(regions, f"--detector={self.detector} has no regions", *_OF_REGIONS),
        }

    def __post_init__(self) -> None:
        if self.canvas % _LAST_STRIDE:
            raise SettingsError(f"--canvas={self.canvas}: give a multiple of {_LAST_STRIDE}")
        if self.scale_min > self.scale_max:
            raise SettingsError(
                f"--scale_min={self.scale_min:g}: is above --scale_max={self.scale_max:g}"
            )


@dataclasses.dataclass(frozen=True)
class DetectSettings(AnnotatedTrainingSettings):
    """`python -m ssl_tf.detect`."""

    result = "detection"

    network: DetectorSettings = dataclasses.field(kw_only=True)

    @property
    def is_voc(self) -> bool:
        """Whether the images are VOC's, and so its figures."""
        return bool(self.data.voc_dir) or self.data.dataset.startswith("voc")

    @property
    def unused(self) -> dict[str, str]:
        """Flags without effect, as in `fields.unused`."""
        names = ("test_label_maps", "reduce_zero_label", "label_names", "num_classes")
        return never("a detector learns from boxes, not from label maps", *names)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.data.label_maps:
            raise SettingsError(
                f"--label_maps={self.data.label_maps}: has no boxes; give it to segment"
            )
