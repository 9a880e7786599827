"""The small networks on top of the encoder."""

import tensorflow as tf

from ssl_tf.networks.batch_normalization import batch_normalization
from ssl_tf.networks.initialization import layer_seed
from ssl_tf.networks.precision import full_dtype


def build_mlp(
    input_dim: int,
    hidden: int = 4096,
    output: int = 256,
    output_bias: bool = False,
    synchronized: bool = True,
    seed: int = 0,
    name: str = "projector",
) -> tf.keras.Model:
    """BYOL's projector and predictor: [N, input_dim] -> [N, output], not normalized.

    Dense with bias, batch normalization, ReLU, then Dense without bias and without normalization.
    Published: BYOL 3.3 and its code, 4096 hidden, 256 outputs for both heads; MA-SSRL the same
    (section 3); the 73.8 of MA-SSRL's model list has 512 outputs. SwAV's code: a projector of 2048
    hidden, 128 outputs, with a bias in the last layer.

    Args:
        input_dim: length of the features, or of the projection where this is the predictor.
        hidden: width of the hidden layer.
        output: length of the output.
        output_bias: whether the last layer has a bias.
        synchronized: batch statistics over all replicas.
        seed: with `name`, all that the first weights depend on: projector and predictor of one
            seed differ by their names, online and target projector need two seeds.
        name: of the model.
    """

    def dense(units: int, index: int, use_bias: bool) -> tf.keras.layers.Dense:
        # Fan-in scaled truncated normal: what Haiku's Linear, and so BYOL's code, starts from.
        kernel = tf.keras.initializers.LecunNormal(layer_seed(seed, f"{name}/dense{index}"))
        return tf.keras.layers.Dense(
            units, use_bias=use_bias, kernel_initializer=kernel, name=f"dense{index}"
        )

    inputs = tf.keras.Input((input_dim,), name="inputs", dtype=full_dtype())
    x = dense(hidden, 1, use_bias=True)(inputs)
    x = batch_normalization("bn1", synchronized, maps=False)(x)
    x = tf.keras.layers.ReLU(name="relu1")(x)
    return tf.keras.Model(inputs, dense(output, 2, output_bias)(x), name=name)


def build_plain_mlp(
    input_dim: int, hidden: int, output: int, seed: int = 0, name: str = "projector"
) -> tf.keras.Model:
    """MoCo-v2's projector: [N, input_dim] -> [N, output], not normalized.

    Dense, ReLU, Dense, both with bias, without batch normalization. Published: 2048 hidden, 128
    outputs.

    Args:
        input_dim: length of the features.
        hidden: width of the hidden layer.
        output: length of the output.
        seed: with `name`, all that the first weights depend on.
        name: of the model.
    """
    inputs = tf.keras.Input((input_dim,), name="inputs", dtype=full_dtype())
    x = tf.keras.layers.Dense(
        hidden, "relu", kernel_initializer=_torch_uniform(seed, f"{name}/dense1"), name="dense1"
    )(inputs)
    x = tf.keras.layers.Dense(
        output, kernel_initializer=_torch_uniform(seed, f"{name}/dense2"), name="dense2"
    )(x)
    return tf.keras.Model(inputs, x, name=name)


def build_normalized_mlp(
    input_dim: int,
    hidden: int,
    output: int,
    layers: int,
    last_scale: bool,
    synchronized: bool,
    seed: int = 0,
) -> tf.keras.Model:
    """SimCLR's and SimSiam's projector: [N, input_dim] -> [N, output], normalized over the batch.

    `layers` times Dense without bias and batch normalization, with a ReLU between two of them. The
    last normalization has no offset. Published: SimCLR's code (tf2/model.py) with `last_scale`,
    hidden as wide as the features, 128 outputs, 2 layers in the paper and 3 in version 2; SimSiam's
    code (simsiam/builder.py) without, 2048 hidden and outputs, 3 layers, on CIFAR-10 2 (App. D).

    Args:
        input_dim: length of the features.
        hidden: width of the hidden layers.
        output: length of the output.
        layers: number of Dense layers, at least 1.
        last_scale: the last normalization has a learned scale.
        synchronized: batch statistics over all replicas.
        seed: all that the first weights depend on.
    """
    inputs = tf.keras.Input((input_dim,), name="inputs", dtype=full_dtype())
    x = inputs
    for index in range(1, layers + 1):
        last = index == layers
        x = tf.keras.layers.Dense(
            output if last else hidden,
            use_bias=False,
            kernel_initializer=_torch_uniform(seed, f"projector/dense{index}"),
            name=f"dense{index}",
        )(x)
        x = batch_normalization(
            f"bn{index}",
            synchronized,
            maps=False,
            scale=last_scale or not last,
            offset=not last,
        )(x)
        if not last:
            x = tf.keras.layers.ReLU(name=f"relu{index}")(x)
    return tf.keras.Model(inputs, x, name="projector")


def build_bottleneck(dim: int, hidden: int, synchronized: bool, seed: int = 0) -> tf.keras.Model:
    """SimSiam's predictor: [N, dim] -> [N, dim], not normalized.

    Dense without bias, batch normalization, ReLU, Dense with bias (simsiam/builder.py of its code).
    Published: 2048 in and out, 512 hidden.

    Args:
        dim: length of the projection.
        hidden: width of the hidden layer.
        synchronized: batch statistics over all replicas.
        seed: all that the first weights depend on.
    """
    inputs = tf.keras.Input((dim,), name="inputs", dtype=full_dtype())
    x = tf.keras.layers.Dense(
        hidden,
        use_bias=False,
        kernel_initializer=_torch_uniform(seed, "predictor/dense1"),
        name="dense1",
    )(inputs)
    x = batch_normalization("bn1", synchronized, maps=False)(x)
    x = tf.keras.layers.ReLU(name="relu1")(x)
    x = tf.keras.layers.Dense(
        dim, kernel_initializer=_torch_uniform(seed, "predictor/dense2"), name="dense2"
    )(x)
    return tf.keras.Model(inputs, x, name="predictor")


def build_classifier(input_dim: int, classes: int, seed: int = 0) -> tf.keras.Model:
    """Linear scores: [N, input_dim] -> [N, classes].

    With bias; the first weights are normal with standard deviation 0.01 (Goyal et al. 2017, 5.1).

    Args:
        input_dim: length of the features.
        classes: number of scores.
        seed: all that the first weights depend on.
    """
    kernel = tf.keras.initializers.RandomNormal(
        stddev=0.01, seed=layer_seed(seed, "classifier/dense")
    )
    inputs = tf.keras.Input((input_dim,), name="inputs", dtype=full_dtype())
    scores = tf.keras.layers.Dense(classes, kernel_initializer=kernel, name="dense")(inputs)
    return tf.keras.Model(inputs, scores, name="classifier")


def build_dense_head(channels: int, hidden: int, output: int, seed: int = 0) -> tf.keras.Model:
    """DenseCL's dense projector: [N, H, W, channels] -> [N, H, W, output], not normalized.

    `build_plain_mlp` at every position: 1x1 convolution, ReLU, 1x1 convolution. Arguments as there.
    """
    inputs = tf.keras.Input((None, None, channels), name="inputs", dtype=full_dtype())
    x = tf.keras.layers.Conv2D(
        hidden,
        1,
        activation="relu",
        kernel_initializer=_torch_uniform(seed, "dense_projector/conv1"),
        name="conv1",
    )(inputs)
    x = tf.keras.layers.Conv2D(
        output, 1, kernel_initializer=_torch_uniform(seed, "dense_projector/conv2"), name="conv2"
    )(x)
    return tf.keras.Model(inputs, x, name="dense_projector")


def build_prototypes(dim: int, count: int, seed: int = 0) -> tf.keras.Model:
    """SwAV's prototypes: embeddings [N, dim] -> scores [N, count], inner products.

    The prototypes are the columns of the one kernel [dim, count], here of any length. Scores are
    float32 also under a mixed precision policy (float64 under a float64 one).

    Args:
        dim: length of the embeddings.
        count: number of prototypes.
        seed: all that the first weights depend on.
    """
    inputs = tf.keras.Input((dim,), name="embeddings", dtype=full_dtype())
    scores = tf.keras.layers.Dense(
        count,
        use_bias=False,
        kernel_initializer=_torch_uniform(seed, "prototypes"),
        dtype=full_dtype(),
        name="prototypes",
    )
    return tf.keras.Model(inputs, scores(inputs), name="prototypes")


def build_unit_mlp(
    input_dim: int,
    hidden: int,
    output: int,
    normalized: bool,
    synchronized: bool,
    seed: int = 0,
) -> tf.keras.Model:
    """DINO's projector down to its bottleneck: [N, input_dim] -> [N, output], rows of length 1.

    (Dense with bias, GELU) twice, then Dense with bias. Kernels start normal with standard
    deviation 0.02, biases at 0 (vision_transformer.py of its code). Published: 2048 hidden, 256
    outputs. The output is float32 also under a mixed precision policy (float64
    under a float64 one).

    Args:
        input_dim: length of the features.
        hidden: width of the hidden layers.
        output: length of the output.
        normalized: batch normalization in front of each GELU.
        synchronized: batch statistics over all replicas.
        seed: all that the first weights depend on.
    """

    def dense(units: int, index: int) -> tf.keras.layers.Dense:
        kernel_seed = layer_seed(seed, f"projector/dense{index}")
        kernel = tf.keras.initializers.RandomNormal(stddev=0.02, seed=kernel_seed)
        return tf.keras.layers.Dense(units, kernel_initializer=kernel, name=f"dense{index}")

    inputs = tf.keras.Input((input_dim,), name="inputs", dtype=full_dtype())
    x = inputs
    for index in (1, 2):
        x = dense(hidden, index)(x)
        if normalized:
            x = batch_normalization(f"bn{index}", synchronized, maps=False)(x)
        x = tf.keras.layers.Activation("gelu", name=f"gelu{index}")(x)
    x = dense(output, 3)(x)
    x = tf.keras.layers.UnitNormalization(axis=-1, dtype=full_dtype(), name="unit")(x)
    return tf.keras.Model(inputs, x, name="projector")


@tf.keras.utils.register_keras_serializable("ssl_tf")
class UnitPrototypes(tf.keras.layers.Layer):
    """Inner products [N, dim] -> [N, count] with prototypes of length 1.

    Weight normalization whose length g stays at 1: the optimizer moves a kernel [dim, count] of any
    length, and its columns are brought to length 1 in every forward pass.

    Args:
        count: number of prototypes.
        kernel_initializer: of the columns before they are normalized.
    """

    def __init__(self, count: int, kernel_initializer="glorot_uniform", **kwargs):
        super().__init__(**kwargs)
        self.count = count
        self.kernel_initializer = tf.keras.initializers.get(kernel_initializer)

    def build(self, input_shape: tf.TensorShape) -> None:
        self.kernel = self.add_weight(
            name="kernel",
            shape=(int(input_shape[-1]), self.count),
            initializer=self.kernel_initializer,
        )
        super().build(input_shape)

    def prototypes(self) -> tf.Tensor:
        """The prototypes as columns of length 1, [dim, count]."""
        return tf.math.l2_normalize(self.kernel, axis=0)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        return tf.matmul(inputs, self.prototypes())

    def get_config(self) -> dict:
        initializer = tf.keras.initializers.serialize(self.kernel_initializer)
        return {**super().get_config(), "count": self.count, "kernel_initializer": initializer}


def build_unit_prototypes(dim: int, count: int, seed: int = 0) -> tf.keras.Model:
    """DINO's last layer: embeddings [N, dim] -> scores [N, count], by `UnitPrototypes`.

    Published: 256 in, 65,536 out. Scores are float32 also under a mixed precision policy (float64
    under a float64 one).

    Args:
        dim: length of the embeddings.
        count: number of prototypes.
        seed: all that the first weights depend on.
    """
    inputs = tf.keras.Input((dim,), name="embeddings", dtype=full_dtype())
    scores = UnitPrototypes(
        count,
        _torch_uniform(seed, "prototypes"),
        dtype=full_dtype(),
        name="prototypes",
    )
    return tf.keras.Model(inputs, scores(inputs), name="prototypes")


def _torch_uniform(seed: int, name: str) -> tf.keras.initializers.Initializer:
    """Uniform up to 1 / sqrt(fan-in): torch's default, and so what MoCo's heads start from.

    Under SGD without layer-wise rates the size of the first weights matters.
    """
    return tf.keras.initializers.VarianceScaling(
        1 / 3, "fan_in", "uniform", seed=layer_seed(seed, name)
    )
