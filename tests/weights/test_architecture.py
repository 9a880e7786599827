import math

import pytest

from ssl_tf.errors import UserError
from ssl_tf.networks.encoder import build_encoder
from ssl_tf.networks.resnet import DEPTHS
from ssl_tf.settings import ModelSettings
from ssl_tf.weights.architecture import Architecture, differences, recognize
from ssl_tf.weights.torch_names import torch_shape, torch_variables

# Of torchvision's models, published, less their classifiers of 1,000 classes.
PARAMETERS = {
    18: 11_689_512 - 513_000,
    34: 21_797_672 - 513_000,
    50: 25_557_032 - 2_049_000,
    101: 44_549_160 - 2_049_000,
    152: 60_192_808 - 2_049_000,
}


@pytest.mark.parametrize("depth", PARAMETERS)
def test_the_rule_has_the_published_number_of_parameters(depth):
    shapes = Architecture(depth, 1.0, "imagenet").shapes()
    learned = {n: s for n, s in shapes.items() if ".running_" not in n}
    assert sum(map(math.prod, learned.values())) == PARAMETERS[depth]
    # A running mean and variance for each weight and bias of a normalization.
    assert len(shapes) - len(learned) == len([n for n in shapes if n.endswith(".bias")]) * 2


@pytest.mark.parametrize("depth, width, stem", [(18, 0.0625, "small"), (50, 0.3, "imagenet")])
def test_the_rule_is_that_of_our_network(depth, width, stem):
    encoder = build_encoder(ModelSettings(depth=depth, width=width, stem=stem), 0)
    found = {name: torch_shape(v.shape) for name, v in torch_variables(encoder).items()}
    assert found == Architecture(depth, width, stem).shapes()


@pytest.mark.parametrize("stem", ["imagenet", "small"])
@pytest.mark.parametrize("width", [0.25, 1, 2])
@pytest.mark.parametrize("depth", DEPTHS)
def test_every_network_is_recognized(depth, width, stem):
    expected = Architecture(depth, width, stem)
    others = {"fc.weight": (1000, 512), "bn1.num_batches_tracked": (), "queue": (128, 65536)}
    assert recognize({**expected.shapes(), **others}) == expected


@pytest.mark.parametrize("width", [0.0625, 0.3, 0.55, 0.7, 1.1, 1.37, 3])
def test_widths_are_recognized_that_round(width):
    found = recognize(Architecture(18, width, "small").shapes())
    assert found == Architecture(18, width, "small")


def changed(shapes):
    return {**Architecture(50, 1.0, "imagenet").shapes(), **shapes}


@pytest.mark.parametrize(
    "shapes, told",
    [
        # ResNeXt and wide ResNets, SE modules, a stem of three convolutions, another depth.
        (changed({"layer1.0.conv2.weight": (64, 4, 3, 3)}), r"conv2.weight \[64, 4, 3, 3\] for"),
        (changed({"layer1.0.conv1.weight": (128, 64, 1, 1)}), r"\[128, 64, 1, 1\] for \[64, 64"),
        (changed({"layer1.0.se.fc1.weight": (16, 256, 1, 1)}), r"unknown layer1.0.se.fc1.weight"),
        (changed({"layer2.1.conv1.bias": (128,)}), r"unknown layer2.1.conv1.bias"),
        (changed({"conv1.weight": (64, 3, 5, 5)}), r"a stem of 5x5"),
        (changed({"layer4.3.conv1.weight": (512, 2048, 1, 1)}), r"\(3, 4, 6, 4\) bottlenecks"),
    ],
)
def test_other_networks_are_named(shapes, told):
    with pytest.raises(UserError, match=told):
        recognize(shapes)


def test_missing_tensors_are_named_and_counted():
    shapes = Architecture(18, 1.0, "imagenet").shapes()
    left = {name: shape for name, shape in shapes.items() if not name.endswith(".running_var")}
    told = differences(shapes, left)
    assert told == (
        "missing bn1.running_var, layer1.0.bn1.running_var, layer1.0.bn2.running_var and 17 more"
    )
