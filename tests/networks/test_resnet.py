"""The encoder against torchvision's parameter counts and a slow NumPy forward pass."""

import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from ssl_tf.networks.batch_normalization import BatchNormalization
from ssl_tf.networks.initialization import layer_seed
from ssl_tf.networks.precision import policy_scope
from ssl_tf.networks.resnet import (
    DEPTHS,
    SPATIAL_FEATURES,
    PaddedConv2D,
    PointwiseConv2D,
    activation_floats,
    build_resnet,
    feature_dim,
)
from ssl_tf.settings.model import DEPTHS as FLAG_DEPTHS
from ssl_tf.training.strategy import mirrored_strategy

BatchNorm = (tf.keras.layers.BatchNormalization, BatchNormalization)


def tiny(depth=18, width=0.0625, **options):
    return build_resnet(depth, width, **{"synchronized": False, **options})


def trainable_parameters(model):
    return sum(int(np.prod(v.shape)) for v in model.trainable_variables)


def normalizations(model):
    return [layer for layer in model.layers if isinstance(layer, BatchNorm)]


def scramble_normalization(model, rng):
    """Statistics and affine parameters that hide no mistake, unlike 0 and 1."""
    for layer in normalizations(model):
        shape = layer.gamma.shape
        layer.set_weights(
            [
                rng.uniform(0.5, 1.5, shape),
                rng.normal(0, 0.3, shape),
                rng.normal(0, 0.3, shape),
                rng.uniform(0.5, 1.5, shape),
            ]
        )


def slow_windows(x, size, stride, padding, fill):
    """[N, H, W, C] -> [N, H', W', size, size, C], padded alike on all sides."""
    x = np.pad(x, ((0, 0), (padding,) * 2, (padding,) * 2, (0, 0)), constant_values=fill)
    height = (x.shape[1] - size) // stride + 1
    width = (x.shape[2] - size) // stride + 1
    rows = [
        [x[:, r * stride : r * stride + size, c * stride : c * stride + size] for c in range(width)]
        for r in range(height)
    ]
    return np.stack([np.stack(row, axis=1) for row in rows], axis=1)


def slow_conv(x, kernel, stride):
    windows = slow_windows(x, kernel.shape[0], stride, kernel.shape[0] // 2, 0.0)
    return np.einsum("nhwijc,ijco->nhwo", windows, kernel)


def slow_forward(model, x, blocks, is_bottleneck, stem):
    """torchvision's ResNet in inference mode, from weights found by layer name."""

    def conv_bn(x, conv, bn, stride):
        gamma, beta, mean, variance = model.get_layer(bn).get_weights()
        x = slow_conv(x, model.get_layer(conv).get_weights()[0].astype(np.float64), stride)
        return gamma * (x - mean) / np.sqrt(variance + 1e-5) + beta

    x = conv_bn(x, "conv1", "bn1", 2 if stem == "imagenet" else 1)
    x = np.maximum(x, 0)
    if stem == "imagenet":
        x = slow_windows(x, 3, 2, 1, -np.inf).max(axis=(3, 4))
    convolutions = 3 if is_bottleneck else 2
    strided = 2 if is_bottleneck else 1
    for stage, count in enumerate(blocks, 1):
        for index in range(count):
            name = f"layer{stage}_{index}"
            stride = 2 if stage > 1 and index == 0 else 1
            y = x
            for c in range(1, convolutions + 1):
                y = conv_bn(y, f"{name}_conv{c}", f"{name}_bn{c}", stride if c == strided else 1)
                if c < convolutions:
                    y = np.maximum(y, 0)
            if stride != 1 or y.shape[-1] != x.shape[-1]:
                x = conv_bn(x, f"{name}_downsample_0", f"{name}_downsample_1", stride)
            x = np.maximum(x + y, 0)
    return x


@pytest.mark.parametrize(
    "depth, parameters",
    # torchvision's models without the classifier.
    [(18, 11_176_512), (34, 21_284_672), (50, 23_508_032), (101, 42_500_160), (152, 58_143_808)],
)
def test_parameter_counts_are_torchvisions(depth, parameters):
    assert trainable_parameters(build_resnet(depth)) == parameters


@pytest.mark.parametrize("depth, width", [(200, 0.0625), (34, 0.125), (18, 2.0)])
def test_width_multiplies_every_channel_count(depth, width):
    blocks, is_bottleneck = DEPTHS[depth]
    inputs = stem = round(64 * width)
    parameters = 7 * 7 * 3 * stem + 2 * stem
    for base, count in zip((64, 128, 256, 512), blocks):
        inner = round(base * width)
        outputs = 4 * inner if is_bottleneck else inner
        for index in range(count):
            if is_bottleneck:
                kernels = inputs * inner + 9 * inner**2 + inner * outputs
                scales = 2 * inner + outputs
            else:
                kernels, scales = 9 * inputs * inner + 9 * inner**2, 2 * inner
            parameters += kernels + 2 * scales
            if index == 0 and (base > 64 or inputs != outputs):
                parameters += inputs * outputs + 2 * outputs
            inputs = outputs
    model = tiny(depth, width)
    assert trainable_parameters(model) == parameters
    assert feature_dim(depth, width) == model.output_shape[-1] == outputs


def test_feature_dimensions():
    assert [feature_dim(d) for d in (18, 34, 50, 101, 152, 200)] == [512, 512] + 4 * [2048]
    assert feature_dim(50, 2.0) == 4096
    assert feature_dim(18, 0.25) == 128


@pytest.mark.parametrize("depth", [18, 50])
@pytest.mark.parametrize("stem, size", [("imagenet", (45, 64)), ("small", (12, 17))])
def test_forward_pass_equals_a_slow_one(depth, stem, size):
    rng = np.random.default_rng(0)
    model = tiny(depth, stem=stem, zero_init_last_gamma=False, seed=1)
    scramble_normalization(model, rng)
    images = rng.normal(size=(2, *size, 3)).astype(np.float32)
    expected = slow_forward(model, images.astype(np.float64), *DEPTHS[depth], stem)
    spatial = tf.keras.Model(model.input, model.get_layer(SPATIAL_FEATURES).output)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(spatial(images), expected, atol=1e-5 * scale)
    pooled = tf.function(model)(tf.constant(images), training=False)
    np.testing.assert_allclose(pooled, expected.mean(axis=(1, 2)), atol=1e-5 * scale)


def test_an_encoder_under_a_float64_policy_rounds_nothing():
    rng = np.random.default_rng(0)
    with policy_scope("float64"):
        model = tiny(18, stem="small", zero_init_last_gamma=False, seed=1)
    scramble_normalization(model, rng)
    images = 1 + 1e-9 * rng.normal(size=(2, 9, 12, 3))
    expected = slow_forward(model, images, *DEPTHS[18], "small").mean(axis=(1, 2))
    np.testing.assert_allclose(model(images), expected, rtol=1e-11, atol=1e-13)
    # Images that differ by less than float32 holds have other features.
    assert np.any(np.abs(expected[0] - expected[1]) > 1e-11)


def test_an_impulse_in_the_corner_shows_symmetric_padding():
    model = tiny()
    image = np.zeros((1, 16, 16, 3), np.float32)
    image[0, 0, 0, 0] = 1
    kernel = model.get_layer("conv1").get_weights()[0]
    stem = tf.keras.Model(model.input, model.get_layer("conv1").output)(image).numpy()
    assert stem.shape == (1, 8, 8, 4)
    np.testing.assert_array_equal(stem[0, 0, 0], kernel[3, 3, 0])
    np.testing.assert_array_equal(stem[0, 1, 1], kernel[1, 1, 0])
    same = tf.nn.conv2d(image, kernel, 2, "SAME").numpy()
    np.testing.assert_array_equal(same[0, 0, 0], kernel[2, 2, 0])


def test_map_sizes_are_those_of_the_papers():
    def spatial_shape(size, **options):
        model = tiny(**options)
        spatial = tf.keras.Model(model.input, model.get_layer(SPATIAL_FEATURES).output)
        return spatial.compute_output_shape((1, size, size, 3))

    assert spatial_shape(224, depth=50) == (1, 7, 7, 128)
    assert spatial_shape(32, stem="small") == (1, 4, 4, 32)


def test_weights_depend_on_the_seed_and_nothing_else():
    first = tiny(seed=7).get_weights()
    tf.random.set_seed(99)
    with mirrored_strategy(["CPU:0", "CPU:1"]).scope():
        second = tiny(seed=7, name="another").get_weights()
    other = tiny(seed=8)
    for a, b in zip(first, second):
        np.testing.assert_array_equal(a, b)
    for layer, old in zip(other.trainable_variables, tiny(seed=7).trainable_variables):
        if layer.shape.rank > 1:
            assert not np.allclose(layer, old)


def test_every_layer_has_a_seed_of_its_own():
    model = tiny(101, 0.03125)
    seeds = [layer.kernel_initializer.seed for layer in model.layers if hasattr(layer, "kernel")]
    assert len(set(seeds)) == len(seeds) == 1 + 3 * 33 + 4
    assert layer_seed(0, "conv1") == 349_183_847  # the same number in any process


def test_initial_weights():
    model = build_resnet(18)
    for layer in model.layers:
        if hasattr(layer, "kernel"):
            assert not layer.use_bias
    kernel = model.get_layer("layer4_1_conv2").get_weights()[0]
    std = np.sqrt(2 / (9 * 512))
    np.testing.assert_allclose([kernel.mean(), kernel.std()], [0, std], atol=0.005 * std)
    # A normal law that is not truncated at two deviations.
    assert np.mean(np.abs(kernel) > 2 * std) == pytest.approx(0.0455, abs=0.001)


@pytest.mark.parametrize("depth, last", [(18, "bn2"), (50, "bn3")])
def test_only_the_last_gamma_of_each_block_is_zero(depth, last):
    for layer in normalizations(tiny(depth)):
        expected = 0.0 if layer.name.endswith(f"_{last}") else 1.0
        np.testing.assert_array_equal(layer.gamma, np.full(layer.gamma.shape, expected))
        assert (layer.momentum, layer.epsilon) == (0.9, 1e-5)
    for layer in normalizations(tiny(depth, zero_init_last_gamma=False)):
        np.testing.assert_array_equal(layer.gamma, np.ones(layer.gamma.shape))


@pytest.mark.parametrize("stem", ["imagenet", "small"])
@pytest.mark.parametrize("depth", [18, 50])
def test_activation_floats_counts_what_the_gradient_needs(depth, stem):
    model = tiny(depth, stem=stem)
    kept = [layer for layer in model.layers[1:] if not layer.name.endswith("_add")]
    kept = [layer for layer in kept if not isinstance(layer, BatchNorm)]
    outputs = tf.keras.Model(model.input, [layer.output for layer in kept])
    held = outputs(np.zeros((1, 37, 37, 3), np.float32))
    assert activation_floats(model, 37) == sum(int(tf.size(tensor)) for tensor in held)


@pytest.mark.parametrize(
    "policy, compute, pooled",
    [("mixed_bfloat16", "bfloat16", "float32"), ("float64", "float64", "float64")],
)
def test_pooled_features_keep_full_precision(policy, compute, pooled):
    tf.keras.mixed_precision.set_global_policy(policy)
    try:
        model = tiny(stem="small", zero_init_last_gamma=False, seed=3)
    finally:
        tf.keras.mixed_precision.set_global_policy("float32")
    images = np.random.default_rng(0).normal(size=(4, 16, 16, 3)).astype(np.float32)
    assert model.get_layer(SPATIAL_FEATURES).output.dtype == compute
    features = model(images, training=True)
    assert features.dtype == pooled
    full = tiny(stem="small", zero_init_last_gamma=False, seed=3)(images, training=True)
    if policy == "mixed_bfloat16":
        assert np.corrcoef(features.numpy().ravel(), full.numpy().ravel())[0, 1] > 0.99


def test_synchronized_normalization_sees_the_global_batch():
    images = np.random.default_rng(0).normal(size=(8, 16, 16, 3)).astype(np.float32)
    images[:4] += 3  # halves with statistics of their own
    alone = tiny(stem="small", zero_init_last_gamma=False, synchronized=True)
    expected = alone(images, training=True).numpy()
    strategy = mirrored_strategy(["CPU:0", "CPU:1"])
    with strategy.scope():
        model = tiny(stem="small", zero_init_last_gamma=False, synchronized=True)
    halves = strategy.experimental_distribute_values_from_function(
        lambda context: tf.constant(np.split(images, 2)[context.replica_id_in_sync_group])
    )
    run = tf.function(lambda x: strategy.run(lambda y: model(y, training=True), (x,)))
    found = np.concatenate(strategy.experimental_local_results(run(halves)))
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())
    for a, b in zip(model.get_weights(), alone.get_weights()):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_the_fused_kernel_and_the_synchronized_layer_are_the_same():
    images = np.random.default_rng(0).normal(size=(4, 6, 6, 3)).astype(np.float32)
    fused, plain = (tiny(stem="small", synchronized=choice) for choice in (False, True))
    outputs = [model(images, training=True).numpy() for model in (fused, plain)]
    np.testing.assert_allclose(*outputs, atol=1e-5 * outputs[0].max())
    statistics = [model.get_layer("bn1").get_weights()[2:] for model in (fused, plain)]
    np.testing.assert_allclose(*statistics, rtol=1e-5, atol=1e-6)


def test_the_flag_has_the_depths_that_there_are():
    assert tuple(DEPTHS) == FLAG_DEPTHS


@pytest.mark.parametrize(
    "wrong", [{"depth": 19}, {"depth": 18, "stem": "large"}, {"depth": 18, "width": 0}]
)
def test_what_does_not_exist_is_refused(wrong):
    with pytest.raises(ValueError):
        build_resnet(**wrong)


# In a process of its own, which the fault would end: 8 steps of a shortcut of 4 channels.
NARROW = """
import tensorflow as tf
from ssl_tf.networks.resnet import build_resnet
model = build_resnet(18, 0.0625, "small", synchronized=False)
@tf.function
def gradients(images):
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(model(images, training=True) ** 2)
    return tape.gradient(loss, model.trainable_variables)
for batch in (1, 3, 5, 7, 15):
    for _ in range(8):
        gradients(tf.random.normal([batch, 16, 16, 3]))
print("whole")
"""


def test_a_narrow_network_learns_from_odd_batches():
    done = subprocess.run([sys.executable, "-c", NARROW], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "whole\n"), done.stderr[-500:]


POINTWISE = PointwiseConv2D, {"kernel_size": 1, "strides": 2}
PADDED = PaddedConv2D, {"kernel_size": 3, "padding": "same"}
DILATED = PaddedConv2D, {"kernel_size": 3, "padding": "same", "dilation_rate": 2}


@pytest.mark.parametrize(
    ("ours", "sides"),
    [
        *((POINTWISE, (side, side)) for side in (7, 8)),
        *(
            (layer, sides)
            for layer in (PADDED, DILATED)
            for sides in ((1, 1), (1, 2), (2, 1), (2, 2), (2, 3))
        ),
    ],
)
def test_a_convolution_of_ours_equals_that_of_keras(tmp_path, ours, sides):
    layer, options = ours
    images = tf.random.stateless_normal([4, *sides, 24], [1, 2])
    arguments = {"filters": 32, "use_bias": False, "name": "x", **options}
    results = []
    for layer_class in (tf.keras.layers.Conv2D, layer):
        inputs = tf.keras.Input((None, None, 24))
        model = tf.keras.Model(inputs, layer_class(**arguments)(inputs))
        if not results:
            path = tf.train.Checkpoint(model=model).write(str(tmp_path / "keras"))
        # The very checkpoint of the one is a checkpoint of the other, nothing left over.
        status = tf.train.Checkpoint(model=model).read(path)
        status.assert_existing_objects_matched()
        status.assert_consumed()
        with tf.GradientTape() as tape:
            outputs = model(images)
            loss = tf.reduce_sum(outputs**3)
        assert outputs.shape[1:] == model.compute_output_shape((4, *sides, 24))[1:]
        results.append([outputs, *tape.gradient(loss, model.trainable_variables)])
    for keras, ours in zip(*results):
        # A small sum of large terms has their rounding.
        np.testing.assert_allclose(ours, keras, rtol=1e-5, atol=1e-6 * np.abs(keras).max())
