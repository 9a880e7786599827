"""Batch normalization with the statistics of all replicas, equal to that of one device.

Keras's `synchronized=True` has two faults. It computes the variance as E[x^2] - E[x]^2, which in
float32 may be negative on nearly constant channels, so that its root is NaN. And its moving
variance is the biased one, but that of Keras's kernel for one device is the unbiased one, so that 1
and 2 replicas would export different encoders.
"""

import tensorflow as tf

from ssl_tf.networks.replicas import replica_sum

MOMENTUM, EPSILON = 0.9, 1e-5


def batch_normalization(
    name: str,
    synchronized: bool,
    gamma_initializer: str = "ones",
    maps: bool = True,
    scale: bool = True,
    offset: bool = True,
) -> tf.keras.layers.Layer:
    """Batch normalization over all but the last axis, decay 0.9 and epsilon 1e-5.

    These are the values published for BYOL, SimCLR and (as torch's momentum 0.1) MoCo.

    Args:
        name: name of the layer.
        synchronized: use the statistics of all replicas. On one replica False gives the same
            result; for feature maps the kernel is faster. The variables have the same names.
        gamma_initializer: initializer of the scale.
        maps: the inputs are feature maps [N, H, W, C]; else they are vectors [N, C].
        scale: learn the scale gamma; else it is 1.
        offset: learn the offset beta; else it is 0.
    """
    if maps and not synchronized:
        return tf.keras.layers.BatchNormalization(
            momentum=MOMENTUM,
            epsilon=EPSILON,
            center=offset,
            scale=scale,
            gamma_initializer=gamma_initializer,
            name=name,
        )
    return BatchNormalization(synchronized, gamma_initializer, scale, offset, name=name)


def set_momentum(network: tf.keras.Model, momentum: float) -> None:
    """Sets the decay of all moving statistics of a network that has not been called yet."""
    for layer in network.layers:
        if isinstance(layer, (tf.keras.layers.BatchNormalization, BatchNormalization)):
            layer.momentum = momentum


@tf.keras.utils.register_keras_serializable("ssl_tf")
class BatchNormalization(tf.keras.layers.Layer):
    """Normalizes by mean and variance over the global batch; gradients flow through both.

    The mean is computed first, then the variance around it: two small reductions without
    cancellation. The moving variance is the unbiased one (n - 1). Everything is computed in float32
    also under a mixed precision policy (in float64 under a float64 policy). Every replica must have
    an equal share of the batch.
    """

    def __init__(
        self,
        synchronized: bool,
        gamma_initializer: str = "ones",
        scale: bool = True,
        offset: bool = True,
        momentum: float = MOMENTUM,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self._synchronized = synchronized
        self._gamma_initializer = gamma_initializer
        self._scale = scale
        self._offset = offset
        self.momentum = momentum

    def build(self, input_shape: tf.TensorShape) -> None:
        shape = (int(input_shape[-1]),)

        def statistic(name: str, initializer: str) -> tf.Variable:
            # All replicas compute the same value: the first one's is read, without a collective.
            return self.add_weight(
                name=name,
                shape=shape,
                dtype=self.variable_dtype,
                initializer=initializer,
                trainable=False,
                experimental_autocast=False,
                synchronization=tf.VariableSynchronization.ON_READ,
                aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
            )

        def parameter(name: str, initializer: str) -> tf.Variable:
            return self.add_weight(
                name=name,
                shape=shape,
                dtype=self.variable_dtype,
                initializer=initializer,
                experimental_autocast=False,
            )

        self.gamma = parameter("gamma", self._gamma_initializer) if self._scale else 1.0
        self.beta = parameter("beta", "zeros") if self._offset else 0.0
        self.moving_mean = statistic("moving_mean", "zeros")
        self.moving_variance = statistic("moving_variance", "ones")
        super().build(input_shape)

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        x = tf.cast(inputs, self.variable_dtype)
        # As Keras's own layer does: one that does not train keeps its statistics and uses them.
        if training and self.trainable:
            mean, variance, count = self._moments(x)
            self._move(self.moving_mean, mean)
            self._move(self.moving_variance, variance * count / tf.maximum(count - 1, 1))
        else:
            mean, variance = self.moving_mean, self.moving_variance
        scale = self.gamma * tf.math.rsqrt(variance + EPSILON)
        return tf.cast((x - mean) * scale + self.beta, inputs.dtype)

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "synchronized": self._synchronized,
            "gamma_initializer": self._gamma_initializer,
            "scale": self._scale,
            "offset": self._offset,
            "momentum": self.momentum,
        }

    def _moments(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Mean [C] and biased variance [C] over the batch, and the number of values a channel."""
        axes = list(range(x.shape.rank - 1))
        replicas = tf.distribute.get_strategy().num_replicas_in_sync if self._synchronized else 1

        def over_replicas(local: tf.Tensor) -> tf.Tensor:
            return local if replicas == 1 else replica_sum(local) / replicas

        mean = over_replicas(tf.reduce_mean(x, axes))
        variance = over_replicas(tf.reduce_mean(tf.math.squared_difference(x, mean), axes))
        count = tf.size(x) // x.shape[-1] * replicas
        return mean, variance, tf.cast(count, x.dtype)

    def _move(self, statistic: tf.Variable, value: tf.Tensor) -> None:
        statistic.assign_sub((1 - self.momentum) * (statistic - tf.stop_gradient(value)))
