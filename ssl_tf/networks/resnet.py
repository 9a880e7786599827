"""ResNet-18 to ResNet-200 (He et al. 2016), with the architecture of torchvision.

Zero padding is symmetric, a bottleneck has its stride in the 3x3 convolution, a block has a
projection shortcut only if the shape changes, and convolutions have no bias. So weights can move
between the frameworks. TensorFlow's SAME padding is asymmetric at stride 2, and a projection
shortcut in every first block would be another network. Caffe's ResNets have the stride in the first
1x1 convolution, which is an option.

Layer names are torchvision's module names with `_` for `.`: `conv1`, `bn1`, `layer1_0_conv1`,
`layer1_0_bn1`, `layer1_0_downsample_0` (convolution), `layer1_0_downsample_1` (normalization).
"""

import math

import tensorflow as tf

from ssl_tf.networks.batch_normalization import BatchNormalization, batch_normalization
from ssl_tf.networks.initialization import layer_seed
from ssl_tf.networks.precision import full_dtype
from ssl_tf.settings.model import STEMS

# Blocks of each stage, and whether they are bottlenecks.
DEPTHS = {
    18: ((2, 2, 2, 2), False),
    34: ((3, 4, 6, 3), False),
    50: ((3, 4, 6, 3), True),
    101: ((3, 4, 23, 3), True),
    152: ((3, 8, 36, 3), True),
    200: ((3, 24, 36, 3), True),
}
STAGE_WIDTHS = (64, 128, 256, 512)
BOTTLENECK_EXPANSION = 4

# Name of the layer whose output is the last feature map, before pooling.
SPATIAL_FEATURES = "spatial_features"


def build_resnet(
    depth: int,
    width: float = 1.0,
    stem: str = "imagenet",
    zero_init_last_gamma: bool = True,
    synchronized: bool = True,
    seed: int = 0,
    name: str = "encoder",
    stride_in_1x1: bool = False,
) -> tf.keras.Model:
    """A ResNet without a classifier: float images [N, H, W, 3] -> pooled features [N, D].

    Features are float32 also under a mixed precision policy (float64 under a float64 policy).
    D is `feature_dim(depth, width)`. The last feature map is `get_layer(SPATIAL_FEATURES).output`.

    Args:
        depth: 18, 34 (basic blocks), 50, 101, 152 or 200 (bottlenecks).
        width: multiplier of all channel counts, including the stem and the output, as in the "2x"
            of SimCLR and BYOL; may be below 1.
        stem: "imagenet" is 7x7 stride 2 and a 3x3 stride 2 max-pool; "small" is 3x3 stride 1 and no
            pool, for images of about 32 pixels (SimCLR B.9).
        zero_init_last_gamma: initialize the last gamma of every block to 0, so that the block
            starts as its shortcut (Goyal et al. 2017).
        synchronized: use the batch statistics of all replicas (`batch_normalization`). On one
            replica False gives the same result from a faster kernel.
        seed: seed of the initial weights, which depend on it and the layers' names alone.
        name: name of the model; the weights do not depend on it.
        stride_in_1x1: a bottleneck has its stride in the first 1x1 convolution, as in He et al.
            (2016), Caffe and keras.applications; else in the 3x3. Basic blocks are the same.

    Raises:
        ValueError: the depth or stem is unknown, or the width is not above 0.
    """
    _check(depth, width)
    if stem not in STEMS:
        raise ValueError(f"stem {stem!r}: one of {STEMS}")
    blocks, is_bottleneck = DEPTHS[depth]
    block = _bottleneck if is_bottleneck else _basic_block
    layers = _Layers(seed, synchronized, zero_init_last_gamma, stride_in_1x1)

    images = tf.keras.Input((None, None, 3), name="images", dtype=full_dtype())
    channels = _scaled(STAGE_WIDTHS[0], width)
    kernel, stride = (7, 2) if stem == "imagenet" else (3, 1)
    x = layers.conv_bn(images, channels, kernel, stride, "conv1", "bn1")
    x = tf.keras.layers.ReLU(name="relu1")(x)
    if stem == "imagenet":
        # Zero padding gives the same maxima as padding with minus infinity: the inputs are >= 0.
        x = tf.keras.layers.ZeroPadding2D(1, name="pool1_pad")(x)
        x = tf.keras.layers.MaxPooling2D(3, 2, name="pool1")(x)
    for stage, count in enumerate(blocks):
        for index in range(count):
            is_last = stage == len(blocks) - 1 and index == count - 1
            x = block(
                layers,
                x,
                _scaled(STAGE_WIDTHS[stage], width),
                stride=2 if stage > 0 and index == 0 else 1,
                name=f"layer{stage + 1}_{index}",
                output_name=SPATIAL_FEATURES if is_last else f"layer{stage + 1}_{index}_relu",
            )
    pooled = tf.keras.layers.GlobalAveragePooling2D(name="pooled_features", dtype=full_dtype())(x)
    return tf.keras.Model(images, pooled, name=name)


def stage_outputs(model: tf.keras.Model) -> dict[str, tf.Tensor]:
    """Name -> feature map after each stage of a `build_resnet`: C2 to C5 (Lin et al. 2017).

    Their strides are 4, 8, 16 and 32; with the small stem 1, 2, 4 and 8.
    """
    outputs = {}
    for layer in model.layers:
        if layer.name.startswith("layer") and layer.name.endswith("_relu"):
            outputs[f"C{int(layer.name[5]) + 1}"] = layer.output
    outputs[f"C{len(STAGE_WIDTHS) + 1}"] = model.get_layer(SPATIAL_FEATURES).output
    return outputs


def split_after_stage(model: tf.keras.Model, stages: int) -> tuple[tf.keras.Model, tf.keras.Model]:
    """The two parts of a `build_resnet`: images -> map after a stage, and that map -> features.

    Both share the layers of the model.

    Args:
        model: the model to split.
        stages: number of stages in the first part, in addition to the stem: 1 to 4.
    """
    between = stage_outputs(model)[f"C{stages + 1}"]
    return (
        tf.keras.Model(model.inputs, between, name=f"{model.name}_below"),
        tf.keras.Model(between, model.outputs[0], name=f"{model.name}_above"),
    )


def scaled_widths(width: float) -> tuple[int, ...]:
    """Channels of the four stages of a width; the stem has those of the first."""
    return tuple(_scaled(channels, width) for channels in STAGE_WIDTHS)


def feature_dim(depth: int, width: float = 1.0) -> int:
    """Length of the pooled features: 512 (depth 18, 34) or 2048, times the width."""
    _check(depth, width)
    expansion = BOTTLENECK_EXPANSION if DEPTHS[depth][1] else 1
    return expansion * _scaled(STAGE_WIDTHS[-1], width)


def activation_floats(model: tf.keras.Model, image_size: int) -> int:
    """Number of activations that backpropagation keeps for one square image, without its pixels.

    It keeps the inputs of convolutions and batch normalizations: the outputs of convolutions,
    ReLUs, paddings and pools. The output of a normalization or an addition is used once and freed.

    Args:
        model: a functional model of images, such as that of `build_resnet`.
        image_size: side of the image, in pixels.
    """
    freed = (
        tf.keras.layers.InputLayer,
        tf.keras.layers.BatchNormalization,
        BatchNormalization,
        tf.keras.layers.Add,
    )
    outputs = [layer.output for layer in model.layers if not isinstance(layer, freed)]
    shapes = tf.keras.Model(model.inputs, outputs).compute_output_shape(
        (1, image_size, image_size, 3)
    )
    return sum(math.prod(shape) for shape in shapes)


class PointwiseConv2D(tf.keras.layers.Conv2D):
    """A 1x1 convolution with a stride, computed as one of every stride-th pixel.

    The result is the same. The gradient of oneDNN for a strided 1x1 convolution writes outside of
    its memory on a CPU if there are fewer than 16 input channels and the batch is odd. The slice is
    no layer of its own, so checkpoints hold what they would hold for a Conv2D.
    """

    def convolution_op(self, inputs: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        rows, columns = self.strides
        return tf.nn.conv2d(inputs[:, ::rows, ::columns], kernel, strides=1, padding="VALID")


class PaddedConv2D(tf.keras.layers.Conv2D):
    """A 3x3 convolution of stride 1 whose zero padding keeps the size of the map.

    On a map of at most 2x2 every position sees every other, so the convolution is the product with
    one matrix, whose blocks are the taps of the kernel. Half or more of what the kernel meets there
    is padding, which the product leaves out. The last stages of images of 32 to 64 pixels behind
    the stem of ImageNet have such maps, and `benchmark train` of `cifar10_byol_paper.flags` is
    about 15 % faster with it on two CPU cores.
    """

    def convolution_op(self, inputs: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        height, width, channels = inputs.shape[1:]
        is_small = height in (1, 2) and width in (1, 2)
        if not is_small or self.kernel_size != (3, 3) or self.dilation_rate != (1, 1):
            return super().convolution_op(inputs, kernel)
        places = [(row, column) for row in range(height) for column in range(width)]
        # From the position that is seen, to the one that is computed.
        taps = [
            [[1 + seen_row - row, 1 + seen_column - column] for row, column in places]
            for seen_row, seen_column in places
        ]
        blocks = tf.transpose(tf.gather_nd(kernel, taps), [0, 2, 1, 3])
        matrix = tf.reshape(blocks, [len(places) * channels, len(places) * self.filters])
        seen = tf.reshape(inputs, [-1, len(places) * channels])
        return tf.reshape(seen @ matrix, [-1, height, width, self.filters])


class _Layers:
    """Builds the convolutions and normalizations of one encoder."""

    def __init__(
        self, seed: int, synchronized: bool, zero_init_last_gamma: bool, stride_in_1x1: bool
    ):
        self.seed = seed
        self.synchronized = synchronized
        self.zero_init_last_gamma = zero_init_last_gamma
        self.stride_in_1x1 = stride_in_1x1

    def conv_bn(
        self,
        x: tf.Tensor,
        channels: int,
        kernel: int,
        stride: int,
        conv_name: str,
        bn_name: str,
        is_last: bool = False,
    ) -> tf.Tensor:
        """A convolution, padded by kernel // 2 on all sides, and its batch normalization."""
        padding, convolution = "valid", tf.keras.layers.Conv2D
        if kernel > 1 and stride == 1:
            # Symmetric for odd kernels at stride 1, and saves the padded copy.
            padding, convolution = "same", PaddedConv2D
        elif kernel > 1:
            x = tf.keras.layers.ZeroPadding2D(kernel // 2, name=f"{conv_name}_pad")(x)
        elif stride > 1:
            convolution = PointwiseConv2D
        x = convolution(
            channels,
            kernel,
            stride,
            padding=padding,
            use_bias=False,
            kernel_initializer=tf.keras.initializers.VarianceScaling(
                2.0, "fan_out", "untruncated_normal", seed=layer_seed(self.seed, conv_name)
            ),
            name=conv_name,
        )(x)
        gamma = "zeros" if is_last and self.zero_init_last_gamma else "ones"
        return batch_normalization(bn_name, self.synchronized, gamma)(x)

    def shortcut(self, x: tf.Tensor, channels: int, stride: int, name: str) -> tf.Tensor:
        """The input itself, or its projection if the shape changes."""
        if stride == 1 and x.shape[-1] == channels:
            return x
        names = f"{name}_downsample_0", f"{name}_downsample_1"
        return self.conv_bn(x, channels, 1, stride, *names)


def _basic_block(
    layers: _Layers, x: tf.Tensor, channels: int, stride: int, name: str, output_name: str
) -> tf.Tensor:
    shortcut = layers.shortcut(x, channels, stride, name)
    x = layers.conv_bn(x, channels, 3, stride, f"{name}_conv1", f"{name}_bn1")
    x = tf.keras.layers.ReLU(name=f"{name}_relu1")(x)
    x = layers.conv_bn(x, channels, 3, 1, f"{name}_conv2", f"{name}_bn2", is_last=True)
    x = tf.keras.layers.Add(name=f"{name}_add")([x, shortcut])
    return tf.keras.layers.ReLU(name=output_name)(x)


def _bottleneck(
    layers: _Layers, x: tf.Tensor, channels: int, stride: int, name: str, output_name: str
) -> tf.Tensor:
    output = BOTTLENECK_EXPANSION * channels
    shortcut = layers.shortcut(x, output, stride, name)
    strides = (stride, 1) if layers.stride_in_1x1 else (1, stride)
    x = layers.conv_bn(x, channels, 1, strides[0], f"{name}_conv1", f"{name}_bn1")
    x = tf.keras.layers.ReLU(name=f"{name}_relu1")(x)
    x = layers.conv_bn(x, channels, 3, strides[1], f"{name}_conv2", f"{name}_bn2")
    x = tf.keras.layers.ReLU(name=f"{name}_relu2")(x)
    x = layers.conv_bn(x, output, 1, 1, f"{name}_conv3", f"{name}_bn3", is_last=True)
    x = tf.keras.layers.Add(name=f"{name}_add")([x, shortcut])
    return tf.keras.layers.ReLU(name=output_name)(x)


def _scaled(channels: int, width: float) -> int:
    return max(1, round(channels * width))


def _check(depth: int, width: float) -> None:
    if depth not in DEPTHS:
        raise ValueError(f"depth {depth}: one of {tuple(DEPTHS)}")
    if width <= 0:
        raise ValueError(f"width {width}: must be above 0")
