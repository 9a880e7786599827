"""An encoder that gives maps of features, whatever file it comes from."""

import dataclasses
from collections.abc import Callable

import tensorflow as tf

Maps = Callable[[tf.Tensor], list[tf.Tensor]]

# The layers of a ResNet of which there are maps by default: strides 8 and 16.
RESNET_LAYERS = ("C3", "C4")


@dataclasses.dataclass(frozen=True)
class Encoder:
    """Functions from images to features.

    Attributes:
        maps: uint8 [N, H, W, 3] -> float32 [N, h, w, D], one a layer.
        describe: uint8 [N, S, S, 3] -> float32 [N, D], for the comparison of images.
        layers: names of the maps' layers.
        least_side: smallest side of an image that has a map, in pixels.
        patch: side of the square patches of a ViT, in pixels, a multiple of which an image's sides
            must be; 0: any sides.
        fixed_size: (height, width) of the only images that it takes; None: any.
        sha256: of all weights and batch statistics.
        origin: where it comes from, in words.
    """

    maps: Maps
    describe: Callable[[tf.Tensor], tf.Tensor]
    layers: tuple[str, ...]
    least_side: int = 1
    patch: int = 0
    fixed_size: tuple[int, int] | None = None
    sha256: str = ""
    origin: str = ""
