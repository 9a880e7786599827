"""The config of our encoders passes; with one change that computes something else it does not."""

import pytest
import tensorflow as tf

from ssl_tf.errors import UserError
from ssl_tf.exporters.keras_file import plain_layers
from ssl_tf.networks.encoder import build_encoder
from ssl_tf.settings import ModelSettings
from ssl_tf.weights.keras_graph import check_graph
from tests.weights.keras_layers import changed, config_layers, inserted, of_keras_3, removed


def layers_of(**model):
    return config_layers(build_encoder(ModelSettings(width=0.0625, **model), 0))


@pytest.fixture(scope="module")
def basic():
    return layers_of(depth=18)


@pytest.fixture(scope="module")
def bottlenecks():
    return layers_of(depth=50, stem="small")


@pytest.fixture(scope="module")
def theirs():
    model = tf.keras.applications.ResNet50(
        include_top=False, weights=None, input_shape=(None, None, 3), pooling="avg"
    )
    return config_layers(model)


def refused(layers, told, strided_in_first=True):
    for written in (layers, of_keras_3(layers)):
        with pytest.raises(UserError) as raised:
            check_graph(written, strided_in_first)
        assert str(raised.value) == told


@pytest.mark.parametrize("stem", ["imagenet", "small"])
@pytest.mark.parametrize("depth, strided", [(18, False), (50, False), (50, True)])
def test_our_exports_pass_and_their_strides_are_those_that_are_told(depth, strided, stem):
    model = ModelSettings(depth=depth, width=0.0625, stem=stem, stride_in_1x1=strided)
    encoder = build_encoder(model, 0)
    in_first = depth == 18 or strided
    for made in (encoder, plain_layers(encoder)):
        layers = config_layers(made)
        for written in (layers, of_keras_3(layers)):
            check_graph(written, in_first)
        if depth == 50:
            with pytest.raises(UserError, match="layer2_0_conv1 in another place, or with other"):
                check_graph(layers, not in_first)


def test_keras_applications_pass(theirs):
    check_graph(theirs, True)
    check_graph(of_keras_3(theirs), True)


@pytest.mark.parametrize(
    "behind", ["relu1", "layer1_0_bn1", "layer2_0_downsample_1", "layer4_1_bn2", "layer4_1_add"]
)
def test_a_layer_inside_the_encoder_is_named(behind, basic):
    for kind in ("LayerNormalization", "AveragePooling2D", "Conv2D"):
        refused(
            inserted(basic, behind, kind),
            f"has {kind} inserted inside the encoder, which ours has not; give a plain ResNet",
        )


def test_what_does_nothing_after_training_or_is_behind_the_encoder_passes(basic):
    for kind in ("Dropout", "SpatialDropout2D", "GaussianNoise", "ActivityRegularization"):
        for behind in ("images", "layer1_0_bn1", "layer4_1_bn2", "layer4_1_add"):
            check_graph(inserted(basic, behind, kind, rate=0.5), True)
    for behind in ("spatial_features", "pooled_features"):
        check_graph(inserted(basic, behind, "LayerNormalization"), True)
    headless = [x for x in basic if x["config"]["name"] != "pooled_features"]
    check_graph(headless, True)


@pytest.mark.parametrize(
    "name, kind, config, told",
    [
        ("layer1_0_relu1", "Activation", {"activation": "gelu"}, "inside the encoder, which ours"),
        ("spatial_features", "ReLU", {"max_value": 6.0}, "inside the encoder, which ours"),
        ("pool1", "AveragePooling2D", {}, "inside the encoder, which ours"),
        ("pool1", "MaxPooling2D", {"padding": "same"}, "inside the encoder, which ours"),
        ("layer1_0_bn1", "LayerNormalization", {}, "inside the encoder, which ours"),
        (
            "layer4_0_conv1",
            "Conv2D",
            {"strides": [1, 1]},
            "in another place, or with other strides",
        ),
        ("layer4_0_conv1", "Conv2D", {"padding": "same"}, "with another padding"),
        ("layer4_0_conv1_pad", "ZeroPadding2D", {"padding": [[0, 1], [0, 1]]}, "another padding"),
        ("layer4_1_conv1", "Conv2D", {"dilation_rate": [2, 2]}, "another dilation or activation"),
        ("layer4_1_conv1", "Conv2D", {"activation": "relu"}, "another dilation or activation"),
        ("layer4_1_bn1", "BatchNormalization", {"epsilon": 1e-3}, "with another epsilon"),
    ],
)
def test_a_layer_that_computes_something_else_is_named(name, kind, config, told, basic):
    layer = "layer4_0_conv1" if name == "layer4_0_conv1_pad" else name
    with pytest.raises(
        UserError, match=f"^has {kind if layer == name else 'Conv2D'} {layer} .*{told}"
    ):
        check_graph(changed(basic, name, kind, **config), True)


def test_the_order_of_layers_is_that_of_ours(basic, bottlenecks):
    refused(
        removed(basic, "layer3_1_relu1", "layer3_1_bn1"),
        "has PaddedConv2D layer3_1_conv2 in another place, or with other strides, than ours; give "
        "a plain ResNet",
    )
    refused(
        removed(basic, "pool1", "relu1"),
        "has PaddedConv2D layer1_0_conv1 in another place, or with other strides, than ours; give "
        "a plain ResNet",
    )
    # The last shortcut is that of another block.
    for layers, block in ((basic, "layer4_1"), (bottlenecks, "layer4_2")):
        other = [
            {**x, "inbound_nodes": [[x["inbound_nodes"][0][0], ["relu1", 0, 0, {}]]]}
            if x["config"]["name"] == f"{block}_add"
            else x
            for x in layers
        ]
        refused(
            other,
            f"has Add {block}_add with other inputs than ours; give a plain ResNet",
            strided_in_first=layers is basic,
        )


def test_a_pool_of_one_pixel_strides_a_1x1_convolution_alone(bottlenecks):
    pool = {"pool_size": [1, 1], "strides": [2, 2], "padding": "valid"}
    slow = changed(bottlenecks, "layer2_0_downsample_0", "Conv2D", strides=[1, 1])
    own = [
        {**x, "inbound_nodes": [[["pool", 0, 0, {}]]]}
        if x["config"]["name"] == "layer2_0_downsample_0"
        else x
        for x in slow
    ]
    made = {"class_name": "MaxPooling2D", "config": {"name": "pool", **pool},
            "inbound_nodes": [[["layer1_2_relu", 0, 0, {}]]]}  # fmt: skip
    check_graph([*own, made], False)
    slow = changed(bottlenecks, "layer2_0_conv2", "Conv2D", strides=[1, 1])
    refused(
        inserted(slow, "layer2_0_conv2_pad", "MaxPooling2D", **pool),
        "has Conv2D layer2_0_conv2 with another padding than ours; give a plain ResNet",
        strided_in_first=False,
    )


def test_what_changes_the_pixels_is_named(basic, theirs):
    told = "in front of the first convolution; save the model without it"
    for kind in ("Rescaling", "Normalization", "Functional"):
        refused(inserted(basic, "images", kind), f"has {kind} inserted {told}")
        refused(
            inserted(theirs, theirs[0]["config"]["name"], kind),
            f"has {kind} inserted {told}, and give --init_mean and --init_std unless it takes BGR "
            "of Caffe then",
        )
    # Keras's preprocess_input, whose operations are layers of another form.
    operation = inserted(theirs, theirs[0]["config"]["name"], "TFOpLambda")
    operation[-1]["inbound_nodes"] = [[theirs[0]["config"]["name"], 0, 0, {"y": 1.0}]]
    with pytest.raises(UserError, match=f"^has TFOpLambda inserted {told}"):
        check_graph(operation, True)


def test_other_networks_are_left_to_those_who_read_their_tensors(basic):
    check_graph([], True)
    check_graph(
        [{"class_name": "Functional", "config": {"name": "encoder", "layers": basic}}], True
    )
    check_graph(removed(basic, "layer2_0_bn1", "layer2_0_conv1"), True)
