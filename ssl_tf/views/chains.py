"""The fixed colour chains: jitter, grey, blur, solarize, each with its own probability."""

import dataclasses

import tensorflow as tf

from ssl_tf.views import photometric
from ssl_tf.views.compilation import choose
from ssl_tf.views.jitter import jitter

# Random numbers of one application: whether jitter, grey, blur and solarize happen, the blur's
# sigma, and five for the jitter.
DRAWS = 10


@dataclasses.dataclass(frozen=True)
class Chain:
    """Strengths and probabilities of one chain; the order is that of BYOL appendix B."""

    brightness: float
    contrast: float
    saturation: float
    hue: float
    additive_brightness: bool
    blur: float
    solarize: float = 0.0
    jitter: float = 0.8
    grey: float = 0.2

    def __call__(self, image: tf.Tensor, uniform: tf.Tensor) -> tf.Tensor:
        """uint8 [S, S, 3] -> uint8 [S, S, 3]; float32 in between, rounded once at the end.

        uniform: float32 [DRAWS] in [0, 1). A batch has a leading dimension N, and so have they.
        """
        taps = photometric.blur_taps(image.shape[-2])
        strengths = (self.brightness, self.contrast, self.saturation, self.hue)
        kind = "additive" if self.additive_brightness else "multiplicative"
        steps = (
            (
                self.jitter,
                lambda x, u: photometric.to_float(x),
                lambda x, u: jitter(x, u[..., 5:], strengths, kind),
            ),
            (self.grey, _kept, lambda x, u: photometric.grayscale(x)),
            (
                self.blur,
                _kept,
                lambda x, u: photometric.gaussian_blur(x, 0.1 + 1.9 * u[..., 4], taps),
            ),
            (self.solarize, _kept, lambda x, u: photometric.solarize(x)),
        )
        x = image
        for index, (probability, otherwise, step) in enumerate(steps):
            if probability == 1.0:
                x = step(x, uniform)
            # The first step is never left out: both its branches make floats of bytes.
            elif probability or index == 0:
                happens = tf.cast(uniform[..., index] < probability, tf.int32)
                x = choose(happens, [otherwise, step], x, uniform)
        return photometric.to_uint8(tf.ensure_shape(x, image.shape))


def _kept(x: tf.Tensor, uniform: tf.Tensor) -> tf.Tensor:
    return tf.identity(x)


def chain(strategy: str, strength: float = 1.0, blur: bool = True) -> Chain:
    """The chain of a strategy, with its blur or without.

    byol_t, byol_t_prime: BYOL appendix B, table 6. simclr: SimCLR appendix A at colour strength
    `strength`, brightness multiplicative as in its second release. ma_ssrl_simclr: the SimCLR-like
    branch in the code of the MA-SSRL authors, weaker in hue, blurred always. moco: that of
    MoCo v2 and Object-Aware Cropping, the jitter multiplicative as torchvision's.
    """
    found = _published(strategy, strength)
    return found if blur else dataclasses.replace(found, blur=0.0)


def _published(strategy: str, strength: float) -> Chain:
    if strategy == "byol_t":
        return Chain(0.4, 0.4, 0.2, 0.1, additive_brightness=True, blur=1.0)
    if strategy == "byol_t_prime":
        return Chain(0.4, 0.4, 0.2, 0.1, additive_brightness=True, blur=0.1, solarize=0.2)
    if strategy == "simclr":
        s = strength
        return Chain(0.8 * s, 0.8 * s, 0.8 * s, 0.2 * s, additive_brightness=False, blur=0.5)
    if strategy == "ma_ssrl_simclr":
        return Chain(0.32, 0.32, 0.16, 0.02, additive_brightness=True, blur=1.0)
    if strategy == "moco":
        return Chain(0.4, 0.4, 0.4, 0.1, additive_brightness=False, blur=0.5)
    raise ValueError(f"no colour chain for {strategy}")
