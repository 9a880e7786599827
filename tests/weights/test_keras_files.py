"""keras.applications's own ResNet-50 is the other side: what it computes is what we compute."""

import dataclasses

import h5py
import numpy as np
import pytest
import tensorflow as tf

from ssl_tf.errors import UserError
from ssl_tf.networks.encoder import build_encoder
from ssl_tf.networks.normalization import normalize_images
from ssl_tf.settings import InitEncoderSettings, ModelSettings
from ssl_tf.weights.keras_files import read_keras
from ssl_tf.weights.loading import check_encoder, load_init_encoder, read_weights
from tests.weights.random_tensors import randomize


@pytest.fixture(scope="module")
def theirs():
    """With random biases, gammas and statistics, and variances to which the epsilon matters.

    The first kernel has its centre only, so that the border of the image, where Keras pads with
    another colour, does not tell the two apart.
    """
    model = tf.keras.applications.ResNet50(
        include_top=False, weights=None, input_shape=(None, None, 3), pooling="avg"
    )
    random = np.random.default_rng(0)
    for variable in model.weights:
        name, shape = variable.name, variable.shape
        if "kernel" in name:
            continue
        low, high = (1e-4, 1e-3) if "conv1_bn/moving_variance" in name else (-0.2, 0.2)
        if "gamma" in name or ("moving_variance" in name and low < 0):
            low, high = 0.3, 1.0
        variable.assign(random.uniform(low, high, shape))
    kernel = model.get_layer("conv1_conv").kernel
    centre = np.zeros(kernel.shape, np.float32)
    centre[3, 3] = 1e-4 * random.normal(size=[3, 64])
    kernel.assign(centre)
    return model


@pytest.fixture(scope="module")
def their_weights(theirs, tmp_path_factory):
    path = tmp_path_factory.mktemp("theirs") / "weights.h5"
    theirs.save_weights(path)
    return path


def test_resnet50_computes_what_keras_computes_of_the_same_pixels(theirs, their_weights, capsys):
    ours, model, _ = load_init_encoder(InitEncoderSettings(init_encoder=str(their_weights)))
    assert "names of keras.applications, pixels BGR of Caffe; all 265" in capsys.readouterr().err
    assert (model.depth, model.width, model.stem, model.stride_in_1x1) == (50, 1, "imagenet", True)
    pixels = np.random.default_rng(1).integers(0, 256, [2, 41, 64, 3], np.uint8)
    given = tf.keras.applications.resnet50.preprocess_input(pixels.astype(np.float32))
    expected = theirs(given, training=False).numpy()
    found = ours(normalize_images(pixels), training=False).numpy()
    assert expected.std() > 0.01 and np.abs(found - expected).max() < 1e-4 * np.abs(expected).max()
    # The stride elsewhere, with the same weights, is another network.
    other = build_encoder(ModelSettings(depth=50), 0)
    other.set_weights(ours.get_weights())
    wrong = other(normalize_images(pixels), training=False).numpy()
    assert np.abs(wrong - expected).max() > 0.05 * np.abs(expected).max()


def test_resnet50_of_other_pixels_computes_what_keras_computes_of_them(
    theirs, their_weights, capsys
):
    pixels = np.random.default_rng(1).integers(0, 256, [2, 41, 64, 3], np.uint8)
    mean, std = np.array([0.1, 0.2, 0.3]), np.array([0.002, 0.004, 0.008])
    settings = InitEncoderSettings(
        init_encoder=str(their_weights), init_mean=tuple(mean), init_std=tuple(std)
    )
    ours, model, _ = load_init_encoder(settings)
    told = "pixels RGB of 0 to 1 less 0.1, 0.2, 0.3 over 0.002, 0.004, 0.008; all 265 tensors"
    assert told in capsys.readouterr().err and model.stride_in_1x1
    expected = theirs(np.float32((pixels / 255 - mean) / std), training=False).numpy()
    found = ours(normalize_images(pixels), training=False).numpy()
    assert expected.std() > 0.01 and np.abs(found - expected).max() < 1e-4 * np.abs(expected).max()
    # Those of ImageNet are others than those of Caffe, too.
    imagenet = dataclasses.replace(
        settings, init_mean=(0.485, 0.456, 0.406), init_std=(0.229, 0.224, 0.225)
    )
    kernel = theirs.get_layer("conv1_conv").kernel.numpy().transpose(3, 2, 0, 1)
    np.testing.assert_allclose(read_weights(imagenet).tensors["conv1.weight"], kernel, rtol=1e-6)
    both = dataclasses.replace(settings, init_convention="caffe")
    with pytest.raises(UserError, match="pixels of its own by --init_convention=caffe; leave it o"):
        read_weights(both)
    wrong = InitEncoderSettings(init_encoder=str(their_weights), init_convention="torchvision")
    with pytest.raises(UserError, match="leave --init_convention out, and give --init_mean and"):
        read_weights(wrong)


def test_both_kinds_of_files_hold_the_same(theirs, tmp_path):
    theirs.save(tmp_path / "model.keras")
    theirs.save(tmp_path / "model.h5")
    variables, stride = read_keras(tmp_path / "model.keras")
    of_h5, _ = read_keras(tmp_path / "model.h5")
    assert stride is None and variables.keys() == of_h5.keys() and len(of_h5) == 318
    for name, value in of_h5.items():
        np.testing.assert_array_equal(variables[name], value)


def test_our_own_models_come_back_from_keras_files(tmp_path):
    model = ModelSettings(depth=50, width=0.0625, stem="small", stride_in_1x1=True)
    encoder = randomize(build_encoder(model, 0))
    encoder.save(tmp_path / "encoder.keras")
    variables, stride = read_keras(tmp_path / "encoder.keras")
    assert stride is True and len(variables) == len(encoder.weights)
    settings = InitEncoderSettings(init_encoder=str(tmp_path / "encoder.keras"))
    again, found, _ = load_init_encoder(settings)
    assert found == model
    for old, new in zip(encoder.weights, again.weights, strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize("strided", [False, True])
def test_the_strides_of_our_own_models_are_those_of_their_files(strided, tmp_path):
    model = ModelSettings(depth=50, width=0.0625, stem="small", stride_in_1x1=strided)
    encoder = build_encoder(model, 0)
    encoder.save(tmp_path / "whole.h5")
    encoder.save_weights(tmp_path / "alone.h5")
    _, found, _ = load_init_encoder(InitEncoderSettings(init_encoder=str(tmp_path / "whole.h5")))
    assert found == model
    alone = InitEncoderSettings(init_encoder=str(tmp_path / "alone.h5"))
    with pytest.raises(UserError, match="alone.h5 holds weights alone.*give --init_convention=to"):
        load_init_encoder(alone)
    told = dataclasses.replace(alone, init_convention="torchvision")
    assert not load_init_encoder(told)[1].stride_in_1x1


def test_a_network_without_bottlenecks_has_no_stride_in_them(tmp_path):
    model = ModelSettings(depth=18, width=0.0625, stem="small")
    encoder = build_encoder(model, 0)
    encoder.save(tmp_path / "whole.keras")
    encoder.save_weights(tmp_path / "alone.h5")
    for name in ("whole.keras", "alone.h5"):
        settings = InitEncoderSettings(init_encoder=str(tmp_path / name))
        _, found, _ = load_init_encoder(settings)
        assert found == model
        check_encoder(encoder, read_weights(settings), settings)


@pytest.fixture(scope="module")
def encoder():
    return build_encoder(ModelSettings(depth=18, width=0.0625, stem="small"), 0)


def test_layers_inside_the_encoder_are_refused_in_whole_models(encoder, tmp_path):
    def clone(layer):
        if layer.name != "layer1_0_relu1":
            return layer.from_config(layer.get_config())
        return tf.keras.layers.LayerNormalization(name="layer1_0_ln")

    changed = tf.keras.models.clone_model(encoder, clone_function=clone)
    for name in ("a.keras", "a.h5"):
        changed.save(tmp_path / name)
        settings = InitEncoderSettings(init_encoder=str(tmp_path / name))
        with pytest.raises(UserError) as raised:
            read_weights(settings)
        assert str(raised.value) == (
            f"--init_encoder={tmp_path}/{name} has LayerNormalization layer1_0_ln inside the "
            "encoder, which ours has not; give a plain ResNet"
        )


def test_layers_behind_the_encoder_are_left_out_by_name(encoder, tmp_path):
    normal = tf.keras.layers.LayerNormalization(name="head_ln")(encoder.output)
    logits = tf.keras.layers.Dense(2, name="head")(tf.keras.layers.Dropout(0.5)(normal))
    model = tf.keras.Model(encoder.input, logits)
    for name in ("a.keras", "a.h5"):
        model.save(tmp_path / name)
        weights = read_weights(InitEncoderSettings(init_encoder=str(tmp_path / name)))
        assert weights.left_out == {"head_ln": 2, "head": 2}
        kernel = weights.tensors["layer4.1.conv2.weight"].transpose(2, 3, 1, 0)
        np.testing.assert_array_equal(kernel, encoder.get_layer("layer4_1_conv2").kernel)


def test_layers_between_those_of_the_encoder_are_refused_in_weights_alone(encoder, tmp_path):
    path = tmp_path / "alone.h5"
    encoder.save_weights(path)
    with h5py.File(path, "a") as file:
        names = [*map(np.bytes_, file.attrs["layer_names"])]
        file["se/kernel:0"] = np.ones([2, 2], np.float32)
        file["se"].attrs["weight_names"] = [b"kernel:0"]
        file.attrs["layer_names"] = [*names, b"se"]
    settings = InitEncoderSettings(init_encoder=str(path))
    assert read_weights(settings).left_out == {"se": 1}
    with h5py.File(path, "a") as file:
        place = names.index(b"layer1_1_conv1")
        file.attrs["layer_names"] = [*names[:place], b"se", *names[place:]]
    with pytest.raises(UserError, match="has se between layers of the encoder, which ours has not"):
        read_weights(settings)


def test_our_own_models_tell_their_pixels(encoder, tmp_path):
    encoder.save(tmp_path / "encoder.keras")
    path = str(tmp_path / "encoder.keras")
    for values in ((0.5, 0.5, 0.5), (0.485, 0.456, 0.406)):
        settings = InitEncoderSettings(init_encoder=path, init_mean=values)
        with pytest.raises(UserError, match="tells its pixels; leave --init_mean and --init_std o"):
            read_weights(settings)


def test_weights_without_the_names_of_layers_are_told(tmp_path):
    with h5py.File(tmp_path / "model.weights.h5", "w") as file:
        file["layers/conv2d/vars/0"] = np.ones(3)
    with pytest.raises(UserError, match="names no layers; save the whole model as a .keras file"):
        read_keras(tmp_path / "model.weights.h5")
