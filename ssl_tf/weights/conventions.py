"""Other conventions of ResNets turned into ours: pixels, biases and epsilon.

Detectron2's defaults and keras.applications have that of Caffe: images are BGR in 0..255 less a
mean, without a division, and a bottleneck has its stride in the first 1x1 convolution. The stride
is a property of the network (`stride_in_1x1`); the rest goes into the weights.
"""

from collections.abc import Sequence

import numpy as np

from ssl_tf.networks.batch_normalization import EPSILON
from ssl_tf.networks.normalization import MEAN, STD

Tensors = dict[str, np.ndarray]


def with_our_pixels(tensors: Tensors, mean: Sequence[float], std: Sequence[float]) -> Tensors:
    """Encoders of images normalized by another mean and deviation, as encoders of ours.

    With our mean the two are the same function. With another one the difference is a constant in
    front of the first convolution. It is taken out of the first normalization's mean, which is
    exact but for the border of the image, where the convolution sees its padding.

    Args:
        tensors: by torchvision's names, in torch's layout.
        mean, std: RGB of 0 to 1; what was subtracted, and then divided by.
    """
    kernel = tensors["conv1.weight"].astype(np.float64)
    constant = np.einsum("oihw,i->o", kernel, (np.array(MEAN) - mean) / std)
    return {
        **tensors,
        "conv1.weight": np.float32(kernel * (np.array(STD) / std)[:, None, None]),
        "bn1.running_mean": np.float32(tensors["bn1.running_mean"] - constant),
    }


def from_caffe_pixels(tensors: Tensors, mean: Sequence[float] = MEAN) -> Tensors:
    """Encoders of BGR pixels in 0..255 less a mean, as encoders of our normalized images.

    Args:
        tensors: by torchvision's names, in torch's layout.
        mean: that was subtracted, RGB of 0 to 1.
    """
    turned = {**tensors, "conv1.weight": tensors["conv1.weight"][:, ::-1]}
    return with_our_pixels(turned, mean, np.full(3, 1 / 255))


def without_bias(tensors: Tensors, norms: dict[str, str]) -> Tensors:
    """Moves biases of convolutions into the means of the normalizations that follow them.

    Args:
        tensors: some of them biases of convolutions, `layer1.0.conv1.bias`.
        norms: convolution -> normalization behind it, both by torchvision's names of modules.
    """
    turned = dict(tensors)
    for conv, norm in norms.items():
        mean = f"{norm}.running_mean"
        if f"{conv}.bias" in turned and mean in turned:
            turned[mean] = turned[mean] - turned.pop(f"{conv}.bias")
    return turned


def with_our_epsilon(tensors: Tensors, epsilon: float) -> Tensors:
    """Adds to all variances what another epsilon of the normalization was above ours."""
    return {
        name: np.float32(value + (np.float64(epsilon) - EPSILON))
        if name.endswith(".running_var")
        else value
        for name, value in tensors.items()
    }
