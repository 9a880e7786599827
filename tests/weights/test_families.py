"""The layouts of released files, their names written from the documentation of each."""

import numpy as np
import pytest

from ssl_tf.errors import UserError
from ssl_tf.networks.normalization import MEAN, STD
from ssl_tf.weights.families import Pixels, from_keras_file, from_torch_file
from ssl_tf.weights.torch_names import detectron2_name, from_torch
from tests.weights.random_tensors import BOTTLENECKS, SMALL, random_tensors

TENSORS = random_tensors(SMALL)
KEYS = random_tensors(SMALL, seed=1)
COUNTERS = {n.replace("running_var", "num_batches_tracked"): np.array(9)
            for n in TENSORS if n.endswith("running_var")}  # fmt: skip
ONE = np.ones([2, 2], np.float32)


def under(prefix, tensors):
    return {f"{prefix}{name}": value for name, value in tensors.items()}


LAYOUTS = {
    "torchvision or timm": (
        {**TENSORS, **COUNTERS, "fc.weight": ONE, "fc.bias": ONE[0]},
        {"fc": 2},
    ),
    # main_moco.py saves the replicated model, with keys and queue.
    "MoCo": (
        {
            "epoch": np.array(200),
            **under("state_dict.module.encoder_q.", {**TENSORS, **COUNTERS}),
            "state_dict.module.encoder_q.fc.0.weight": ONE,
            "state_dict.module.encoder_q.fc.2.weight": ONE,
            **under("state_dict.module.encoder_k.", KEYS),
            "state_dict.module.queue": ONE,
        },
        {
            "epoch": 1,
            "state_dict.module.encoder_k": 100,
            "state_dict.module.encoder_q": 2,
            "state_dict.module": 1,
        },
    ),
    # A training of DenseCL names its query encoder twice.
    "OpenSelfSup, solo-learn or others": (
        {
            **under("state_dict.backbone.", TENSORS),
            **under("state_dict.encoder_q.0.", TENSORS),
            **under("state_dict.encoder_k.0.", KEYS),
            "state_dict.queue2": ONE,
        },
        {"state_dict.encoder_k.0": 100, "state_dict.encoder_q.0": 100, "state_dict": 1},
    ),
    "DenseCL": (under("module.encoder_q.0.", TENSORS), {}),
    "SwAV": (
        {
            **under("module.", TENSORS),
            "module.projection_head.0.weight": ONE,
            "module.prototypes.weight": ONE,
        },
        {"module.projection_head.0": 1, "module.prototypes": 1},
    ),
    "VISSL": (
        {
            **under("classy_state_dict.base_model.model.trunk._feature_blocks.", TENSORS),
            "classy_state_dict.base_model.model.heads.0.clf.0.weight": ONE,
        },
        {"classy_state_dict.base_model.model": 1},
    ),
}


@pytest.mark.parametrize("origin", LAYOUTS)
def test_a_released_layout_is_read_fully(origin):
    file, left_out = LAYOUTS[origin]
    weights = from_torch_file(file, "")
    assert (weights.origin, weights.architecture, weights.stride_in_1x1) == (origin, SMALL, False)
    assert {k: v for k, v in weights.left_out.items()} == left_out
    assert weights.tensors.keys() == TENSORS.keys()
    for name, value in TENSORS.items():
        np.testing.assert_array_equal(weights.tensors[name], value)


@pytest.mark.parametrize("prefix", ["teacher.backbone.", "target_network.", "momentum_encoder."])
def test_an_average_alone_is_the_encoder(prefix):
    weights = from_torch_file({**under(prefix, TENSORS), "center": ONE}, "")
    assert weights.tensors.keys() == TENSORS.keys() and weights.left_out == {"center": 1}


@pytest.mark.parametrize("prefix", ["", "backbone.bottom_up.", "model.backbone."])
def test_detectron2_names_are_read_once_their_convention_is_given(prefix):
    tensors = random_tensors(BOTTLENECKS)
    file = under(prefix, {detectron2_name(name): value for name, value in tensors.items()})
    file["roi_heads.box_head.fc1.weight"] = file["stem.fc.weight"] = ONE
    with pytest.raises(UserError, match="--init_convention=caffe for FORMAT BGR"):
        from_torch_file(file, "")
    plain = from_torch_file(file, "torchvision")
    assert (plain.origin, plain.stride_in_1x1) == ("Detectron2", False)
    assert plain.left_out == {"roi_heads.box_head.fc1": 1, "stem.fc": 1}
    for name, value in tensors.items():
        np.testing.assert_array_equal(plain.tensors[name], value)
    caffe = from_torch_file(file, "caffe")
    assert caffe.stride_in_1x1
    # What the first convolution gives of BGR pixels less their mean is what it now gives of ours.
    pixels = np.random.default_rng(0).normal(size=3)
    theirs = np.einsum("oihw,i->ohw", tensors["conv1.weight"], (255 * np.array(STD) * pixels)[::-1])
    ours = np.einsum("oihw,i->ohw", caffe.tensors["conv1.weight"], pixels)
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "file, told",
    [
        ({"blocks.0.attn.qkv.weight": ONE}, "has no conv1.weight .*it has blocks.0.attn"),
        # timm's deep stem, which is another network.
        ({"conv1.0.weight": np.ones([32, 3, 3, 3])}, "has no conv1.weight"),
        ({**under("a.", TENSORS), **under("b.", KEYS)}, r"several encoders \(a, b\)"),
        # Both have the same stem, which was frozen.
        (
            {
                **under("model.", TENSORS),
                **under("model_ema.", {**KEYS, "conv1.weight": TENSORS["conv1.weight"]}),
            },
            r"several encoders \(model, model_ema\)",
        ),
        ({**TENSORS, "layer1.0.conv1.bias": ONE[0]}, "unknown layer1.0.conv1.bias"),
        ({n: v for n, v in TENSORS.items() if n != "bn1.bias"}, "missing bn1.bias"),
    ],
)
def test_what_is_no_encoder_is_told(file, told):
    with pytest.raises(UserError, match=told):
        from_torch_file(file, "")


def test_names_of_our_own_layers_are_read():
    layers = {}
    for name, value in TENSORS.items():
        module, _, kind = name.rpartition(".")
        kind = {"bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance",
                "weight": "kernel" if value.ndim == 4 else "gamma"}[kind]  # fmt: skip
        layers[f"{module.replace('.', '_')}/{kind}"] = from_torch(value)
    weights = from_keras_file({**layers, "dense/kernel": ONE}, "")
    assert (weights.origin, weights.left_out) == ("ssl_tf", {"dense": 1})
    for name, value in TENSORS.items():
        np.testing.assert_array_equal(weights.tensors[name], value)
    with pytest.raises(UserError, match="leave --init_convention out"):
        from_keras_file(layers, "caffe")
    # Its blocks begin with a strided 3x3 convolution, which is no bottleneck's.
    assert not from_keras_file(layers, "", own_stride=True).stride_in_1x1


def test_another_network_of_keras_is_told():
    with pytest.raises(UserError, match="no encoder of ours and no ResNet50"):
        from_keras_file({"block1_conv1/kernel": ONE}, "")


def test_pixels_of_other_means_are_folded_into_the_weights():

    mean, std = (0.1, 0.2, 0.3), (0.5, 0.25, 1.0)
    file = {name: x.astype(np.float64) for name, x in TENSORS.items()}
    ours = from_torch_file(TENSORS, "", pixels=Pixels(mean, std)).tensors
    image = np.random.default_rng(0).uniform(size=[3, 7, 7])

    def normalized(image, of):
        return (image - np.reshape(of[0], [3, 1, 1])) / np.reshape(of[1], [3, 1, 1])

    def first(tensors, pixels):
        made = np.einsum("oihw,ihw->o", np.float64(tensors["conv1.weight"]), pixels)
        return made - tensors["bn1.running_mean"]

    expected = first(file, normalized(image, (mean, std)))
    found = first(ours, normalized(image, (MEAN, STD)))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    others = TENSORS.keys() - {"conv1.weight", "bn1.running_mean"}
    assert all(
        ours[name] is TENSORS[name] or (ours[name] == TENSORS[name]).all() for name in others
    )
    usual = from_torch_file(TENSORS, "", pixels=Pixels())
    for name, values in TENSORS.items():
        np.testing.assert_allclose(usual.tensors[name], values, rtol=1e-6)
    assert usual.pixels == "RGB of 0 to 1 less 0.485, 0.456, 0.406 over 0.229, 0.224, 0.225"
    with pytest.raises(UserError, match="--init_std out, or move away the config.json beside it"):
        from_torch_file(TENSORS, "caffe", pixels=Pixels(mean, std))


@pytest.mark.parametrize(
    "head",
    ["classifier.0.convs.0.0.weight", "aux_classifier.0.weight", "decode_head.conv_seg.weight"],
)
def test_dilated_backbones_of_segmentation_are_refused(head):
    file = {**under("backbone.", TENSORS), head: np.ones([4, 2, 1, 1], np.float32)}
    with pytest.raises(UserError, match="whose backbone is dilated where ours strides"):
        from_torch_file(file, "")
    # Solo-learn has a linear classifier beside its backbone.
    linear = {**under("backbone.", TENSORS), "classifier.weight": ONE}
    assert from_torch_file(linear, "").left_out == {"classifier": 1}
