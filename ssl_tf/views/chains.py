"""The fixed colour chains: jitter, grey, blur and solarize, each with a probability.

`CHAINS` has one row for each strategy of `settings.STRATEGIES` that is a colour chain.
"""

import dataclasses

import numpy as np
import tensorflow as tf

from ssl_tf.views import ops, photometric
from ssl_tf.views.box_blur import pillow_blur
from ssl_tf.views.compilation import choose
from ssl_tf.views.enhancement import pillow_jitter
from ssl_tf.views.jitter import described, jitter

# Random numbers of one application: four decide on jitter, grey, blur and solarize, one gives the
# sigma of the blur, five go to the jitter.
DRAWS = 10


@dataclasses.dataclass(frozen=True)
class Chain:
    """Strengths and probabilities of one chain; the order of the steps is that of BYOL appendix B.

    Attributes:
        brightness, contrast, saturation, hue: strengths of the jitter, as in `jitter.jitter`.
        additive_brightness: whether brightness is added or multiplied; Pillow multiplies always.
        blur, solarize, jitter, grey: probabilities of the steps, 0..1.
        scaled: whether --jitter_strength multiplies the four strengths.
        library: whose arithmetic: "tensorflow", in float32, rounded once at the end; "pillow", as
            torchvision's transforms of PIL images, in bytes.
    """

    brightness: float
    contrast: float
    saturation: float
    hue: float
    additive_brightness: bool
    blur: float
    solarize: float = 0.0
    jitter: float = 0.8
    grey: float = 0.2
    scaled: bool = False
    library: str = "tensorflow"

    def __call__(self, image: tf.Tensor, uniform: tf.Tensor) -> tf.Tensor:
        """Applies the chain.

        Args:
            image: uint8 [S, S, 3] or a batch [N, S, S, 3].
            uniform: float32 [DRAWS] in [0, 1), or [N, DRAWS].

        Returns:
            uint8, with the shape of `image`.
        """
        steps = self._on_bytes() if self.library == "pillow" else self._on_floats(image)
        x = image
        for index, (probability, otherwise, step) in enumerate(steps):
            if probability == 1.0:
                x = step(x, uniform)
            # The first step always runs, since both its branches may convert bytes to floats.
            elif probability or index == 0:
                happens = tf.cast(uniform[..., index] < probability, tf.int32)
                x = choose(happens, [otherwise, step], x, uniform)
        x = tf.ensure_shape(x, image.shape)
        return x if x.dtype == tf.uint8 else photometric.to_uint8(x)

    def _on_floats(self, image: tf.Tensor) -> tuple[tuple, ...]:
        """The steps as (probability, what happens otherwise, step), from bytes to float32."""
        taps = photometric.blur_taps(image.shape[-2])
        return (
            (
                self.jitter,
                lambda x, u: photometric.to_float(x),
                lambda x, u: jitter(x, u[..., 5:], self._strengths, self._kind),
            ),
            (self.grey, _kept, lambda x, u: photometric.grayscale(x)),
            (
                self.blur,
                _kept,
                lambda x, u: photometric.gaussian_blur(x, _sigma(u[..., 4]), taps),
            ),
            (self.solarize, _kept, lambda x, u: photometric.solarize(x)),
        )

    def _on_bytes(self) -> tuple[tuple, ...]:
        """The steps as `_on_floats`, all on bytes."""
        return (
            (self.jitter, _kept, lambda x, u: pillow_jitter(x, u[..., 5:], self._strengths)),
            (self.grey, _kept, lambda x, u: ops.color_drop(x, u)),
            (self.blur, _kept, lambda x, u: pillow_blur(x, _sigma(u[..., 4]))),
            (self.solarize, _kept, lambda x, u: ops.solarize(x, 128.0 * tf.ones_like(u[..., 0]))),
        )

    def describe(self, uniform: np.ndarray) -> list[str]:
        """The steps that the chain takes with these numbers, float32 [DRAWS], as short lines."""
        jittered = described(uniform[5:], self._strengths, self._kind)
        steps = (
            (self.jitter, jittered),
            (self.grey, ["grey"]),
            (self.blur, [f"blur {_sigma(uniform[4]):.2f}"]),
            (self.solarize, ["solarize"]),
        )
        return [
            line
            for index, (probability, lines) in enumerate(steps)
            if uniform[index] < probability
            for line in lines
        ]

    @property
    def _strengths(self) -> tuple[float, float, float, float]:
        return (self.brightness, self.contrast, self.saturation, self.hue)

    @property
    def _kind(self) -> str:
        additive = self.additive_brightness and self.library == "tensorflow"
        return "additive" if additive else "multiplicative"


def _sigma(uniform: tf.Tensor | np.ndarray) -> tf.Tensor | np.ndarray:
    """The sigma of the blur in pixels, 0.1 to 2, from numbers in [0, 1)."""
    return 0.1 + 1.9 * uniform


def _kept(x: tf.Tensor, uniform: tf.Tensor) -> tf.Tensor:
    return tf.identity(x)


# The order of the strengths is brightness, contrast, saturation, hue.
CHAINS: dict[str, Chain] = {
    # BYOL appendix B, table 6.
    "byol_t": Chain(0.4, 0.4, 0.2, 0.1, additive_brightness=True, blur=1.0),
    "byol_t_prime": Chain(0.4, 0.4, 0.2, 0.1, additive_brightness=True, blur=0.1, solarize=0.2),
    # SimCLR appendix A; the multiplicative brightness is that of its second release.
    "simclr": Chain(0.8, 0.8, 0.8, 0.2, additive_brightness=False, blur=0.5, scaled=True),
    # The SimCLR branch of the MA-SSRL authors' code: weaker, above all in hue, always blurred.
    "ma_ssrl_simclr": Chain(0.32, 0.32, 0.16, 0.02, additive_brightness=True, blur=1.0),
    # MoCo v2 and Object-Aware Cropping.
    "moco": Chain(0.4, 0.4, 0.4, 0.1, additive_brightness=False, blur=0.5),
}


def chain(
    strategy: str, strength: float = 1.0, blur: bool = True, library: str = "tensorflow"
) -> Chain:
    """The colour chain of a strategy, adapted to the flags.

    Args:
        strategy: a key of `CHAINS`.
        strength: SimCLR's colour strength s, a factor on the jitter of rows that are `scaled`.
        blur: False leaves the blur out.
        library: as in `Chain`.
    """
    made = dataclasses.replace(CHAINS[strategy], library=library)
    if made.scaled:
        made = dataclasses.replace(
            made,
            brightness=made.brightness * strength,
            contrast=made.contrast * strength,
            saturation=made.saturation * strength,
            hue=made.hue * strength,
        )
    return made if blur else dataclasses.replace(made, blur=0.0)
