"""The small networks on top of the encoder."""

import tensorflow as tf

from ssl_tf.networks.batch_normalization import batch_normalization
from ssl_tf.networks.initialization import layer_seed


def build_mlp(
    input_dim: int,
    hidden: int = 4096,
    output: int = 256,
    layers: int = 2,
    synchronized: bool = True,
    seed: int = 0,
    name: str = "projector",
) -> tf.keras.Model:
    """BYOL's projector and predictor: [N, input_dim] -> [N, output], not normalized.

    (Dense with bias, batch normalization, ReLU) `layers - 1` times, then Dense without bias and
    without normalization. Published: BYOL 3.3 and its code, 2 layers, 4096 hidden, 256 outputs
    for both heads; MA-SSRL the same (section 3); the 73.8 of MA-SSRL's model list has 512
    outputs, and its longer run 3 layers in both heads.

    Args:
        input_dim: length of the features, or of the projection where this is the predictor.
        hidden: width of the hidden layers.
        output: length of the output.
        layers: number of Dense layers, at least 1.
        synchronized: batch statistics over all replicas.
        seed: with `name`, all that the first weights depend on: projector and predictor of one
            seed differ by their names, online and target projector need two seeds.
        name: of the model.

    Raises:
        ValueError: for fewer than one layer.
    """
    if layers < 1:
        raise ValueError(f"layers {layers}: at least 1")

    def dense(units: int, index: int, use_bias: bool) -> tf.keras.layers.Dense:
        # Fan-in scaled truncated normal: what Haiku's Linear, and so BYOL's code, starts from.
        kernel = tf.keras.initializers.LecunNormal(layer_seed(seed, f"{name}/dense{index}"))
        return tf.keras.layers.Dense(
            units, use_bias=use_bias, kernel_initializer=kernel, name=f"dense{index}"
        )

    inputs = tf.keras.Input((input_dim,), name="inputs")
    x = inputs
    for index in range(1, layers):
        x = dense(hidden, index, use_bias=True)(x)
        x = batch_normalization(f"bn{index}", synchronized, maps=False)(x)
        x = tf.keras.layers.ReLU(name=f"relu{index}")(x)
    return tf.keras.Model(inputs, dense(output, layers, use_bias=False)(x), name=name)
