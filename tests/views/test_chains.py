"""Every op and chain on a batch against the same on each of its images."""

import functools

import numpy as np
import pytest
import tensorflow as tf

from ssl_tf.errors import SettingsError
from ssl_tf.settings import PretrainSettings, ViewSettings, flagfiles
from ssl_tf.views import chains, ops
from ssl_tf.views.compilation import choose, every_branch
from ssl_tf.views.device import DeviceViews
from ssl_tf.views.recipe import Recipe

# Values over the range of each op and beyond its ends; an op not named ignores its value.
VALUES = {
    "Posterize": np.linspace(0, 8, 17),
    "Solarize": [0, 0.5, 25, 25.6, 51, 102.4, 128, 179, 230.4, 255, 255.5, 256],
    "SolarizeAdd": [-3, 0, 11, 22, 55, 110, 200, 255, 300],
    **{name: np.linspace(0, 2, 21) for name in ("Color", "Contrast", "Brightness", "Sharpness")},
    **{name: np.linspace(-0.3, 0.3, 21) for name in ("ShearX", "ShearY")},
    **{name: [-2, -1, *np.linspace(-0.5, 0.5, 21), 1, 2] for name in ("TranslateX", "TranslateY")},
    "Rotate": [-450, -135, -90, *np.linspace(-30, 30, 21), 45, 90, 180, 359.9],
    "Cutout": [0, *np.linspace(0.01, 0.2, 9), 1.0, 2.5],
    "rand_brightness": np.linspace(-0.8, 0.8, 21),
    "rand_contrast": np.linspace(0, 1.8, 19),
    "rand_saturation": np.linspace(0, 3.4, 18),
    "rand_hue": np.linspace(-0.5, 0.5, 21),
    "rand_blur": np.linspace(0.1, 2.0, 12),
}
# Where float32 sums come in another order: one grey level, and how often at most.
INEXACT = {"rand_contrast": 1e-3, "rand_saturation": 1e-3, "rand_hue": 1e-3, "rand_blur": 1e-3}


def batch_of(image: np.ndarray, count: int) -> np.ndarray:
    """`count` different images made of one: shifted around and darkened."""
    return np.stack([np.roll(image, i, axis=(0, 1)) // (1 + i % 3) for i in range(count)])


def traced(function, *arguments):
    """Calls it in a graph that does not know the number of images."""
    signature = [tf.TensorSpec([None, *np.shape(a)[1:]], tf.as_dtype(a.dtype)) for a in arguments]
    return tf.function(function, input_signature=signature)(*arguments)


@pytest.mark.parametrize("name", [op.name for op in ops.OPS])
def test_an_op_does_to_each_image_of_a_batch_what_it_does_to_it_alone(name, images):
    apply = ops.OPS[ops.OP_INDEX[name]].apply
    values = np.float32(VALUES.get(name, [0.0] * 4))
    rng = np.random.default_rng(7)
    fill = rng.integers(0, 256, len(values)).astype(np.float32)
    center = rng.random([len(values), 2], np.float32)
    # Wide enough for a blur of more than one tap.
    wide = np.tile(images["photograph"], (1, 2, 1))
    chosen = [wide, *(images[key] for key in ("noise", "two-valued", "row", "column", "pixel"))]
    differing = []
    for image in chosen:
        batch = batch_of(image, len(values))
        made = traced(apply, batch, values, fill, center).numpy()
        alone = [
            apply(tf.constant(batch[i]), *map(tf.constant, (values[i], fill[i], center[i])))
            for i in range(len(values))
        ]
        if name not in INEXACT:
            np.testing.assert_array_equal(made, alone, err_msg=f"{image.shape}")
        differing.append(np.abs(made.astype(int) - alone).ravel())
    differing = np.concatenate(differing)
    assert differing.max() <= 1 and np.mean(differing) <= INEXACT.get(name, 0.0)


def test_each_image_takes_its_own_branch_and_the_order_is_kept():
    images = tf.reshape(tf.range(10.0), [10, 1])
    calls = []

    def add(amount, x, y):
        calls.append(amount)
        return x + amount * y

    branches = [functools.partial(add, amount) for amount in (0.0, 100.0, 200.0, 300.0)]
    index = tf.constant([2, 0, 2, 1, 1, 0, 2, 2, 0, 1])
    made = choose(index, branches, images, tf.ones([10, 1]))
    np.testing.assert_array_equal(made[:, 0], np.arange(10.0) + 100 * index.numpy())
    assert calls == [0.0, 100.0, 200.0, 300.0]  # once each, the one nobody chose on no image
    with every_branch():
        np.testing.assert_array_equal(choose(index, branches, images, tf.ones([10, 1])), made)
    bytes_ = tf.range(200, 206, dtype=tf.int32)
    made = choose(
        tf.constant([1, 0, 1, 0, 1, 1]), [tf.identity, tf.bitwise.invert], tf.cast(bytes_, tf.uint8)
    )
    np.testing.assert_array_equal(made, [55, 201, 53, 203, 51, 50])
    assert made.dtype == tf.uint8


@pytest.mark.parametrize("strategy", ["byol_t", "byol_t_prime", "simclr", "ma_ssrl_simclr"])
def test_a_chain_does_to_each_image_of_a_batch_what_it_does_to_it_alone(strategy, images):
    count = 60
    chain = chains.chain(strategy, 1.0)
    batch = batch_of(np.tile(images["photograph"][:32, :32], (1, 2, 1))[:, :44], count)
    uniform = np.random.default_rng(3).random([count, chains.DRAWS], np.float32)
    made = traced(chain, batch, uniform).numpy()
    alone = [chain(tf.constant(x), tf.constant(u)) for x, u in zip(batch, uniform)]
    difference = np.abs(made.astype(int) - alone)
    assert difference.max() <= 1 and np.mean(difference) < 1e-3
    assert np.mean(made != batch) > 0.5


@pytest.mark.parametrize("strategy", ["byol_t", "simclr", "moco"])
def test_a_chain_without_blur_is_the_chain_whose_coin_never_blurs(strategy, images):
    image, uniform = images["photograph"][:32, :32], np.full(chains.DRAWS, 0.3, np.float32)
    uniform[2] = 1.0  # the coin of the blur, above any probability
    expected = chains.chain(strategy)(tf.constant(image), tf.constant(uniform))
    uniform[2] = 0.0
    bare, blurred = (
        chains.chain(strategy, blur=blur)(tf.constant(image), tf.constant(uniform))
        for blur in (False, True)
    )
    if strategy != "byol_t":  # whose blur always happens
        np.testing.assert_array_equal(bare, expected)
    assert np.any(bare != blurred)


# Types for which TensorFlow has no such node on a GPU, or has it work in the host's memory.
ON_THE_HOST = {
    "uint8": {"GatherV2", "DynamicStitch", "DynamicPartition", "Tile", "BroadcastTo", "Pack"},
    "int32": {"AddV2", "Sub", "Mul", "Neg", "Sum", "Prod", "Max", "Min", "ConcatV2", "Reverse",
              "StridedSlice", "Tile", "BroadcastTo", "Transpose", "Pack", "ClipByValue", "Minimum",
              "Maximum", "GreaterEqual", "Greater", "Less", "LessEqual", "FloorDiv"},
}  # fmt: skip


def test_pixels_stay_on_a_gpu():
    """No node with a value a pixel is of a type that TensorFlow would fetch to the host."""
    size = 40
    view = tf.TensorSpec([None, size, size, 3], tf.uint8)
    number, center = tf.TensorSpec([None]), tf.TensorSpec([None, 2])
    graphs = [tf.function(op.apply).get_concrete_function(view, number, number, center).graph
              for op in ops.OPS]  # fmt: skip
    for name in ("ma_ssrl", "byol", "dino"):
        recipe = Recipe(ViewSettings(image_size=size, recipe=name))
        drawn = recipe.draw(tf.zeros([1, 2, 14]))
        specs = {k: tf.TensorSpec([None, *v.shape[1:]], v.dtype) for k, v in drawn.items()}
        placed = {
            "canvas": tf.TensorSpec([None, size, size, 3], tf.uint8),
            "crops": tf.TensorSpec([None, 2, 4], tf.int32),
            "mirrored": tf.TensorSpec([None, 2], tf.bool),
            "drawn": specs,
        }
        step = tf.function(DeviceViews(recipe).__call__, autograph=False)
        graphs.append(step.get_concrete_function({"placed": placed}).graph)
    fetched, large = [], 0
    for operation in (operation for graph in graphs for operation in graph.get_operations()):
        assert operation.type not in ("While", "StatelessWhile", "Case", "StatelessCase", "If")
        for tensor in (*operation.inputs, *operation.outputs):
            if tensor.shape.rank and np.prod([side or size for side in tensor.shape]) >= size**2:
                large += 1
                if operation.type in ON_THE_HOST.get(tensor.dtype.name, ()):
                    fetched.append((operation.type, operation.name, tensor.shape))
    assert fetched == [] and large > 500


def test_the_strongest_colours_that_the_flag_allows_can_be_drawn():
    strongest = max(
        strength / 10 for strength in range(51) if _is_allowed(f"--jitter_strength={strength / 10}")
    )
    assert strongest == 2.5  # hue moves by 0.2 times the strength, and 0.5 is the whole circle
    image = tf.random.stateless_uniform([8, 8, 3], [1, 2], 0, 256, tf.int32)
    made = chains.chain("simclr", strongest)(
        tf.cast(image, tf.uint8), tf.random.stateless_uniform([chains.DRAWS], [3, 4])
    )
    assert made.shape == (8, 8, 3)


def _is_allowed(flag: str) -> bool:
    try:
        flagfiles.parse(["--dataset=scenes", "--recipe=simclr", flag], PretrainSettings)
    except SettingsError:
        return False
    return True
