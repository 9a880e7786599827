"""Tensors of a ResNet by torchvision's names, random, so that no identity hides a mistake."""

import numpy as np

from ssl_tf.weights.architecture import Architecture


def random_tensors(architecture, seed=0):
    random = np.random.default_rng(seed)

    def draw(name, shape):
        if name.endswith(".running_var"):
            return random.uniform(0.5, 2, shape)
        if len(shape) == 4:
            return random.normal(0, (2 / np.prod(shape[1:])) ** 0.5, shape)
        return random.normal(0.7 if name.endswith(".weight") else 0, 0.2, shape)

    return {n: np.float32(draw(n, shape)) for n, shape in architecture.shapes().items()}


SMALL = Architecture(18, 0.0625, "imagenet")
BOTTLENECKS = Architecture(50, 0.0625, "small")


def randomize(encoder, seed=0):
    """Random gammas, betas and statistics for an encoder of ours."""
    random = np.random.default_rng(seed)
    for variable in encoder.weights:
        low, high = {"gamma": (0.3, 1), "moving_variance": (0.5, 2)}.get(
            variable.name.rpartition("/")[2].partition(":")[0], (-0.2, 0.2)
        )
        if "kernel" not in variable.name:
            variable.assign(random.uniform(low, high, variable.shape))
    return encoder
