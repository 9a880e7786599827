"""An encoder in which no identity hides a mistake."""

import numpy as np
import tensorflow as tf

from ssl_tf.networks.encoder import build_encoder
from ssl_tf.settings import ModelSettings

# One block a stage, for `resnet.DEPTHS`: more would only take longer to trace.
ONE_BLOCK_A_STAGE = (1, 1, 1, 1)


def random_encoder(model: ModelSettings, seed: int = 1, seed_of_norms: int = 2) -> tf.keras.Model:
    """With random gammas, where blocks start at 0, and random moving statistics."""
    encoder = build_encoder(model, seed)
    random = np.random.default_rng(seed_of_norms)
    for layer in encoder.layers:
        if isinstance(layer, tf.keras.layers.BatchNormalization):
            shape = layer.gamma.shape
            gamma, variance = random.uniform(0.5, 1.5, shape), random.uniform(0.5, 1.5, shape)
            beta, mean = random.normal(0, 0.3, shape), random.normal(0, 0.3, shape)
            layer.set_weights([gamma, beta, mean, variance])
    return encoder
