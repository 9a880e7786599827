"""What the layers of all detectors are: a feature pyramid on an encoder's maps, and anchors."""

import dataclasses
import functools

import numpy as np
import tensorflow as tf

from ssl_tf.detection.model_garden import parts
from ssl_tf.networks.batch_normalization import EPSILON, MOMENTUM
from ssl_tf.settings import DetectorSettings

Maps = dict[str, tf.Tensor]

# Of what is found: the least score, and the overlap within a class from which one is dropped.
SCORE_THRESHOLD, NMS_THRESHOLD = 0.05, 0.5
# Anchors a location: width over height, and scales within an octave.
_ASPECTS = (0.5, 1.0, 2.0)


@dataclasses.dataclass(frozen=True)
class Detections:
    """The objects found in a batch, D an image, by falling score.

    Attributes:
        count: int32 [B], the first of the D that are objects.
        boxes: float32 [B, D, 4], ymin, xmin, ymax, xmax in pixels of the canvas.
        scores: float32 [B, D] in [0, 1].
        classes: int32 [B, D], from 1.
        masks: float32 [B, D, S, S] in [0, 1], of the inside of each box; None without masks.
    """

    count: tf.Tensor
    boxes: tf.Tensor
    scores: tf.Tensor
    classes: tf.Tensor
    masks: tf.Tensor | None = None


class DetectorHead(tf.keras.Model):
    """What all detectors have on the maps of an encoder: a feature pyramid, and anchors.

    Attributes:
        canvas: side of the images, in pixels.
        levels: of the pyramid; the stride of a level is two to its power.
        settings: of the detector.
    """

    def __init__(
        self, channels: dict[str, int], settings: DetectorSettings, levels: tuple[int, int]
    ):
        """
        Args:
            channels: level -> channels of the encoder's map, of all that it has.
            settings: of the detector.
            levels: first and last level of the pyramid.
        """
        super().__init__(name="head")
        self.canvas = settings.canvas
        self.levels = range(levels[0], levels[1] + 1)
        self.settings = settings
        self.read = tuple(name for name in channels if int(name) in self.levels)
        self.fpn = parts().FPN(
            input_specs={
                name: tf.TensorShape([None, *[self._side(int(name))] * 2, channels[name]])
                for name in self.read
            },
            min_level=levels[0],
            max_level=levels[1],
            num_filters=settings.pyramid_channels,
            activation="relu",
            **norm_options(),
        )

    def pyramid(self, maps: Maps, training: bool) -> Maps:
        """The pyramid of the encoder's maps [B, h, w, channels], by level."""
        return self.fpn({name: maps[name] for name in self.read}, training=training)

    @property
    def anchors_a_location(self) -> int:
        """A, anchors at one cell of a map."""
        return len(_ASPECTS) * self.scales

    @functools.cached_property
    def levelled_anchors(self) -> dict[str, np.ndarray]:
        """The anchors of each level, float32 [h, w, 4 A], in pixels of the canvas."""
        with tf.init_scope():
            anchors = parts().Anchor(
                min_level=self.levels[0],
                max_level=self.levels[-1],
                num_scales=self.scales,
                aspect_ratios=list(_ASPECTS),
                anchor_size=self.settings.anchor_scale or self.usual_anchor_scale,
                image_size=(self.canvas, self.canvas),
            )
            return {name: boxes.numpy() for name, boxes in anchors.multilevel_boxes.items()}

    @functools.cached_property
    def anchors(self) -> np.ndarray:
        """All anchors, level after level, float32 [N, 4]."""
        return np.concatenate([x.reshape(-1, 4) for x in self.levelled_anchors.values()])

    def flat(self, levelled: Maps, depth: int) -> tf.Tensor:
        """The outputs of all levels behind each other: [B, N, depth]."""
        return tf.concat(
            [tf.reshape(levelled[str(level)], [-1, self._anchors_of(level), depth])
             for level in self.levels], 1
        )  # fmt: skip

    def _side(self, level: int) -> int:
        """Side of a map, in cells."""
        return -(-self.canvas // 2**level)

    def _anchors_of(self, level: int) -> int:
        """Number of anchors of a level."""
        return self._side(level) ** 2 * self.anchors_a_location

    def _symbolic_maps(self) -> Maps:
        """Inputs of the shapes of the pyramid."""
        channels = self.settings.pyramid_channels
        return {
            str(n): tf.keras.Input([self._side(n), self._side(n), channels]) for n in self.levels
        }


def norm_options() -> dict[str, object]:
    """What Model Garden hands to its batch normalization; ours has these values of its own."""
    return {"use_sync_bn": False, "norm_momentum": MOMENTUM, "norm_epsilon": EPSILON}
