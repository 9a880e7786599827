"""The layers on an encoder's last map that score the classes of each cell."""

import tensorflow as tf

from ssl_tf.errors import SettingsError
from ssl_tf.networks.batch_normalization import batch_normalization
from ssl_tf.networks.initialization import layer_seed
from ssl_tf.networks.precision import full_dtype

# Dilations of the pyramid at stride 16 (DeepLab-v3 section 3.3); at 8 and less they are doubled.
_RATES = (6, 12, 18)
# Dilation of the two convolutions of FCN at stride 16 (MoCo, appendix on VOC segmentation).
_FCN_RATE = 6


def build_head(
    kind: str,
    input_channels: int,
    num_classes: int,
    channels: int,
    output_stride: int,
    *,
    synchronized: bool,
    seed: int,
) -> tf.keras.Model:
    """Maps [N, h, w, input_channels] -> scores [N, h, w, num_classes], float32 or float64.

    Args:
        kind: "deeplab", atrous spatial pyramid pooling of a 1x1 convolution, three dilated 3x3
            convolutions and the pooled image; or "fcn", two dilated 3x3 convolutions.
        input_channels: of the encoder's last map.
        num_classes: number of classes.
        channels: of all layers but the last.
        output_stride: of the map in pixels, by which the dilations are chosen.
        synchronized: use the batch statistics of all replicas.
        seed: of the weights.
    """
    layers = _HeadLayers(channels, synchronized, seed)
    finer = 2 if output_stride <= 8 else 1
    maps = tf.keras.Input((None, None, input_channels), name="maps")
    if kind == "fcn":
        x = layers.conv_bn(maps, 3, finer * _FCN_RATE, "fcn1")
        x = layers.conv_bn(x, 3, finer * _FCN_RATE, "fcn2")
    else:
        branches = [layers.conv_bn(maps, 1, 1, "aspp0")]
        for index, rate in enumerate(_RATES, 1):
            branches.append(layers.conv_bn(maps, 3, finer * rate, f"aspp{index}"))
        # A sum of thousands of cells is wrong by a third in bfloat16.
        pooled = tf.keras.layers.GlobalAveragePooling2D(
            keepdims=True, dtype=full_dtype(), name="pooled"
        )(maps)
        pooled = layers.conv_bn(pooled, 1, 1, "aspp_pooled")
        branches.append(SpreadOver(name="aspp_spread")([pooled, maps]))
        x = tf.keras.layers.Concatenate(name="aspp")(branches)
        x = layers.conv_bn(x, 1, 1, "projection")
    scores = tf.keras.layers.Conv2D(
        num_classes,
        1,
        kernel_initializer=tf.keras.initializers.RandomNormal(
            stddev=0.01, seed=layer_seed(seed, "classifier")
        ),
        dtype=tf.keras.mixed_precision.global_policy().variable_dtype,
        name="classifier",
    )(x)
    return tf.keras.Model(maps, scores, name=kind)


def check_part(kind: str, images: int) -> None:
    """Refuses batch statistics over so few images at a time that a head is judged as another one.

    Of one pooled image the normalization leaves its bias, and a variance of zero for the test.

    Args:
        kind: of the head.
        images: over which each batch normalization takes its statistics.

    Raises:
        SettingsError: it is DeepLab's, of one image.
    """
    if kind == "deeplab" and images < 2:
        raise SettingsError(
            "--head=deeplab: batch statistics of one image at a time leave nothing of its pooled "
            "branch; give a larger --batch_size, a smaller --accumulate, or --head=fcn"
        )


@tf.keras.utils.register_keras_serializable("ssl_tf")
class SpreadOver(tf.keras.layers.Layer):
    """[N, 1, 1, C] and a map [N, h, w, D] -> the first at every cell of the map, [N, h, w, C]."""

    def call(self, inputs: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        pooled, maps = inputs
        height, width = tf.unstack(tf.shape(maps)[1:3])
        return tf.tile(pooled, [1, height, width, 1])


class _HeadLayers:
    """Builds convolutions with their normalization and ReLU."""

    def __init__(self, channels: int, synchronized: bool, seed: int):
        self._channels = channels
        self._synchronized = synchronized
        self._seed = seed

    def conv_bn(self, x: tf.Tensor, kernel: int, rate: int, name: str) -> tf.Tensor:
        x = tf.keras.layers.Conv2D(
            self._channels,
            kernel,
            padding="same",
            dilation_rate=rate,
            use_bias=False,
            kernel_initializer=tf.keras.initializers.VarianceScaling(
                2.0, "fan_out", "untruncated_normal", seed=layer_seed(self._seed, name)
            ),
            name=f"{name}_conv",
        )(x)
        x = batch_normalization(f"{name}_bn", self._synchronized)(x)
        return tf.keras.layers.ReLU(name=f"{name}_relu")(x)
